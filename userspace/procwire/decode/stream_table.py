"""The memory of TCP directions: where each stands in its sequence numbers and in its messages, its
last bytes, segments that came too early, and messages of which a part is still to come.

All of it is bounded and made at the start. The END of a flow says which place its direction has.
Where enough have ended, the place of the one that ended first is given to the next, so that few are
in use and the caches know them. Where none has ended, one that was quiet for longest of a few gives
way, and what it held is freed.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused
from procwire.compiled.memory import sparse_zeros
from procwire.compiled.prefetch import lines_of, prefetch
from procwire.decode.flow_table import Record

WINDOW = 2048
"""Bytes remembered of each direction, to compare with what is sent again."""
DIRECTIONS = 1 << 13
_PROBES = 4
# So many that have ended keep their places while there are others: what comes late is compared.
_ENDED_KEPT = 1 << 9

MESSAGE_ROOM = 8192
"""Bytes kept of a message that crosses segments; servers refuse longer HTTP heads as well."""
MESSAGES = 1 << 11
PIECE_ROOM = 2048
"""Bytes of a held piece; a larger segment is held in several."""
PIECES = 1 << 12
START_ROOM = 16
"""First bytes by which a protocol is recognised, but for a request of HTTP by any method, which is
by the end of its line."""

STREAM = np.dtype(
    [
        ("owner", "i8"),  # twice the flow's slot plus its end, plus 1; 0 is free
        ("used", "i8"),  # ns, of the last segment; 0 once it has ended
        ("skip", "i8"),  # bytes to pass over before the next part of a message
        ("filled", "i8"),  # bytes that are kept of a message
        ("layer", "i8"),
        ("held", "i4"),  # first held piece plus 1, ordered by sequence number; 0 is none
        ("phase", "i4"),
        ("flow", "u4"),  # the flow's number
        ("low", "u4"),  # sequence number of the first byte remembered
        ("high", "u4"),  # and of the next byte expected
        ("end", "u4"),  # and of the FIN, where ENDS
        # What bulk data does not need: another cache line.
        ("packet", "i8"),  # number of the packet that delivered last
        ("waits", "i8"),  # ns, since when a gap is waited for
        ("whole", "i8"),  # bytes of the whole message; 0 while unknown
        ("wanted", "i8"),  # bytes of it that are judged
        ("room", "i8"),  # where its part is kept, plus 1; 0 is nowhere
        ("marks", "i8"),
        ("asked", "i8"),  # requests without response yet, two bits each, the oldest lowest
        ("requests", "i4"),  # how many
        ("pieces", "i2"),  # how many are held
        ("line", "i2"),  # how far the end of a head is in sight
    ],
    align=True,
)
"""One direction, in two cache lines. What is passed on to other kernels is wide: they would be
compiled once more for narrow numbers."""

UNDECIDED, OUT_OF_SYNC, MESSAGE, CHUNK, TRAILER, TEXT, TEXT_ASKED, TLS_ASKED = range(8)
"""Phases. UNDECIDED: the first bytes are awaited; CHUNK: at the size of an HTTP chunk; TEXT: in a
mail's; TEXT_ASKED, TLS_ASKED: what follows depends on the answer to DATA or STARTTLS."""

SURE, SEALED, ENDS, FROM_START, GOES_ON, UNBROKEN, REQUESTS, LOOSE = 1, 2, 4, 8, 16, 32, 64, 128
"""Marks of a direction: more than its first bytes speak for its protocol; from here on it is
encrypted; its FIN was seen; it is read from its very first byte; a message of it was told; it
was never lost where its messages begin; the last message of HTTP in it was a request, or the first
one is to be."""

AMISS, NOT_JUDGED, REPLIES = 256, 512, 1024
"""Marks of a direction of mail: a line was not what was due, which is to be told of, as is one of a
request that its direction ends in; commands are not judged any more; its client's last command has
replies and nothing else behind it."""

NO_REQUEST = 8192
"""Mark of a direction of HTTP: where a request is due came what is none, which is to be told of."""

OTHER_TEXT = 4096
"""Mark of a direction that began with text of a protocol that is not known."""

_IN_RING = 2048  # a mark, too: its place is among those that have ended

UNTIL_CLOSE = 1 << 62
"""Bytes to skip where nothing of a direction will be judged any more."""

_STREAM_LINES = lines_of(STREAM.itemsize)

PIECE = np.dtype([("seq", "i8"), ("length", "i8"), ("next", "i8"), ("told", "i8")], align=True)
"""A piece of a segment that came too early; next: as STREAM.held; told: whether it was
observed that one that is held contradicts another."""

STREAM_COUNTERS = (
    "segments_held",
    "gaps_skipped",
    "streams_evicted",
    "sync_lost",
    "messages_overflowing",
)
"""segments_held: came before what precedes them; gaps_skipped: bytes that never came;
streams_evicted: directions forgotten for others before their end; sync_lost: where a message should
begin, none did; messages_overflowing: longer than is kept, or too many at a time."""
HELD, GAPS, EVICTED, SYNC_LOST, OVERFLOWING = range(len(STREAM_COUNTERS))


_ROOMS_SIZE, _PIECES_SIZE = MESSAGES * MESSAGE_ROOM, PIECES * PIECE_ROOM
START_AT = _ROOMS_SIZE + _PIECES_SIZE
# Rows of `free`: stacks of free rooms and pieces, a ring of places whose directions have ended.
_ROOMS, _PIECES, _ENDED = range(3)
# Slots of `heights` behind those: places taken off the ring, given out at all, looked at in turn.
_TAKEN, _GIVEN, _TURN = range(3, 6)


