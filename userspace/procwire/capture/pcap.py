"""The classic capture file, draft-ietf-opsawg-pcap: a header, then packets back to back.

A kernel notes where each packet lies and stops at the first that cannot be; Python turns what it
found there into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture import link
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u16, u32
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
from procwire.capture.source import Source
from procwire.compiled.jit import fused, kernel

FILE_HEADER = 24
PACKET_HEADER = 16
VERSION = (2, 4)

# The magic number as bytes in the file: most significant byte first?, nanoseconds per tick.
MAGICS = {
    bytes.fromhex("a1b2c3d4"): (True, 1000),
    bytes.fromhex("d4c3b2a1"): (False, 1000),
    bytes.fromhex("a1b23c4d"): (True, 1),
    bytes.fromhex("4d3cb2a1"): (False, 1),
}
# Kuznetzov's variant, whose packet headers are longer.
MODIFIED_MAGICS = (bytes.fromhex("a1b2cd34"), bytes.fromhex("34cdb2a1"))

SOUND, _HEADER_CUT, _OVER_SNAP_LIMIT, _OVER_LENGTH_LIMIT, _PACKET_CUT = range(5)

# Where in a packet's header the fault shows, and what is said of it.
_FAULTS = {
    _HEADER_CUT: (0, "found the last {found} bytes, expected a packet header of 16"),
    _OVER_SNAP_LIMIT: (8, f"found a packet of {{found}} captured bytes, expected <= {SNAP_LIMIT}"),
    _OVER_LENGTH_LIMIT: (12, f"found a packet of {{found}} bytes, expected <= {LENGTH_LIMIT}"),
    _PACKET_CUT: (0, "found a packet cut by the end of the file, {found} bytes short"),
}


class Form(NamedTuple):
    """What the header of a file says of all its packets. big: most significant byte first; tick: ns
    that a unit of fractions of a second is; snap: its snap length; link: LINKTYPE number."""

    big: bool
    tick: int
    snap: int
    link: int


def read_pcap(source: Source, batch_size: int, index: Index | None = None) -> Iterator[PacketBatch]:
    """Packets of a capture file whose magic number is in MAGICS.

    Yields batches of at most `batch_size` packets; raises InputDamaged after the last sound one.
    index: who indexes them, where somebody looks at packets meanwhile.
    """
    index = index or index_packets
    while source.data.size < FILE_HEADER and source.advance():
        pass
    data = source.data
    if data.size < FILE_HEADER:
        problem = f"found a file of {data.size} bytes, expected a file header of {FILE_HEADER}"
        raise source.damaged(data.size, problem)
    big, tick = MAGICS[data[:4].tobytes()]
    version = u16(data, 4, big), u16(data, 6, big)
    if version != VERSION:
        raise source.damaged(4, "found pcap version {}.{}, expected 2.4".format(*version))
    # The upper half holds the length of the frame check sequence.
    link_type = u32(data, 20, big) & 0xFFFF
    if link_type not in link.DECODED:
        raise link.undecoded(source.path, 20, link_type)
    form = Form(big, tick, u32(data, 16, big) or SNAP_LIMIT, link_type)
    source.at, first = FILE_HEADER, 1
    while source.at < source.data.size or source.advance():
        data = source.data
        rows = allocate(min(batch_size, (data.size - source.at) // PACKET_HEADER + 1))
        used, source.at, fault, found = index(data, source.at, form, rows, 0)
        if used:
            yield batch_of(data, rows, used, first)
            first += used
        # What seems damaged may only be cut by the end of the window.
        if fault != SOUND and not source.advance():
            offset, problem = _FAULTS[fault]
            raise source.damaged(source.at + offset, problem.format(found=found))


@kernel
def index_packets(
    data: NDArray[np.uint8], at: int, form: Form, rows: Rows, used: int
) -> tuple[int, int, int, int]:
    """As rows.Index."""
    while used < rows.start.size and at < data.size:
        size, fault, found = index_packet(data, at, form, rows, used)
        if fault != SOUND:
            return used, at, fault, found
        used += 1
        at += size
    return used, at, SOUND, 0


@fused
def index_packet(
    data: NDArray[np.uint8], at: int, form: Form, rows: Rows, row: int
) -> tuple[int, int, int]:
    """Note where the packet at `at` lies: (its size with its header, fault, value found)."""
    left, big = data.size - at, form.big
    if left < PACKET_HEADER:
        return 0, _HEADER_CUT, left
    captured, length = u32(data, at + 8, big), u32(data, at + 12, big)
    if captured > SNAP_LIMIT:
        return 0, _OVER_SNAP_LIMIT, captured
    if length > LENGTH_LIMIT:
        return 0, _OVER_LENGTH_LIMIT, length
    size = PACKET_HEADER + captured
    if size > left:
        return 0, _PACKET_CUT, size - left
    ask_ahead(data, at, size)
    rows.start[row] = at + PACKET_HEADER
    rows.captured[row] = captured
    # Some writers leave the length on the wire 0; what was captured was there.
    rows.length[row] = max(captured, length)
    rows.cut[row] = captured < min(length, form.snap - RING_ROUNDING)
    rows.time[row] = u32(data, at, big) * 1_000_000_000 + u32(data, at + 4, big) * form.tick
    rows.link[row] = form.link
    return size, SOUND, 0
