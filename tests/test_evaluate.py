"""Findings of the compiled rules against the rules' own Python, over random and real packets."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from batches import batch_of
from hypothesis import given, settings
from hypothesis import strategies as st
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.columns import Decoded
from procwire.decode.frame import decode
from procwire.errors import InputDamaged
from procwire.judging.evaluate import evaluate
from procwire.layers import LAYER_NAMES
from procwire.rule import example, fires
from procwire.rules import all_rules, packet_rules, rules_of
from procwire.words import Span

ETHERTYPES = {"arp": "0806", "ipv4": "0800", "ipv6": "86dd", "vlan": "8100"}
EXAMPLE_FRAMES = [
    bytes.fromhex(f"0200 0000 0002 0200 0000 0001 {ETHERTYPES[layer]}") + example(text)[0].data
    for rule in packet_rules()
    for layer in (rule.layers[0].removesuffix("_malformed"),)
    if layer in ETHERTYPES
    for text in rule.fires_on + rule.silent_on
]


def expected(batch: PacketBatch, decoded: Decoded) -> list[tuple[int, int, int, int]]:
    """(packet, rule, start, size) of every finding, by the rules' plain Python."""
    spans, rules = decoded.spans, all_rules()

    def span(row: int) -> Span:
        if row < 0:
            return Span(b"", 0, 0, 0)
        start, captured = int(spans.start[row]), int(spans.captured[row])
        data = batch.data[start : start + captured].tobytes()
        return Span(data, 0, captured, int(spans.length[row]))

    found = []
    for row, layer in enumerate(spans.layer):
        for rule in rules_of(LAYER_NAMES[int(layer)]):
            if fires(rule, span(row), span(int(spans.outer[row]))):
                packet, (offset, size) = int(spans.packet[row]), rule.at
                home = int(spans.outer[row]) if rule.at_outer else row
                present = int(spans.captured[home])
                if offset >= present:
                    offset, size = 0, present
                size = min(size, present - offset)
                offset += int(spans.start[home] - batch.start[packet])
                offset = min(offset, int(batch.captured[packet]))
                found.append((packet + batch.first, rules.index(rule), offset, size))
    return found


def listed(findings: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [
        (int(row["packet"]), int(row["rule"]), int(row["start"]), int(row["size"]))
        for row in findings
    ]


def check(batch: PacketBatch) -> int:
    decoded = decode(batch)
    findings = evaluate(batch, decoded)
    assert listed(findings) == expected(batch, decoded)
    assert_evidence_is_captured(batch, findings)
    return len(findings)


def assert_evidence_is_captured(batch: PacketBatch, findings: np.ndarray) -> None:
    ends = findings["start"].astype(np.int64) + findings["size"]
    assert (ends <= batch.captured[findings["row"]]).all()


def test_evidence_that_was_not_captured_is_what_there_is_of_its_layer() -> None:
    """The options of a DHCP message lie behind the end of one that is cut before them."""
    message = bytes.fromhex("0101 0600 3903 f326" + "00" * 20 + "0200 0000 0001" + "00" * 201)
    udp = bytes.fromhex("0044 0043") + (8 + len(message)).to_bytes(2) + b"\0\0" + message
    ip = bytes.fromhex("4500") + (20 + len(udp)).to_bytes(2) + bytes.fromhex("0001 0000 4011 0000")
    addresses = bytes.fromhex("c0000201 c0000202")
    batch = batch_of([bytes.fromhex("0200 0000 0002 0200 0000 0001 0800") + ip + addresses + udp])
    findings = evaluate(batch, decode(batch))
    rules = all_rules()
    named = {rules[int(row["rule"])].id: (row["start"], row["size"]) for row in findings}
    assert named["dhcp.malformed"] == (14 + 20 + 8, len(message))


def test_frames_made_of_the_examples() -> None:
    assert check(batch_of(EXAMPLE_FRAMES)) > 50


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(EXAMPLE_FRAMES),
            st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=4),
            st.integers(0, 40),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_mutated_and_cut_frames(recipes: list[tuple[bytes, list[tuple[int, int]], int]]) -> None:
    frames = []
    for frame, changes, cut in recipes:
        changed = bytearray(frame)
        for offset, value in changes:
            changed[offset % len(changed)] = value
        frames.append(bytes(changed[: max(1, len(changed) - cut)]))
    check(batch_of(frames))


def test_real_captures(corpus: Path) -> None:
    found = 0
    for path in sorted((corpus / "wire" / "pcaps").rglob("*.pcap"))[::25]:
        try:
            for batch in itertools.islice(read_capture(path), 1):
                found += check(batch._replace(**first_rows(batch, 300)))
        except InputDamaged:
            continue
    assert found > 0


def first_rows(batch: PacketBatch, count: int) -> dict[str, np.ndarray]:
    columns = ("start", "captured", "length", "time", "link")
    return {name: getattr(batch, name)[:count] for name in columns}
