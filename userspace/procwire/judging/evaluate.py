"""From spans to findings: every rule of a span's layer, compiled, one pass over a batch.

A first kernel makes a bit mask of each span that breaks a rule, a second one lists the bits as
FINDING rows.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import kernel
from procwire.decode.columns import Decoded, Spans
from procwire.errors import UsageError
from procwire.generated import dispatch
from procwire.layers import LAYER_NAMES
from procwire.record import FINDING
from procwire.rule import Observed, Rule, example, fires
from procwire.rules import all_rules, rules_of
from procwire.words import Span

_verdicts: Callable[..., int] = dispatch.verdicts
_LAYERS = max(LAYER_NAMES) + 1
_BITS = 63
_LARGEST_EVIDENCE = np.iinfo(FINDING["size"]).max

Extents: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Where each packet, or each copy of a message, begins, and how many of its bytes are there: the
evidence is counted from its first byte."""


class StaleRules(UsageError):
    """The generated kernels are not those of the rules; `procwire rules build` mends it."""


def _rule_table(rules: tuple[Rule | Observed, ...]) -> NDArray[np.int64]:
    """(layers, bits, 4): index into all_rules(), offset and size of the evidence, and whether it
    lies in the enclosing header."""
    index = {rule.sid: position for position, rule in enumerate(rules)}
    table = np.zeros((_LAYERS, _BITS, 4), dtype=np.int64)
    for number, name in LAYER_NAMES.items():
        seen = rules_of(name)
        built = dispatch.LAYERS.get(number, ())
        if tuple(rule.id for rule in seen) != built:
            raise StaleRules(f"layer {name}: run `procwire rules build`, then start again")
        for bit, rule in enumerate(seen):
            table[number, bit] = index[rule.sid], *rule.at, rule.at_outer
    return table


_TABLE = _rule_table(all_rules())


def evaluate(batch: PacketBatch, decoded: Decoded) -> NDArray[np.void]:
    """FINDING (n,) of every rule that a packet of the batch breaks, in packet order."""
    extents = batch.start, batch.captured
    findings = judge(batch.data, decoded.spans, decoded.suspects, extents)
    findings["packet"] = findings["row"] + batch.first
    return findings


def judge(
    data: NDArray[np.uint8], spans: Spans, rows: NDArray[np.int32], extents: Extents
) -> NDArray[np.void]:
    """FINDING (n,) of every rule that a span breaks, without packet numbers. data: uint8, what the
    spans lie in; rows: int32, in order, of the spans that rules have to see; extents: of what each
    row of spans.packet stands for."""
    broken, hits = np.empty(rows.size, np.int32), np.empty(rows.size, np.int64)
    used = _verdicts(data, spans, rows, broken, hits)
    if not used:
        return np.empty(0, FINDING)
    findings = np.zeros(int(np.bitwise_count(hits[:used]).sum()), FINDING)
    _list((broken[:used], hits), spans, extents, _TABLE, findings)
    return findings


def compiled_verdict(rule: Rule, text: str) -> bool:
    """Whether the compiled rule fires on an example, on every layer that it sees."""
    p, outer = (_in_array(span) for span in example(text))
    verdicts = set()
    for layer in rule.layers:
        module = importlib.import_module(f"procwire.generated.{layer}")
        verdicts.add(bool(module.verdict(p, outer) >> rules_of(layer).index(rule) & 1))
    return verdicts == {True}


def disagreements(rules: tuple[Rule, ...]) -> list[str]:
    """One line for every example on which plain Python or the compiled form is wrong."""
    lines = []
    for rule in rules:
        for wanted, texts in ((True, rule.fires_on), (False, rule.silent_on)):
            for text in texts:
                found = {
                    "python": fires(rule, *example(text)),
                    "numba": compiled_verdict(rule, text),
                }
                lines += [
                    f"{rule.id}: {name} says {verdict}, expected {wanted}: {text}"
                    for name, verdict in found.items()
                    if verdict != wanted
                ]
    return lines


def _in_array(span: Span) -> Span:
    # One byte more than the span: numba compiles for an array, and an empty one has no address.
    data = np.frombuffer(bytes(span.data) + b"\0", dtype=np.uint8)
    return span._replace(data=data)


@kernel
def _list(
    verdicts: tuple[NDArray[np.int32], NDArray[np.int64]],
    spans: Spans,
    extents: Extents,
    table: NDArray[np.int64],
    findings: NDArray[np.void],
) -> None:
    starts, captured = extents
    broken, hits = verdicts
    written = 0
    for entry in range(broken.size):
        span, verdict = broken[entry], hits[entry]
        bit = 0
        while verdict:
            if verdict & 1:
                row = spans.packet[span]
                rule, offset, size, in_outer = table[spans.layer[span], bit]
                home = span
                if in_outer and spans.outer[span] >= 0:
                    home = spans.outer[span]
                findings[written].row = row
                findings[written].rule = rule
                present = spans.captured[home]
                # Where the bytes that decide are missing, the evidence is what there is.
                if offset >= present:
                    offset, size = 0, present
                # A layer of which nothing was captured begins behind the packet's end.
                place = min(spans.start[home] - starts[row] + offset, captured[row])
                findings[written].start = place
                findings[written].size = min(size, present - offset, _LARGEST_EVIDENCE)
                written += 1
            verdict >>= 1
            bit += 1
