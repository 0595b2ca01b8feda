"""Fragments: agreement with the plain twin, what limits them, and what the datagrams break."""

from __future__ import annotations

import struct
from functools import partial
from random import Random

import numba
import pytest
from batches import batch_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_defrag import Fragment, NaiveDefragmenter
from procwire import layers
from procwire.capture.batch import RAW, PacketBatch
from procwire.decode import defrag
from procwire.decode.defrag import TIMEOUT_NS, Defragmenter
from procwire.decode.frame import decode
from procwire.judging.examine import Examined, Examiner, examine
from procwire.rules import all_rules
from procwire.warm import warm_up

UDP = 17
HOP_BY_HOP = bytes([44, 0, 1, 4, 0, 0, 0, 0])
# Of 24 bytes (RFC 4302 2.2), and a fragment that is whole, with another header behind it.
AUTHENTICATION = bytes([44, 4]) + bytes(22)
ATOMIC_FRAGMENT = bytes([44, 0, 0, 0, 0, 0, 0, 9])
ADDRESSES = bytes(range(1, 9))


def ipv4(fragment: Fragment, options: bytes = b"") -> bytes:
    field = fragment.offset // 8 | 0x2000 * fragment.more
    size = 20 + len(options) + len(fragment.payload)
    first = 0x45 + len(options) // 4
    header = struct.pack(">BBHHHBBH", first, 0, size, fragment.key, field, 64, UDP, 0)
    return header + ADDRESSES + options + fragment.payload


def ipv6(fragment: Fragment, before: bytes = b"", kind: int = 0) -> bytes:
    """kind: the first header's, of those `before` that of the fragment."""
    place = struct.pack(">BBHI", UDP, 0, fragment.offset | fragment.more, fragment.key)
    body = before + place + fragment.payload
    first = kind if before else 44
    return struct.pack(">IHBB", 0x60000000, len(body), first, 64) + bytes(32) + body


raw_batch = partial(batch_of, link=RAW)


def packet(fragment: Fragment) -> bytes:
    return ipv4(fragment) if fragment.version == 4 else ipv6(fragment)


def reassemble(
    defragmenter: Defragmenter, batch: PacketBatch
) -> tuple[list[tuple[int, bytes]], list[int]]:
    """(row and bytes of each datagram, rows that overlap)"""
    result = defragmenter.update(batch, decode(batch))
    if result is None:
        return [], []
    made = result.datagrams
    packets = [
        made.data[start:][:size].tobytes()
        for start, size in zip(made.start, made.captured, strict=True)
    ]
    return list(zip(result.rows.tolist(), packets, strict=True)), result.overlaps.tolist()


def random_fragment(source: Random) -> Fragment:
    key, version = source.randrange(1, 4), source.choice((4, 6))
    more = source.random() < 0.7
    offset, blocks = source.randrange(4) * 8, source.randrange(1, 4)
    even = more and source.random() < 0.9
    size = blocks * 8 if even else blocks * 8 - source.randrange(8)
    # Mostly what one datagram would hold there, so that repetitions are exact.
    payload = bytes(range(offset, offset + size)) if source.random() < 0.8 else bytes(size)
    return Fragment(key, version, offset, more, payload)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
@example(809)
@example(6126)
def test_datagrams_and_overlaps_equal_the_plain_twins(seed: int) -> None:
    source = Random(seed)
    defragmenter, twins = Defragmenter(), {4: NaiveDefragmenter(), 6: NaiveDefragmenter()}
    for _ in range(3):
        fragments = [random_fragment(source) for _ in range(source.randrange(40))]
        # A zero offset without more would be no fragment.
        fragments = [part for part in fragments if part.offset or part.more]
        whole, overlapping = [], []
        for row, fragment in enumerate(fragments):
            payload, overlap = twins[fragment.version].add(fragment)
            overlapping += [row] * overlap
            if payload is not None:
                whole.append((row, payload))
        found, overlaps = reassemble(defragmenter, raw_batch([packet(part) for part in fragments]))
        header = {row: 20 if fragments[row].version == 4 else 40 for row, _ in found}
        assert [(row, data[header[row] :]) for row, data in found] == whole
        assert overlaps == overlapping


def halves(datagram: bytes, version: int = 4, key: int = 7) -> list[Fragment]:
    return [
        Fragment(key, version, 0, True, datagram[:8]),
        Fragment(key, version, 8, False, datagram[8:]),
    ]


DATAGRAM = struct.pack(">HHHH", 40000, 53, 21, 0x1234) + b"hello, world!"


def test_the_first_fragments_headers_are_put_right() -> None:
    options = bytes([1, 1, 1, 0])
    first, last = halves(DATAGRAM)
    found, _ = reassemble(Defragmenter(), raw_batch([ipv4(last), ipv4(first, options)]))
    ((row, datagram),) = found
    assert row == 1
    assert datagram[2:4] == struct.pack(">H", len(datagram))
    assert datagram[6:8] == b"\0\0"
    assert sum(struct.unpack(">12H", datagram[:24])) % 0xFFFF == 0
    assert datagram[20:] == options + DATAGRAM


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        (0, HOP_BY_HOP),
        (51, AUTHENTICATION),
        (51, bytes([60]) + AUTHENTICATION[1:] + HOP_BY_HOP),
        (44, ATOMIC_FRAGMENT),
    ],
    ids=["hop-by-hop", "authentication", "authentication, destination", "fragment"],
)
def test_headers_before_the_fragments_stay(kind: int, before: bytes) -> None:
    parts = [ipv6(part, before, kind) for part in halves(DATAGRAM, 6)]
    ((_, datagram),), _ = reassemble(Defragmenter(), raw_batch(parts))
    assert datagram[4:7] == struct.pack(">HB", len(before) + len(DATAGRAM), kind)
    named = len(before) - 8 if before.endswith(HOP_BY_HOP) else 0
    assert datagram[40:] == before[:named] + bytes([UDP]) + before[named + 1 :] + DATAGRAM


