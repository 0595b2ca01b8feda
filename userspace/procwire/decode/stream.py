"""The last bytes of each direction of a TCP connection, in order, so that what is sent again can be
compared with what was sent before (Ptacek and Newsham 1998).

Policy: the bytes that came first are kept, as a receiver has delivered them by then. Behind a gap
the memory begins anew. Memory is bounded: a ring of WINDOW bytes for each of DIRECTIONS directions;
where all neighbours are taken, the one that was quiet for longest is forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.decode.mix import mix64
from procwire.decode.tcp_segment import apart
from procwire.jit import fused
from procwire.words import Span

WINDOW = 2048
DIRECTIONS = 1 << 13
_PROBES = 4

STREAM = np.dtype(
    [
        ("owner", "i8"),  # twice the flow's slot plus its end, plus 1; 0 is free
        ("used", "i8"),  # ns, of the last segment
        ("flow", "u4"),  # the flow's number
        ("low", "u4"),  # sequence number of the first byte held
        ("high", "u4"),  # and of the one behind the last
    ],
    align=True,
)


class Streams(NamedTuple):
    """streams: STREAM (DIRECTIONS,); rings: uint8 (DIRECTIONS * WINDOW,), WINDOW bytes each,
    the byte with sequence number n at n modulo WINDOW."""

    streams: NDArray[np.void]
    rings: NDArray[np.uint8]


class Piece(NamedTuple):
    """Payload of one segment. owner, flow: as in STREAM; seq: of its first byte; header: bytes of
    the TCP header before it; time: ns."""

    owner: int
    flow: int
    seq: int
    header: int
    time: int


def empty_streams() -> Streams:
    """Streams of which nothing was seen; 16 MB, taken as they are used."""
    return Streams(np.zeros(DIRECTIONS, STREAM), np.zeros(DIRECTIONS * WINDOW, np.uint8))


@fused
def _place(streams: NDArray[np.void], owner: int) -> int:
    """Where the stream of `owner` is, or where it goes."""
    home = np.int64(mix64(np.uint64(owner)) & np.uint64(DIRECTIONS - 1))
    best = home
    for probe in range(_PROBES):
        place = (home + probe) & (DIRECTIONS - 1)
        if streams[place].owner == owner or streams[place].owner == 0:
            return int(place)
        if streams[place].used < streams[best].used:
            best = place
    return int(best)


@fused
def _copy(
    data: NDArray[np.uint8], start: int, ring: NDArray[np.uint8], at: int, count: int
) -> None:
    """Copy `count` bytes. Unsigned indices cannot be negative, so this becomes wide moves."""
    here, there = np.uint64(start), np.uint64(at)
    for i in range(np.uint64(count)):
        ring[there + i] = data[here + i]


@fused
def differs(memory: Streams, segment: Span, piece: Piece) -> bool:
    """Enter the payload of a segment; whether bytes that were sent before are others now.

    segment: from the TCP header on. A payload that was not captured whole is treated as a gap.
    """
    size = segment.length - piece.header
    place = _place(memory.streams, piece.owner)
    stream, ring = memory.streams[place], memory.rings
    known = stream.owner == piece.owner and stream.flow == piece.flow
    end = (piece.seq + size) & 0xFFFFFFFF
    stream.used = piece.time
    if not known or segment.captured < segment.length or apart(piece.seq, stream.high) > 0:
        stream.owner = piece.owner
        stream.flow = piece.flow
        stream.low = end if segment.captured < segment.length else piece.seq
        stream.high = stream.low
        if segment.captured < segment.length:
            return False
    old = min(size, -apart(piece.seq, stream.high))
    start = segment.start + piece.header
    # RFC 9293 3.8.4: the byte of a keep-alive is garbage.
    first = max(0, apart(stream.low, piece.seq)) if size > 1 else old
    for i in range(first, old):
        if ring[place * WINDOW + ((piece.seq + i) & (WINDOW - 1))] != segment.data[start + i]:
            return True
    new = max(old, size - WINDOW)
    while new < size:
        at = (piece.seq + new) & (WINDOW - 1)
        count = min(size - new, WINDOW - at)
        _copy(segment.data, start + new, ring, place * WINDOW + at, count)
        new += count
    if size > old:
        stream.high = end
    if apart(stream.high, stream.low) > WINDOW:
        stream.low = (np.int64(stream.high) - WINDOW) & 0xFFFFFFFF
    return False
