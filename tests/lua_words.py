"""Rules as Lua, with the words that scripts for Suricata carry."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from procwire.compiler.to_lua import lua_function
from procwire.rule import Rule

LUA = Path(__file__).parent.parent / "lua"
LUA_WORDS = "\n".join((LUA / f"{part}.lua").read_text() for part in ("words", "protocol_words"))


def lua_rules(runtime: type, rules: Iterable[Rule]) -> dict[int, Any]:
    """The functions of rules by sid, in a runtime of lupa's of their own."""
    listed = list(rules)
    table = ", ".join(f"[{rule.sid}] = {rule.name}" for rule in listed)
    text = "\n".join([LUA_WORDS, *map(lua_function, listed), f"return {{ {table} }}"])
    return dict(runtime(encoding=None).execute(text.encode()))
