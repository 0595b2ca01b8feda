"""Decoding: exact columns of known packets, and agreement with the plain twin on any bytes."""

from __future__ import annotations

import struct
from collections import Counter
from random import Random

import numpy as np
import pytest
from frames import LINKS, frame
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_decode import decode_naive
from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.decode.columns import Decoded, Packets
from procwire.decode.frame import SKIP_REASONS, decode

# What a kernel that strays would find: the type of the jumbo option.
GAP = b"\xc2" * 40


def batch_of(packets: list[tuple[bytes, int, int]], cut: bool = False) -> PacketBatch:
    """(captured bytes, length on the wire, link type) each, with other bytes between them. cut:
    what has fewer bytes than on the wire was cut by something else than the snap length."""
    captured = np.array([len(data) for data, _, _ in packets], np.int32)
    start = np.cumsum(captured + len(GAP), dtype=np.int64) - captured
    return PacketBatch(
        data=np.frombuffer(GAP + GAP.join(data for data, _, _ in packets) + GAP, np.uint8),
        start=start,
        captured=captured,
        length=np.array([length for _, length, _ in packets], np.int32),
        time=np.zeros(len(packets), np.int64),
        link=np.array([link for _, _, link in packets], np.uint16),
        cut=np.array([cut and len(data) < length for data, length, _ in packets], np.bool_),
        first=1,
    )


def expected(
    packets: list[tuple[bytes, int, int]], cut: bool = False
) -> tuple[list, list, list[int]]:
    """What decode() must say of a batch_of the packets: rows, spans, skipped."""
    rows, spans, reasons = [], [], Counter()
    for row, (start, (data, length, link)) in enumerate(
        zip(batch_of(packets).start.tolist(), packets, strict=True)
    ):
        fields, own, reason = decode_naive(data, length, link, cut and len(data) < length)
        base = len(spans)
        rows.append(tuple(fields.values()))
        for layer, at, captured, size, outer in own:
            spans.append(
                (row, layer, start + at, captured, size, outer + base if outer >= 0 else -1)
            )
        reasons[reason] += 1
    return rows, spans, [reasons[reason] for reason in SKIP_REASONS]


def found(decoded: Decoded) -> tuple[list, list, list[int]]:
    rows = list(zip(*(column.tolist() for column in decoded.packets), strict=True))
    spans = list(zip(*(column.tolist() for column in decoded.spans), strict=True))
    return rows, spans, decoded.skipped.tolist()


def any_bytes(source: Random) -> tuple[bytes, int, int]:
    data = source.randbytes(source.randrange(100))
    return data, len(data) + source.choice((0, 0, 50)), source.choice(LINKS)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.booleans())
def test_columns_and_spans_equal_the_plain_twins(seed: int, cut: bool) -> None:
    source = Random(seed)
    packets = [frame(source) for _ in range(300)] + [any_bytes(source) for _ in range(50)]
    assert found(decode(batch_of(packets, cut))) == expected(packets, cut)


ETHERNET_IPV4 = bytes(12) + b"\x08\x00"
TCP = struct.pack(">HHIIBBHHH", 40000, 445, 7, 9, 0x50, 0x12, 1024, 0, 0)


def ipv4(body: bytes, protocol: int = 6, total: int | None = None, first: int = 0x45) -> bytes:
    size = 20 + len(body) if total is None else total
    header = struct.pack(">BBHHHBBH", first, 0, size, 1, 0, 63, protocol, 0)
    return header + bytes([10, 0, 0, 5]) + bytes([10, 0, 0, 9]) + body


def decode_one(data: bytes, length: int | None = None, link: int = 1) -> Decoded:
    return decode(batch_of([(data, len(data) if length is None else length, link)]))


def row(decoded: Decoded) -> dict[str, int]:
    return {name: int(column[0]) for name, column in decoded.packets._asdict().items()}


def test_a_tcp_packet_fills_every_column() -> None:
    decoded = decode_one(ETHERNET_IPV4 + ipv4(TCP + b"hello"))
    assert row(decoded) == {
        "network": layers.IPV4,
        "protocol": 6,
        "transport": layers.TCP,
        "tcp_flags": 0x12,
        "ttl": 63,
        "fragment": 0,
        "src_hi": 0,
        "src_lo": 0xFFFF_0A00_0005,
        "dst_hi": 0,
        "dst_lo": 0xFFFF_0A00_0009,
        "src_port": 40000,
        "dst_port": 445,
        "payload": 5,
        "seq": 7,
        "ack": 9,
    }
    assert decoded.spans.layer.tolist() == [layers.ETHERNET, layers.IPV4, layers.TCP]
    assert decoded.spans.outer.tolist() == [-1, 0, 1]
    assert decoded.spans.length.tolist() == [59, 45, 25]


