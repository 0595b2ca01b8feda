"""Messages cut at every offset, with lying lengths, and of chance bytes: no back end reads beyond
them, and all say the same."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator

import lupa.lua54
import lupa.luajit21
import numpy as np
import pytest
from lua_words import lua_rules
from procwire.rule import Rule, example, fires
from procwire.rules import rules_of
from procwire.words import Span, span

RUNTIMES = {"lua54": lupa.lua54.LuaRuntime, "luajit": lupa.luajit21.LuaRuntime}
LAYERS = ("dns", "ntp", "dhcp", "snmp", "modbus", "dnp3", "http1", "tls", "ssh", "smb", "smtp")
MOST_CUTS, LIES, CHANCES = 48, 24, 200
EXTREMES = (0x00, 0x01, 0x7F, 0x80, 0xFF)
GUARD = 64  # bytes behind a span that no back end may see


def messages(layer: str, chance: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """(message, the header around it)"""
    texts = [text for rule in rules_of(layer) for text in (*rule.fires_on, *rule.silent_on)]
    spans = [example(text) for text in dict.fromkeys(texts)]
    for p, outer in spans:
        size = len(p.data)
        for end in sorted(chance.sample(range(size + 1), min(size + 1, MOST_CUTS))):
            yield p.data[:end], outer.data
        for _ in range(LIES if size else 0):
            lying = bytearray(p.data)
            at = chance.randrange(min(size, 128))
            for place in range(at, min(size, at + chance.choice((1, 2, 4)))):
                lying[place] = chance.choice(EXTREMES)
            yield bytes(lying), outer.data
    for _ in range(CHANCES):
        start = chance.choice(spans)[0].data[: chance.choice((0, 4, 8, 16))]
        yield start + chance.randbytes(chance.randrange(200)), chance.choice(spans)[1].data


def in_lua(runtime: str, layer: str) -> dict[int, object]:
    """The functions of a layer's rules, by sid."""
    return lua_rules(RUNTIMES[runtime], rules_of(layer))


def guarded(data: bytes) -> Span:
    """In an array with other bytes around it."""
    around = np.frombuffer(b"\xa5" * GUARD + data + b"\xa5" * GUARD, np.uint8)
    return Span(around, GUARD, len(data), len(data))


@pytest.mark.parametrize("layer", LAYERS)
def test_back_ends_agree_on_hostile_messages(layer: str) -> None:
    rules: tuple[Rule, ...] = rules_of(layer)
    verdict = importlib.import_module(f"procwire.generated.{layer}").verdict
    functions = {runtime: in_lua(runtime, layer) for runtime in RUNTIMES}
    fired = set()
    for message, outer in messages(layer, random.Random(layer)):
        wanted = {rule.id for rule in rules if fires(rule, span(message), span(outer))}
        mask = verdict(guarded(message), guarded(outer))
        found = {rule.id for bit, rule in enumerate(rules) if mask >> bit & 1}
        assert found == wanted, message.hex()
        for runtime, table in functions.items():
            found = {rule.id for rule in rules if table[rule.sid](message, outer)}
            assert found == wanted, (runtime, message.hex())
        fired |= wanted
    assert fired == {rule.id for rule in rules}