@pytest.mark.parametrize("size", [255, 256, 511, 512])
def test_lengths_of_more_than_a_byte_are_put_right(size: int) -> None:
    payload = bytes(size)
    for version in (4, 6):
        parts = [packet(part) for part in halves(payload, version)]
        ((_, datagram),), _ = reassemble(Defragmenter(), raw_batch(parts))
        assert len(datagram) == (20 if version == 4 else 40) + len(payload)
        place, said = (2, len(datagram)) if version == 4 else (4, len(payload))
        assert datagram[place : place + 2] == struct.pack(">H", said)
        assert datagram[8 if version == 4 else 7] == 64


def test_an_unfinished_datagram_is_forgotten() -> None:
    defragmenter = Defragmenter()
    parts = [packet(part) for part in halves(DATAGRAM)]
    late = raw_batch(parts, [0, TIMEOUT_NS + 1])
    assert reassemble(defragmenter, late) == ([], [])
    assert defragmenter.counters()["timed_out"] == 1


def test_open_datagrams_are_bounded_and_evictions_counted() -> None:
    defragmenter = Defragmenter(slots=8)
    flood = [packet(halves(DATAGRAM, key=key)[0]) for key in range(100)]
    assert reassemble(defragmenter, raw_batch(flood)) == ([], [])
    assert defragmenter.counters()["evicted"] == 92


def test_the_largest_datagram_fits_and_a_larger_one_is_refused() -> None:
    for size, wanted in ((65515, 1), (65516, 0)):
        payload = bytes(size)
        parts = [
            Fragment(1, 4, 0, True, payload[:32768]),
            Fragment(1, 4, 32768, False, payload[32768:]),
        ]
        defragmenter = Defragmenter()
        found, _ = reassemble(defragmenter, raw_batch([packet(part) for part in parts]))
        assert len(found) == wanted
        assert defragmenter.counters()["refused"] == 1 - wanted


def examined(packets: list[bytes]) -> Examined:
    batch = raw_batch(packets)
    return Examiner().complete(batch, examine(batch))


def test_what_a_datagram_breaks_is_found_in_the_packet_that_completes_it() -> None:
    parts = [packet(part) for part in halves(DATAGRAM[:4] + struct.pack(">HH", 7, 0) + bytes(8))]
    examiner = Examiner()
    batch = raw_batch(parts[:1], first=10)
    _, before = examiner.complete(batch, examine(batch))
    batch = raw_batch([ipv4(halves(DATAGRAM, key=9)[0]), parts[1]], first=11)
    decoded, findings = examiner.complete(batch, examine(batch))
    assert len(before) == 0
    (finding,) = findings
    assert all_rules()[finding["rule"]].id == "udp.len_mismatch"
    assert (finding["packet"], finding["row"]) == (12, 1)
    assert decoded.packets.dst_port.tolist() == [0, 53]


def test_what_headers_of_fragments_break_is_told_of_each_fragment_alone() -> None:
    """Also where a batch completes several datagrams."""
    route = bytes([131, 3, 4, 0])
    routed = [
        ipv4(Fragment(key, 4, offset, not offset, bytes(8)), route)
        for key in (1, 2)
        for offset in (0, 8)
    ]
    batch = raw_batch(routed)
    _, findings = Examiner().complete(batch, examine(batch))
    rows = [one["row"] for one in findings if all_rules()[one["rule"]].id == "ipv4.source_route"]
    assert rows == [0, 1, 2, 3]


def test_a_completed_datagram_gives_its_packet_the_transports_columns() -> None:
    parts = [packet(part) for part in halves(DATAGRAM, version=6)]
    decoded, findings = examined(parts)
    assert len(findings) == 0
    assert decoded.packets.transport.tolist() == [0, layers.UDP]
    assert decoded.packets.src_port.tolist() == [0, 40000]
    assert decoded.packets.payload.tolist() == [0, 13]


def test_overlaps_are_findings() -> None:
    for version, name in ((4, "ipv4.frag_overlap"), (6, "ipv6.frag_overlap")):
        first, last = halves(DATAGRAM, version)
        parts = [first, first, Fragment(7, version, 0, True, bytes(16)), last]
        _, findings = examined([packet(part) for part in parts])
        found = [(int(row["packet"]), all_rules()[row["rule"]].id) for row in findings]
        overlapping = [3, 4] if version == 4 else [3]
        assert found == [(number, name) for number in overlapping]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_warming_up_compiles_what_fragments_need() -> None:
    warm_up()
    known = list(defrag._collect.signatures)
    assert known
    examined([packet(part) for part in halves(DATAGRAM)])
    assert list(defrag._collect.signatures) == known
