"""Reads the place of a fragment from its IP headers, and writes the headers of a whole datagram."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.network import EXTENSION_LIMIT

LARGEST_DATAGRAM = 65535
UNIT = 8
# IPv4 headers take 60 bytes; behind an IPv6 header there may be options of no bounded size.
HEADER_ROOM = 256

Slot: TypeAlias = int | np.int64

_FRAGMENT_HEADER, _AUTHENTICATION = 44, 51


class Piece(NamedTuple):
    """One fragment: start of its IP packet in the data; bytes of header before its data, without
    the fragment header; where its data lies; its place in the datagram; whether more follow."""

    packet: int
    header: int
    begin: int
    size: int
    offset: int
    more: bool


@fused
def impossible(piece: Piece) -> bool:
    """Whether no datagram has such a fragment."""
    too_far = piece.offset + piece.size + piece.header > LARGEST_DATAGRAM
    return piece.size <= 0 or too_far or piece.header > HEADER_ROOM


@fused
def uneven(piece: Piece) -> bool:
    """Whether more follows where no fragment can begin."""
    return piece.more and piece.size % UNIT != 0


@fused
def ipv4_piece(data: NDArray[np.uint8], start: int, length: int) -> tuple[Piece, int]:
    """The fragment, with an intact header at `start`, of `length` bytes, and its identification."""
    header = (u8(data, start) & 15) * 4
    total = u16(data, start + 2, True) or length
    field = u16(data, start + 6, True)
    place, more = (field & 0x1FFF) * UNIT, field & 0x2000 != 0
    piece = Piece(start, header, start + header, total - header, place, more)
    return piece, u16(data, start + 4, True)


@fused
def ipv6_piece(data: NDArray[np.uint8], start: int) -> tuple[Piece, int]:
    """The same for IPv6; decoding has walked the headers up to the fragment header."""
    kind, at = u8(data, start + 6), 40
    for _step in range(EXTENSION_LIMIT):
        size = (u8(data, start + at + 1) + 1) * UNIT
        if kind == _AUTHENTICATION:
            size = (u8(data, start + at + 1) + 2) * 4
        if kind == _FRAGMENT_HEADER:
            size = UNIT
            if u16(data, start + at + 2, True) & 0xFFF9:
                break
        kind = u8(data, start + at)
        at += size
    field, end = u16(data, start + at + 2, True), 40 + u16(data, start + 4, True)
    begin = at + UNIT
    piece = Piece(start, at, start + begin, end - begin, field & 0xFFF8, field & 1 != 0)
    return piece, u32(data, start + at + 4, True)


@fused
def _byte(headers: NDArray[np.uint8], slot: Slot, at: int) -> int:
    return int(np.int64(headers[slot, at]))


@fused
def name_next_header(headers: NDArray[np.uint8], slot: Slot, size: int, following: int) -> None:
    """In the `size` bytes of IPv6 headers of row `slot`, name `following` where the fragment header
    was named."""
    kind, naming, at = _byte(headers, slot, 6), 6, 40
    while at < size:
        units = _byte(headers, slot, at + 1)
        step = (units + 1) * UNIT
        if kind == _AUTHENTICATION:
            step = (units + 2) * 4
        if kind == _FRAGMENT_HEADER:
            step = UNIT
        kind, naming = _byte(headers, slot, at), at
        at += step
    headers[slot, naming] = following


@fused
def write_ipv4_length(headers: NDArray[np.uint8], slot: Slot, header: int, size: int) -> None:
    """Make the header of row `slot` that of a whole datagram of `size` bytes."""
    headers[slot, 2], headers[slot, 3] = size >> 8, size & 255
    headers[slot, 6] &= 0x40
    headers[slot, 7] = headers[slot, 10] = headers[slot, 11] = 0
    checksum = 0
    for i in range(0, header, 2):
        checksum += _byte(headers, slot, i) << 8 | _byte(headers, slot, i + 1)
    checksum = ~(checksum % 0xFFFF) & 0xFFFF
    headers[slot, 10], headers[slot, 11] = checksum >> 8, checksum & 255


@fused
def write_ipv6_length(headers: NDArray[np.uint8], slot: Slot, size: int) -> None:
    """The same for IPv6, whose length counts what follows the first 40 bytes."""
    headers[slot, 4], headers[slot, 5] = (size - 40) >> 8, (size - 40) & 255
