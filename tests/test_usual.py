"""What nearly all packets are is decoded by itself: to the same as any packet, column by column."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.decode.any_frame import MOST_SPANS, decode_any
from procwire.decode.checksum import UNCHECKED
from procwire.decode.columns import Decoded, Spans, Verified, unwritten_packets
from procwire.decode.fast_path import decode_usual
from procwire.decode.frame import decode
from procwire.decode.output import NOT_SKIPPED, SKIP_REASONS, Extent, Output
from test_checksum import whole
from test_decode import ETHERNET_IPV4, TCP, batch_of, ipv4

TUNNELS = (4789, 6081, 3544)
PORTS = (0, 25, 53, 80, 123, 443, 445, 502, 5353, 20000, 40000, 65535, *TUNNELS)
PAYLOADS = (
    b"",
    b"G",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"SSH-2.0-a\r\n",
    b"EHLO a.example\r\n",
    b"220 a.example\r\n",
    bytes.fromhex("1603010030 010000 2c") + bytes(44),
    bytes.fromhex("00000040 fe534d42") + bytes(60),
    bytes.fromhex("0013 1234 0100 0001 0000 0000 0000 0161 0000 0100 01"),
    bytes.fromhex("0001 0000 0006 01 03 0000 0001"),
    bytes.fromhex("0564 05c0 0100 0000 0000"),
    bytes.fromhex("08000000 00004d00") + ETHERNET_IPV4 + ipv4(TCP),
)
KINDS = {
    "plain": 0.4,
    "padded": 0.5,
    "cut off": 0.57,
    "snapped": 0.64,
    "short": 0.72,
    "damaged": 0.96,
    "tagged": 1.0,
}
# The ethertype; of IPv4 version, total length, fragment, protocol; data offset; length of UDP.
FIELDS = (12, 13, 14, 14, 16, 17, 20, 21, 23, 46, 46, 38, 39)
VALUES = (0, 1, 17, 0x46, 0x55, 0xF0, 0xFF)


def usual_frame(source: Random) -> tuple[bytes, int, int]:
    """(captured bytes, length on the wire, link type) of a frame that is decoded by itself, or of
    one that is nearly such a one."""
    payload = source.choice((*PAYLOADS, source.randbytes(source.randrange(1460))))
    ports = struct.pack(">HH", source.choice(PORTS), source.choice(PORTS))
    if source.random() < 0.6:
        words = source.choice((0, 0, 3, 10))
        flags = source.choice((0x10, 0x18, 0x02, 0x12, source.randrange(256)))
        fixed = source.randbytes(8) + bytes([0x50 + 16 * words, flags]) + source.randbytes(6)
        protocol, body = 6, ports + fixed + source.randbytes(4 * words) + payload
    else:
        protocol, body = 17, ports + struct.pack(">HH", 8 + len(payload), 0) + payload
    data = whole(layers.IPV4, protocol, body)
    if protocol == 17 and source.random() < 0.2:
        # It sends no checksum.
        data = data[:40] + bytes(2) + data[42:]
    chance = source.random()
    kind = next(name for name, below in KINDS.items() if chance < below)
    length = len(data)
    if kind == "padded":
        data += source.randbytes(source.choice((1, 6, 46)))
        length = len(data) + source.choice((0, 0, 4))
    elif kind in ("cut off", "snapped"):
        data = data[: source.choice((source.randrange(len(data) + 1), source.randrange(14, 60)))]
        length = len(data) if kind == "cut off" else max(length, len(data))
    elif kind == "short":
        # Of the transport header not all is sent.
        sent = source.randrange(24)
        data = data[:16] + (20 + sent).to_bytes(2, "big") + data[18 : 34 + sent]
        data += bytes(source.choice((0, 20)))
        length = len(data)
    elif kind == "damaged":
        at = min(source.choice((*FIELDS, source.randrange(len(data)))), len(data) - 1)
        near = (data[at] + 1 & 255, data[at] - 1 & 255, data[at] ^ 1 << source.randrange(8))
        data = data[:at] + bytes([source.choice((*VALUES, *near))]) + data[at + 1 :]
    elif kind == "tagged":
        data = data[:12] + b"\x81\0\0\x07" + data[12:]
        length = len(data)
    return data, length, 1 if source.random() < 0.97 else source.choice((12, 101, 113, 228))


def written_by_plain_python(batch: PacketBatch) -> tuple[Decoded, NDArray[np.bool_]]:
    """Every packet of a batch decoded as any, and whether it would be decoded by itself."""
    count = len(batch.start)
    packets, found = unwritten_packets(count), np.empty(count, np.int32)
    room = count * MOST_SPANS
    kinds = (np.int32, np.uint8, np.int64, np.int32, np.int32, np.int32)
    spans = Spans(*(np.empty(room, kind) for kind in kinds))
    verified = Verified(np.empty(room, np.uint8), np.empty(room, np.uint64))
    used, suspects = np.zeros(2, np.int64), np.empty(room, np.int32)
    inner, cut = np.zeros(4, np.int64), np.zeros(1, np.bool_)
    output = Output(packets, spans, suspects, used, inner, cut, True)
    skipped, is_usual = np.zeros(len(SKIP_REASONS), np.int64), np.zeros(count, np.bool_)
    for row in range(count):
        extents = (batch.start[row], batch.captured[row], batch.length[row])
        frame, before = Extent(*map(int, extents)), used.copy()
        with np.errstate(over="ignore"):
            is_usual[row] = decode_usual(batch, frame, row, found, output, verified)
            used[:] = before
            reason = decode_any(batch, frame, row, found, output, verified)
        if reason != NOT_SKIPPED:
            skipped[reason] += 1
    filled = Spans._make(column[: used[0]] for column in spans)
    sums = Verified._make(column[: used[0]] for column in verified)
    nothing = np.zeros(count, np.uint64)
    return Decoded(packets, filled, skipped, nothing, found, sums, suspects[: used[1]]), is_usual


def columns_of(decoded: Decoded) -> dict[str, list[Any]]:
    states = decoded.verified.states
    return {
        **{name: column.tolist() for name, column in decoded.packets._asdict().items()},
        **{f"span {name}": column.tolist() for name, column in decoded.spans._asdict().items()},
        "skipped": decoded.skipped.tolist(),
        "found": decoded.span.tolist(),
        "states": states.tolist(),
        "keys": decoded.verified.keys[states != UNCHECKED].tolist(),
        "suspects": decoded.suspects.tolist(),
    }


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_all_is_as_of_any_packet(seed: int, cut: bool) -> None:
    source = Random(seed)
    batch = batch_of([usual_frame(source) for _ in range(120)], cut)
    of_any, is_usual = written_by_plain_python(batch)
    assert columns_of(decode(batch)) == columns_of(of_any)
    assert 0.3 < is_usual.mean() < 0.95
