"""Keywords that Suricata is given for a rule match wherever the rule fires: the cases that they are
made of, and what they leave out, against the rule itself on many headers."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from procwire.compiler.cases import cases
from procwire.compiler.fields import Case, Field, Values, length_of
from procwire.compiler.keywords import HEADERS
from procwire.compiler.quiet import pattern
from procwire.compiler.vocabulary import LARGEST_PACKET
from procwire.rule import Rule, example, fires
from procwire.rules import packet_rules
from procwire.words import Span, span

PAIRS = [
    (rule, layer)
    for rule in packet_rules()
    for layer in rule.layers
    if layer in HEADERS and rule.tier != "C"
]
NAMES = [f"{rule.id}-{layer}" for rule, layer in PAIRS]
SHORTEST_FRAME = 60
IPV4, IPV6 = (bytes.fromhex(f"{first} {'00' * 19} {'00' * 20}") for first in ("45", "60"))
VARIED = 800


def value(field: Field, p: bytes, outer: bytes) -> int:
    data = p if field.span == "p" else outer
    if field.size == 0:
        return len(data)
    number = int.from_bytes(data[field.offset : field.offset + field.size], "big")
    if field.twin is not None:
        return int(number == int.from_bytes(data[field.twin : field.twin + field.size], "big"))
    return number >> field.shift & ((1 << field.width) - 1)


def holds(fields: dict[Field, Values], p: bytes, outer: bytes) -> bool:
    return all(
        any(low <= value(field, p, outer) <= high for low, high in values)
        for field, values in fields.items()
    )


def spans_of(rule: Rule, layer: str) -> list[tuple[bytes, bytes]]:
    """Headers that decode takes for intact: of the examples and of what most packets look like, and
    the same with a few bytes changed."""
    chance = random.Random(rule.sid)
    header = HEADERS[layer]
    around = (
        (IPV4, IPV6) if header.outer == "" else {"ipv4.hdr": (IPV4,)}.get(header.outer, (IPV6,))
    )
    known = [_bytes(*example(text)) for text in (*rule.fires_on, *rule.silent_on)]
    known += [(data, b"") for spans in header.often for data in (spans[0], spans[-1])]
    made = [
        (p, outer.ljust(SHORTEST_FRAME, b"\0") if outer else chance.choice(around))
        for p, outer in known
    ]
    for _ in range(VARIED):
        p, outer = map(bytearray, chance.choice(made[: len(known)]))
        for _ in range(chance.randrange(1, 4)):
            changed = outer if rule.reads_outer and chance.random() < 0.3 else p
            place = chance.randrange(min(len(changed), 48))
            changed[place] = chance.choice(
                (0, 1, 2, 3, 6, 44, 127, 133, 224, 255, changed[place] ^ 1)
            )
        made.append((bytes(p), bytes(outer)))
    return [
        (p, outer)
        for p, outer in made
        if len(p) >= header.size
        and len(outer) >= header.outer_size
        and holds(header.known, p, outer)
    ]


def _bytes(p: Span, outer: Span) -> tuple[bytes, bytes]:
    return p.data, outer.data


def every_field(rule: Rule, layer: str) -> tuple[Case, ...]:
    header = HEADERS[layer]
    known = dict(header.known)
    for name, size in (("p", header.size), ("outer", header.outer_size)):
        known[length_of(name)] = ((size, LARGEST_PACKET),)
    return cases(rule, known, lambda field: field.offset + field.size <= 20)


@pytest.mark.parametrize(("rule", "layer"), PAIRS, ids=NAMES)
def test_cases_cover_what_fires(rule: Rule, layer: str) -> None:
    covering = every_field(rule, layer)
    fired = 0
    for p, outer in spans_of(rule, layer):
        matching = [case for case in covering if holds(case.fields, p, outer)]
        fires_here = fires(rule, span(p), span(outer))
        fired += fires_here
        assert len(matching) <= 1, (p.hex(), outer.hex())
        assert matching or not fires_here, (p.hex(), outer.hex())
        assert fires_here or not any(case.exact for case in matching), (p.hex(), outer.hex())
    assert fired


@pytest.mark.parametrize(("rule", "layer"), PAIRS, ids=NAMES)
def test_what_is_left_out_is_silent(rule: Rule, layer: str) -> None:
    header = HEADERS[layer]
    patterns = [pattern(rule, spans) for spans in header.often]
    left_out = [re.compile(text.encode(), re.DOTALL) for text in filter(None, patterns)]
    for (p, outer), silent in itertools.product(spans_of(rule, layer), left_out):
        if silent.match(p):
            assert not fires(rule, span(p), span(outer)), p.hex()
