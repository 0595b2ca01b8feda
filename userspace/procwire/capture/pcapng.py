"""The block-structured capture file, draft-ietf-opsawg-pcapng: sections, interfaces, packets.

A kernel walks blocks and notes packets. It stops at what changes how packets are read (a section,
an interface), which Python then parses, and at the first block that cannot be.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from procwire.capture import link
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u16, u32
from procwire.capture.interfaces import SECONDS_LIMIT, Section, new_section, read_interface
from procwire.capture.rows import (
    LENGTH_LIMIT,
    RING_ROUNDING,
    SNAP_LIMIT,
    Index,
    Rows,
    allocate,
    ask_ahead,
    batch_of,
)
from procwire.capture.source import BLOCK_LIMIT, Source
from procwire.compiled.jit import fused, kernel
from procwire.errors import InputDamaged

MAGIC = bytes.fromhex("0a0d0d0a")

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_OBSOLETE_PACKET = 2
_SIMPLE_PACKET = 3
_ENHANCED_PACKET = 6
_PACKETS = (_ENHANCED_PACKET, _SIMPLE_PACKET, _OBSOLETE_PACKET)

_SMALLEST_BLOCK = 12
_SMALLEST_SECTION_HEADER = 28
_SIMPLE_OVERHEAD = 16
_PACKET_OVERHEAD = 32

_BYTE_ORDER_MAGIC = 0x1A2B3C4D

(
    SOUND,
    PACKET,
    _SECTION,
    _INTERFACE,
    _UNDECODED_LINK,
    _HEADER_CUT,
    _BAD_LENGTH,
    _OVER_BLOCK_LIMIT,
    _BLOCK_CUT,
    _LENGTHS_DIFFER,
    _BLOCK_SHORT,
    _UNKNOWN_INTERFACE,
    _OVER_SNAP_LIMIT,
    _OVER_LENGTH_LIMIT,
    _OVER_BLOCK,
    _BAD_TIME,
) = range(16)

# Where in its block the fault shows, and what is said of it.
_FAULTS = {
    _HEADER_CUT: (0, "found the last {found} bytes, expected a block of at least 12"),
    _BAD_LENGTH: (4, "found a block length of {found}, expected a multiple of 4, at least 12"),
    _OVER_BLOCK_LIMIT: (4, f"found a block of {{found}} bytes, expected <= {BLOCK_LIMIT}"),
    _BLOCK_CUT: (0, "found a block cut by the end of the file, {found} bytes short"),
    _LENGTHS_DIFFER: (4, "found {found} as the block length at the block's end, expected the same"),
    _BLOCK_SHORT: (4, "found a packet block of {found} bytes, too short for its fields"),
    _UNKNOWN_INTERFACE: (8, "found interface {found}, expected one described in this section"),
    _OVER_SNAP_LIMIT: (20, f"found a packet of {{found}} captured bytes, expected <= {SNAP_LIMIT}"),
    _OVER_LENGTH_LIMIT: (8, f"found a packet of {{found}} bytes, expected <= {LENGTH_LIMIT}"),
    _OVER_BLOCK: (8, "found a packet of {found} captured bytes, expected what fits its block"),
    _BAD_TIME: (12, "found a time after {found} s, expected one in the years 1678 to 2262"),
}


def read_pcapng(
    source: Source, batch_size: int, index: Index | None = None
) -> Iterator[PacketBatch]:
    """Packets of a capture file that begins with MAGIC.

    Yields batches of at most `batch_size` packets; raises InputDamaged after the last sound one.
    Simple packet blocks hold no time: theirs is 0. index: as of read_pcap().
    """
    index = index or index_blocks
    section = new_section(big=False)
    first = 1
    while source.at < source.data.size or source.advance():
        data = source.data
        rows = allocate(min(batch_size, (data.size - source.at) // _SIMPLE_OVERHEAD + 1))
        used, damage = 0, None
        while used < rows.start.size and source.at < data.size and damage is None:
            used, source.at, state, found = index(data, source.at, section, rows, used)
            try:
                if state == _SECTION:
                    section, source.at = _read_section_header(source)
                elif state == _INTERFACE:
                    section, source.at = read_interface(source, section)
                elif state == _UNDECODED_LINK:
                    refused = int(section.link[found])
                    damage = link.undecoded(source.path, int(section.described[found]), refused)
                elif state != SOUND:
                    offset, problem = _FAULTS[state]
                    damage = source.damaged(source.at + offset, problem.format(found=found))
            except InputDamaged as error:
                damage = error
        if used:
            yield batch_of(data, rows, used, first)
            first += used
        # What seems damaged may only be cut by the end of the window.
        if damage is not None and not source.advance():
            raise damage


def _read_section_header(source: Source) -> tuple[Section, int]:
    data, at = source.data, source.at
    left = data.size - at
    if left < _SMALLEST_SECTION_HEADER:
        problem = f"found the last {left} bytes, expected a section header of at least 28"
        raise source.damaged(at, problem)
    big = u32(data, at + 8, True) == _BYTE_ORDER_MAGIC
    if not big and u32(data, at + 8, False) != _BYTE_ORDER_MAGIC:
        found = data[at + 8 : at + 12].tobytes().hex(" ")
        problem = f"found {found}, expected the byte-order magic 1a 2b 3c 4d or 4d 3c 2b 1a"
        raise source.damaged(at + 8, problem)
    total = u32(data, at + 4, big)
    if total < _SMALLEST_SECTION_HEADER or total % 4 or total > left:
        problem = f"found a section header of {total} bytes, expected 28 to {left}, in fours"
        raise source.damaged(at + 4, problem)
    if u32(data, at + total - 4, big) != total:
        offset, problem = _FAULTS[_LENGTHS_DIFFER]
        found_total = u32(data, at + total - 4, big)
        raise source.damaged(at + offset, problem.format(found=found_total))
    major = u16(data, at + 12, big)
    if major != 1:
        raise source.damaged(at + 12, f"found pcapng version {major}, expected 1")
    return new_section(big), at + total


@kernel
def index_blocks(
    data: NDArray[np.uint8], at: int, section: Section, rows: Rows, used: int
) -> tuple[int, int, int, int]:
    """As rows.Index."""
    while used < rows.start.size and at < data.size:
        size, state, found = index_block(data, at, section, rows, used)
        if state == PACKET:
            used += 1
        elif state != SOUND:
            return used, at, state, found
        at += size
    return used, at, SOUND, 0


@fused
def index_block(
    data: NDArray[np.uint8], at: int, section: Section, rows: Rows, row: int
) -> tuple[int, int, int]:
    """Note where the packet in the block at `at` lies: (the block's size, PACKET, or SOUND where
    nothing was noted, or what stands in the way, value found)."""
    left = data.size - at
    if left < _SMALLEST_BLOCK:
        return 0, _HEADER_CUT, left
    kind = u32(data, at, section.big)
    if kind == _SECTION_HEADER:
        return 0, _SECTION, 0
    total = u32(data, at + 4, section.big)
    if total < _SMALLEST_BLOCK or total % 4 != 0:
        return 0, _BAD_LENGTH, total
    if total > BLOCK_LIMIT:
        return 0, _OVER_BLOCK_LIMIT, total
    if total > left:
        return 0, _BLOCK_CUT, total - left
    trailer = u32(data, at + total - 4, section.big)
    if trailer != total:
        return 0, _LENGTHS_DIFFER, trailer
    if kind == _INTERFACE_DESCRIPTION:
        return 0, _INTERFACE, 0
    if kind not in _PACKETS:
        return total, SOUND, 0
    ask_ahead(data, at, total)
    if kind == _SIMPLE_PACKET:
        state, found = _index_simple(data, at, total, section, rows, row)
    else:
        state, found = _index_packet(data, at, total, section, rows, row)
    return total, PACKET if state == SOUND else state, found


@fused
def _index_simple(
    data: NDArray[np.uint8], at: int, total: int, section: Section, rows: Rows, row: int
) -> tuple[int, int]:
    if total < _SIMPLE_OVERHEAD:
        return _BLOCK_SHORT, total
    if section.interfaces == 0:
        return _UNKNOWN_INTERFACE, 0
    if not section.decoded[0]:
        return _UNDECODED_LINK, 0
    length = u32(data, at + 8, section.big)
    if length > LENGTH_LIMIT:
        return _OVER_LENGTH_LIMIT, length
    captured = min(length, section.snap[0], SNAP_LIMIT)
    if captured > total - _SIMPLE_OVERHEAD:
        return _OVER_BLOCK, captured
    rows.start[row] = at + 12
    rows.captured[row] = captured
    rows.length[row] = length
    rows.cut[row] = False
    rows.time[row] = 0
    rows.link[row] = section.link[0]
    return SOUND, 0


@fused
def _index_packet(
    data: NDArray[np.uint8], at: int, total: int, section: Section, rows: Rows, row: int
) -> tuple[int, int]:
    """Index an enhanced or obsolete packet block: they differ in the interface's width alone."""
    if total < _PACKET_OVERHEAD:
        return _BLOCK_SHORT, total
    big = section.big
    interface = u32(data, at + 8, big)
    if u32(data, at, big) == _OBSOLETE_PACKET:
        interface = u16(data, at + 8, big)
    if interface >= section.interfaces:
        return _UNKNOWN_INTERFACE, interface
    if not section.decoded[interface]:
        return _UNDECODED_LINK, interface
    captured, length = u32(data, at + 20, big), u32(data, at + 24, big)
    if captured > SNAP_LIMIT:
        return _OVER_SNAP_LIMIT, captured
    if length > LENGTH_LIMIT:
        return _OVER_LENGTH_LIMIT, length
    if captured > total - _PACKET_OVERHEAD:
        return _OVER_BLOCK, captured
    # Ticks of 2^63 and more are beyond 2262 in every resolution that counts from 1970.
    high_ticks = u32(data, at + 12, big)
    ticks = (high_ticks & 0x7FFFFFFF) << 32 | u32(data, at + 16, big)
    units = section.units[interface]
    seconds = ticks // units + section.base[interface]
    if high_ticks > 0x7FFFFFFF or abs(seconds) > SECONDS_LIMIT:
        return _BAD_TIME, seconds
    rows.start[row] = at + 28
    rows.captured[row] = captured
    rows.length[row] = max(captured, length)
    rows.cut[row] = captured < min(length, section.snap[interface] - RING_ROUNDING)
    rows.time[row] = seconds * 1_000_000_000 + _nanoseconds(ticks % units, units)
    rows.link[row] = section.link[interface]
    return SOUND, 0


@fused
def _nanoseconds(fraction: int, units: int) -> int:
    """fraction / units seconds in whole nanoseconds, without a product that 64 bits cannot hold."""
    if units <= 9_000_000_000:
        return fraction * 1_000_000_000 // units
    nanoseconds = 0
    for _ in range(9):
        fraction *= 10
        nanoseconds = nanoseconds * 10 + fraction // units
        fraction %= units
    return nanoseconds