STREAMS = np.dtype(
    [
        # Places are given out in order: these two lie in huge pages.
        ("rings", "u1", (DIRECTIONS * WINDOW,)),  # the byte with number n at n modulo WINDOW
        ("streams", STREAM, (DIRECTIONS,)),
        ("pieces", PIECE, (PIECES,)),
        # Rooms of message parts, the bytes of pieces, and from START_AT on those of one room more.
        ("store", "u1", (START_AT + MESSAGE_ROOM,)),
        ("free", "i4", (3, max(PIECES, DIRECTIONS))),  # rooms, pieces, places that have ended
        ("heights", "i8", (6,)),  # how far these are filled, see above
        ("counts", "i8", (len(STREAM_COUNTERS),)),
    ],
    align=True,
)
Streams: TypeAlias = Record
"""One STREAMS. It is one record because passing eight arrays on costs more than use."""


def empty_streams() -> NDArray[np.void]:
    """STREAMS (1,) of which nothing was seen; 41 MB, taken as they are used."""
    made = sparse_zeros((1,), STREAMS, dense=DIRECTIONS * (WINDOW + STREAM.itemsize))
    made["free"] = np.arange(made["free"].shape[-1])
    made["heights"][0, :_ENDED] = MESSAGES, PIECES
    return made


@fused
def place_for(memory: Streams, owner: int, before: int) -> int:
    """Where the stream of `owner` goes. before: where one of that owner was, or -1; if it still is,
    it gives way."""
    streams, heights = memory.streams, memory.heights
    if before >= 0 and streams[before].owner == owner:
        return before
    if heights[_GIVEN] < DIRECTIONS and heights[_ENDED] - heights[_TAKEN] <= _ENDED_KEPT:
        heights[_GIVEN] += 1
        return int(heights[_GIVEN]) - 1
    while heights[_TAKEN] < heights[_ENDED]:
        place = _next_ended(memory)
        heights[_TAKEN] += 1
        prefetch(streams, _next_ended(memory), 0, _STREAM_LINES)
        streams[place].marks &= ~_IN_RING
        # What came late may have set it going again.
        if streams[place].used == 0:
            return place
    turn = heights[_TURN]
    heights[_TURN] += _PROBES
    best = turn & (DIRECTIONS - 1)
    for probe in range(1, _PROBES):
        place = (turn + probe) & (DIRECTIONS - 1)
        if streams[place].used < streams[best].used:
            best = place
    return int(best)


@fused
def _next_ended(memory: Streams) -> int:
    return int(memory.free[_ENDED, memory.heights[_TAKEN] & (DIRECTIONS - 1)])


@fused
def end_stream(memory: Streams, place: int) -> None:
    """Nothing more is expected in a direction: its place may go to another."""
    stream = memory.streams[place]
    stream.used = 0
    if not stream.marks & _IN_RING:
        stream.marks |= _IN_RING
        memory.free[_ENDED, memory.heights[_ENDED] & (DIRECTIONS - 1)] = place
        memory.heights[_ENDED] += 1


@fused
def take_room(memory: Streams) -> int:
    """A free room, plus 1; 0 if there is none."""
    return _take(memory, _ROOMS)


@fused
def take_piece(memory: Streams) -> int:
    """A free piece, plus 1; 0 if there is none."""
    return _take(memory, _PIECES)


@fused
def pieces_free(memory: Streams) -> int:
    """How many pieces are free."""
    return int(memory.heights[_PIECES])


@fused
def room_at(room: int) -> int:
    """Where in the store a room, plus 1, begins."""
    return (room - 1) * MESSAGE_ROOM


@fused
def piece_at(piece: int) -> int:
    """Where in the store the bytes of a piece, plus 1, begin."""
    return _ROOMS_SIZE + (piece - 1) * PIECE_ROOM


@fused
def _take(memory: Streams, kind: int) -> int:
    if memory.heights[kind] == 0:
        return 0
    memory.heights[kind] -= 1
    return int(memory.free[kind, memory.heights[kind]]) + 1


@fused
def _give_back(memory: Streams, kind: int, taken: int) -> None:
    memory.free[kind, memory.heights[kind]] = taken - 1
    memory.heights[kind] += 1


@fused
def drop_part(memory: Streams, stream: Record) -> None:
    """Forget the part of a message that came so far."""
    if stream.room:
        _give_back(memory, _ROOMS, int(stream.room))
    stream.room = 0
    stream.filled = 0
    stream.whole = 0
    stream.wanted = 0
    stream.line = 0


@fused
def drop_first_piece(memory: Streams, stream: Record) -> None:
    """Free the held piece with the lowest sequence number."""
    first = int(stream.held)
    stream.held = memory.pieces[first - 1].next
    stream.pieces -= 1
    _give_back(memory, _PIECES, first)


@fused
def begin_stream(memory: Streams, stream: Record, seq: int, from_start: bool) -> None:
    """Make a stream one of which nothing was read, that goes on at `seq`."""
    drop_part(memory, stream)
    while stream.held:
        drop_first_piece(memory, stream)
    stream.low = seq
    stream.high = seq
    stream.skip = 0
    stream.asked = 0
    stream.requests = 0
    stream.layer = 0
    stream.phase = UNDECIDED
    stream.marks = (int(stream.marks) & _IN_RING) | (FROM_START | UNBROKEN if from_start else 0)
