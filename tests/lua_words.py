"""The words that scripts for Suricata carry, as both Luas run them, and rules with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lupa.lua54
import lupa.luajit21
from procwire.compiler.to_lua import lua_function
from procwire.rule import Rule

_FOLDER = Path(__file__).parent.parent / "lua"
LUA_WORDS = "\n".join((_FOLDER / f"{part}.lua").read_text() for part in ("words", "protocol_words"))

_RUNTIMES = {"luajit": lupa.luajit21.LuaRuntime, "lua54": lupa.lua54.LuaRuntime}
_WORDS = (
    *("ber_end", "ber_value", "crc_dnp", "dns_entries", "dns_entry_end", "dns_entry_walk"),
    *("extension", "extension_end", "find", "find_before", "folded", "header_sums", "name_end"),
    *("name_fault", "name_walk", "one_question", "option", "port_end", "token_end", "upper_header"),
)


def _words_in(runtime: type) -> dict[str, Any]:
    entries = ", ".join(f"{name} = {name}" for name in _WORDS)
    loaded = runtime(encoding=None).execute(f"{LUA_WORDS}\nreturn {{ {entries} }}")
    return {name: loaded[name.encode()] for name in _WORDS}


LUA = {name: _words_in(runtime) for name, runtime in _RUNTIMES.items()}
"""Runtime -> word -> its function."""


def lua_rules(runtime: type, rules: Iterable[Rule]) -> dict[int, Any]:
    """The functions of rules by sid, in a runtime of lupa's of their own."""
    listed = list(rules)
    table = ", ".join(f"[{rule.sid}] = {rule.name}" for rule in listed)
    text = "\n".join([LUA_WORDS, *map(lua_function, listed), f"return {{ {table} }}"])
    return dict(runtime(encoding=None).execute(text.encode()))
