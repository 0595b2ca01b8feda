"""Parts of messages that cross segments: each is kept in a room of its direction until all of what
is judged has come."""

from __future__ import annotations

from procwire.compiled.byte_copy import copy_bytes
from procwire.compiled.jit import fused
from procwire.decode.flow_table import Record
from procwire.decode.message_spans import NO_LAYER, Found
from procwire.decode.stream_table import OVERFLOWING, Streams, room_at, take_room
from procwire.words import Span

NO_MESSAGE = -1
"""Said instead of a count of bytes, where what has to be a message is none or cannot be kept."""


@fused
def keep(memory: Streams, stream: Record, p: Span, count: int) -> bool:
    """Add `count` bytes to the part of the message; whether there was room."""
    if stream.room == 0:
        stream.room = take_room(memory)
        if stream.room == 0:
            memory.counts[OVERFLOWING] += 1
            return False
    at = room_at(int(stream.room)) + int(stream.filled)
    copy_bytes(p.data, p.start, memory.store, at, count)
    stream.filled += count
    return True


@fused
def elsewhere(found: Found) -> Found:
    """The same place, for bytes that are not in the packet."""
    return _no_start(found, -1)


@fused
def behind_start(found: Found) -> Found:
    """The same place, for bytes in the packet that are not the first it carries."""
    return _no_start(found, found.header)


@fused
def _no_start(found: Found, header: int) -> Found:
    return Found(
        found.row,
        found.source,
        found.destination,
        NO_LAYER,
        found.packet,
        found.place,
        header,
        found.back,
        found.opened,
    )
