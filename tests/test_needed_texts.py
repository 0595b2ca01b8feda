"""A text that a rule is said to need lies in every message on which the rule fires."""

from __future__ import annotations

import random

import pytest
from procwire.compiler.texts import needed_text
from procwire.rule import Rule, fires
from procwire.rules import packet_rules
from procwire.words import span
from test_hostile_messages import messages

NEEDED = {
    "dns.edns_bad": b"\0)",  # the type of an OPT record
    "http.content_length_bad": b"content-length",
    "http.te_bad": b"transfer-encoding",
    "http.chunk_bad": b"transfer-encoding",
}
PORTS = 4  # bytes; what has less around it is part of a message
RULES = [rule for rule in packet_rules() if rule.id in NEEDED]


def test_rules_that_need_a_text() -> None:
    found = {rule.id: needed_text(rule) for rule in packet_rules()}
    assert {name: text for name, text in found.items() if text is not None} == NEEDED


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_it_fires_nowhere_else(rule: Rule) -> None:
    chance = random.Random(rule.id)
    fired = 0
    for message, outer in messages(rule.layers[0], chance):
        changed = bytearray(message)
        for _ in range(chance.randrange(3) if message else 0):
            changed[chance.randrange(len(changed))] ^= 0x20
        whole = len(outer) >= PORTS or not rule.reads_outer
        if whole and fires(rule, span(bytes(changed)), span(outer)):
            fired += 1
            assert NEEDED[rule.id] in bytes(changed).lower(), changed.hex()
    assert fired
