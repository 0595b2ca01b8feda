"""The Lua that rules' words are, as scripts for Suricata carry it."""

from pathlib import Path

LUA = Path(__file__).parent.parent / "lua"
LUA_WORDS = "\n".join((LUA / f"{part}.lua").read_text() for part in ("words", "protocol_words"))