def test_ethernet_padding_belongs_to_ip_and_not_to_tcp() -> None:
    decoded = decode_one(ETHERNET_IPV4 + ipv4(TCP) + bytes(6))
    assert decoded.spans.length.tolist() == [60, 46, 20]
    assert row(decoded)["payload"] == 0


def test_a_total_length_of_zero_means_the_frame() -> None:
    decoded = decode_one(ETHERNET_IPV4 + ipv4(TCP + bytes(3000), total=0))
    assert row(decoded)["transport"] == layers.TCP
    assert row(decoded)["payload"] == 3000


@pytest.mark.parametrize("captured", range(14, 55))
def test_a_header_that_the_snap_length_cut_is_not_malformed(captured: int) -> None:
    whole = ETHERNET_IPV4 + ipv4(TCP + bytes(100))
    decoded = decode_one(whole[:captured], len(whole))
    assert all(decoded.spans.layer < layers.MALFORMED)
    snapped = int(decoded.skipped[SKIP_REASONS.index("snapped header")])
    assert snapped == (captured < 54)
    assert (row(decoded)["transport"] == layers.TCP) == (captured == 54)


@pytest.mark.parametrize(
    ("data", "layer"),
    [
        (ipv4(TCP)[:19], layers.IPV4_MALFORMED),
        (ipv4(TCP, total=41), layers.IPV4_MALFORMED),
        (ipv4(TCP, total=19), layers.IPV4_MALFORMED),
        (ipv4(TCP, first=0x44), layers.IPV4_MALFORMED),
        (ipv4(TCP, first=0x55), layers.IPV4_MALFORMED),
        (ipv4(TCP[:19]), layers.TCP_MALFORMED),
        (ipv4(TCP[:12] + b"\x40" + TCP[13:]), layers.TCP_MALFORMED),
        (ipv4(TCP[:12] + b"\x60" + TCP[13:]), layers.TCP_MALFORMED),
        (ipv4(bytes(7), protocol=17), layers.UDP_MALFORMED),
        (ipv4(struct.pack(">HHHH", 1, 2, 7, 0), protocol=17), layers.UDP_MALFORMED),
        (ipv4(struct.pack(">HHHH", 1, 2, 9, 0), protocol=17), layers.UDP_MALFORMED),
        (ipv4(bytes(7), protocol=1), layers.ICMP4_MALFORMED),
    ],
)
def test_a_header_that_contradicts_itself_gets_the_malformed_layer(data: bytes, layer: int) -> None:
    decoded = decode_one(ETHERNET_IPV4 + data)
    assert decoded.spans.layer[-1] == layer
    assert row(decoded)["transport"] == 0
    assert not decoded.skipped.any()


def test_five_tags_are_too_many() -> None:
    decoded = decode_one(bytes(12) + b"\x81\x00\x00\x01" * 5 + b"\x08\x00" + ipv4(TCP))
    assert decoded.spans.layer.tolist() == [layers.ETHERNET] + [layers.VLAN] * 4
    assert decoded.skipped[SKIP_REASONS.index("too many VLAN tags")] == 1


def test_an_empty_batch_decodes_to_nothing() -> None:
    decoded = decode(batch_of([]))
    assert decoded.spans.packet.size == 0
    assert all(column.size == 0 for column in decoded.packets)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": np.array([-1])},
        {"start": np.array([81])},
        {"captured": np.array([7], np.int32)},
        {"captured": np.array([-1], np.int32)},
    ],
)
def test_rows_outside_the_data_are_refused(wrong: dict[str, np.ndarray]) -> None:
    batch = batch_of([(bytes(6), 6, 1)])
    with pytest.raises(ValueError, match="row 0 of the batch"):
        decode(batch._replace(**wrong))


def test_the_twin_knows_all_columns() -> None:
    assert tuple(decode_naive(b"", 0, 1)[0]) == Packets._fields
