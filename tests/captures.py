"""Writes pcap and pcapng bytes for tests, in either byte order."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Frame(NamedTuple):
    """One packet: its captured bytes, ns since the epoch, and its length where more was on the
    wire."""

    data: bytes
    time: int = START
    length: int | None = None

    @property
    def wire(self) -> int:
        return len(self.data) if self.length is None else self.length


def pcap(
    frames: Iterable[Frame],
    *,
    order: str = "<",
    nanoseconds: bool = False,
    link: int = 1,
    snap: int = 262144,
) -> bytes:
    """A classic capture file; order: "<" or ">"; link: the whole link type field."""
    magic, tick = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, link)]
    for frame in frames:
        seconds, fraction = divmod(frame.time, SECOND)
        parts.append(
            struct.pack(f"{order}IIII", seconds, fraction // tick, len(frame.data), frame.wire)
        )
        parts.append(frame.data)
    return b"".join(parts)


def padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + padded(value)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    total = struct.pack(f"{order}I", 12 + len(padded(body)))
    return struct.pack(f"{order}I", kind) + total + padded(body) + total


def section(order: str = "<", options: bytes = b"") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order)


def interface(link: int = 1, order: str = "<", snap: int = 0, options: bytes = b"") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, snap) + options, order)


def enhanced(data: bytes, ticks: int, order: str = "<", number: int = 0, wire: int = -1) -> bytes:
    length = len(data) if wire < 0 else wire
    high, low = divmod(ticks, 2**32)
    return block(
        6, struct.pack(f"{order}IIIII", number, high, low, len(data), length) + padded(data), order
    )


def obsolete(data: bytes, ticks: int, order: str = "<", number: int = 0) -> bytes:
    high, low = divmod(ticks, 2**32)
    return block(
        2,
        struct.pack(f"{order}HHIIII", number, 7, high, low, len(data), len(data)) + padded(data),
        order,
    )


def simple(data: bytes, order: str = "<", wire: int = -1) -> bytes:
    length = len(data) if wire < 0 else wire
    return block(3, struct.pack(f"{order}I", length) + padded(data), order)
