"""The table of open datagrams: for each its bytes so far, and a map of which 8-byte blocks came.

The map tells overlaps and holes apart without the lists of RFC 815. Rows are found by hash within a
short neighbourhood; a full neighbourhood gives up its oldest datagram.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.fields import u8
from procwire.compiled.jit import fused
from procwire.compiled.memory import sparse_zeros
from procwire.decode.fragment import (
    HEADER_ROOM,
    LARGEST_DATAGRAM,
    UNIT,
    Piece,
    Slot,
    name_next_header,
    uneven,
)
from procwire.decode.mix import mix64, mix_address

COUNTERS = (
    "fragments",
    "reassembled",
    "overlapping",
    "repeated",
    "refused",
    "snapped",
    "evicted",
    "timed_out",
    "dropped",
)
"""refused: fragments without data, of an impossible size or behind more headers than there is room
for, uneven ones of less than a block or of IPv6; snapped: not captured whole; evicted, timed_out:
open datagrams displaced by others, or found unfinished after the timeout; dropped: fragments of a
datagram that an overlap ended."""
(
    FRAGMENTS,
    REASSEMBLED,
    OVERLAPPING,
    REPEATED,
    REFUSED,
    SNAPPED,
    EVICTED,
    TIMED_OUT,
    DROPPED,
) = range(len(COUNTERS))
HELD = len(COUNTERS)  # bytes of all open datagrams

# What Linux waits (net.ipv4.ipfrag_time): a busy sender's 16-bit identification comes round again
# soon after (RFC 4963).
TIMEOUT_NS = 30_000_000_000

PROBES = 8

FREE, OPEN, CONTESTED, ENDED = range(4)
# _CUT: part of a block, behind which no fragment can begin.
_PRESENT, _BEGINS, _ENDS, _CUT = 1, 2, 4, 8

ENTRY = np.dtype(
    [
        ("time", "i8"),
        ("src_hi", "u8"),
        ("src_lo", "u8"),
        ("dst_hi", "u8"),
        ("dst_lo", "u8"),
        ("ident", "u4"),
        ("total", "i4"),  # bytes of payload; -1 until the last fragment came
        ("blocks", "i4"),  # blocks present
        ("reach", "i4"),  # blocks of the map that may be marked
        ("header", "i4"),  # bytes of header; 0 until the first fragment came
        ("protocol", "u1"),
        ("network", "u1"),
        ("state", "u1"),
    ],
    align=True,
)
Record: TypeAlias = Any


class Table(NamedTuple):
    """entries: ENTRY (slots,), a power of two; headers: uint8 (slots, room); payload, blocks:
    uint8, (slots, bytes) and (slots, blocks); state: int64, counters and bytes held; wanted: ENTRY
    (1,), what is looked for."""

    entries: NDArray[np.void]
    headers: NDArray[np.uint8]
    payload: NDArray[np.uint8]
    blocks: NDArray[np.uint8]
    state: NDArray[np.int64]
    wanted: NDArray[np.void]


def new_table(slots: int) -> Table:
    """An empty table; memory of a row is touched once it is used."""
    blocks = (LARGEST_DATAGRAM + 1) // UNIT
    return Table(
        np.zeros(slots, ENTRY),
        np.zeros((slots, HEADER_ROOM), np.uint8),
        sparse_zeros((slots, LARGEST_DATAGRAM + 1), np.uint8),
        sparse_zeros((slots, blocks), np.uint8),
        np.zeros(len(COUNTERS) + 1, np.int64),
        np.zeros(1, ENTRY),
    )


@fused
def _matches(entry: Record, wanted: Record) -> bool:
    return bool(
        entry.state != FREE
        and entry.ident == wanted.ident
        and entry.src_lo == wanted.src_lo
        and entry.dst_lo == wanted.dst_lo
        and entry.src_hi == wanted.src_hi
        and entry.dst_hi == wanted.dst_hi
        and entry.protocol == wanted.protocol
        and entry.network == wanted.network
    )


@fused
def slot_for(table: Table, now: int) -> Slot:
    """The slot of the wanted datagram; if it has none, a fresh one in place of a free, a timed out
    or the oldest one."""
    entries, wanted = table.entries, table.wanted[0]
    mask = len(entries) - 1
    addresses = mix_address(wanted.src_hi, wanted.src_lo) ^ mix_address(
        wanted.dst_lo, wanted.dst_hi
    )
    home = np.int64(mix64(addresses ^ np.uint64(wanted.ident)) & np.uint64(mask))
    best = home
    for probe in range(PROBES):
        slot = (home + probe) & mask
        entry = entries[slot]
        if entry.state != FREE and abs(now - entry.time) > TIMEOUT_NS:
            table.state[TIMED_OUT] += entry.state != ENDED
            release(table, slot)
        if _matches(entry, wanted):
            return slot
        if entries[best].state != FREE and (entry.state == FREE or entry.time < entries[best].time):
            best = slot
    if entries[best].state != FREE:
        table.state[EVICTED] += 1
        release(table, best)
    wanted.time, wanted.state, wanted.total = now, OPEN, -1
    entries[best] = wanted
    return best


@fused
def release(table: Table, slot: Slot) -> None:
    """Forget the datagram of a row."""
    entry = table.entries[slot]
    for block in range(entry.reach):
        table.blocks[slot, block] = 0
    table.state[HELD] -= entry.blocks * UNIT
    entry.blocks = 0
    entry.reach = 0
    entry.header = 0
    entry.state = FREE


@fused
def overlaps(table: Table, slot: Slot, piece: Piece) -> bool:
    """Whether a fragment shares a block with others, or contradicts where the datagram ends."""
    total = table.entries[slot].total
    if total >= 0 and (piece.offset + piece.size > total or not piece.more):
        # Behind the end, or a second end.
        return True
    end = piece.offset + piece.size
    if not piece.more and table.entries[slot].reach * UNIT >= end + UNIT:
        # An end before bytes that came already.
        return True
    first, last = piece.offset // UNIT, (piece.offset + piece.size - 1) // UNIT
    present = 0
    for block in range(first, last + 1):
        present |= table.blocks[slot, block]
    return present != 0


@fused
def repeats(table: Table, data: NDArray[np.uint8], slot: Slot, piece: Piece) -> bool:
    """Whether the same fragment came before, of an uneven one as far as it counts; true of no other
    while none overlaps."""
    entry, end = table.entries[slot], piece.offset + piece.size
    if piece.more and 0 <= entry.total <= end:
        return False
    if not piece.more and entry.total != end:
        return False
    first, last = piece.offset // UNIT, (end - 1) // UNIT
    for block in range(first, last + 1):
        expected = _CUT if block == last and uneven(piece) else _PRESENT
        if block == first:
            expected |= _BEGINS
        if block == last:
            expected |= _ENDS
        if table.blocks[slot, block] != expected:
            return False
    for i in range(piece.size - piece.size % UNIT if uneven(piece) else piece.size):
        if table.payload[slot, piece.offset + i] != data[piece.begin + i]:
            return False
    return True


@fused
def store(table: Table, data: NDArray[np.uint8], slot: Slot, piece: Piece) -> None:
    """Add what is new of a fragment to the datagram of a row; of an uneven one whole blocks count
    alone, as in Linux."""
    entry = table.entries[slot]
    if piece.offset == 0 and entry.header == 0:
        entry.header = piece.header
        for i in range(piece.header):
            table.headers[slot, i] = data[piece.packet + i]
        if entry.network == layers.IPV6:
            name_next_header(table.headers, slot, piece.header, u8(data, piece.begin - UNIT))
    first, last = piece.offset // UNIT, (piece.offset + piece.size - 1) // UNIT
    for block in range(first, last + 1):
        if table.blocks[slot, block] & _PRESENT:
            continue
        for i in range(block * UNIT, min((block + 1) * UNIT, piece.offset + piece.size)):
            table.payload[slot, i] = data[piece.begin + i - piece.offset]
        if block == last and uneven(piece):
            table.blocks[slot, block] |= _CUT
            continue
        table.blocks[slot, block] |= _PRESENT
        entry.blocks += 1
        table.state[HELD] += UNIT
    table.blocks[slot, first] |= _BEGINS
    table.blocks[slot, last] |= _ENDS
    entry.reach = max(entry.reach, last + 1)
