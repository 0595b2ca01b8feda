"""The spans of messages that were found in TCP streams, for a second pass of the rules.

A message that lies in the current packet is a span of that packet. One that crosses segments, or
came before what precedes it, is copied beside them, behind the ports that rules may ask for.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.compiled.byte_copy import copy_bytes
from procwire.compiled.jit import fused
from procwire.compiled.memory import sparse_zeros
from procwire.decode.columns import Spans
from procwire.decode.flow_table import Record
from procwire.decode.stream_table import (
    GOES_ON,
    MESSAGE_ROOM,
    OVERFLOWING,
    REQUESTS,
    Streams,
)
from procwire.words import Span

_ROWS = 1 << 17
_COPIES = 1 << 20
# What one packet can deliver: itself, and all that one direction holds.
_ROOM_FOR_A_PACKET = 1 << 18
_PORT, _BEHIND_CHUNK, _PORTS, _TCP_HEADER = 2, 3, 4, 20
NO_LAYER = 0
_WITH_PORT = (layers.HTTP1_CHUNK, layers.HTTP1_TRAILER)
FIRST_CHUNK = 1 << 8
"""Beside the marks of a direction: no chunk is known to end where this line begins."""

SPAN_COLUMNS = np.dtype(
    [
        ("start", "i8", (_ROWS,)),
        ("packet", "i4", (_ROWS,)),
        ("captured", "i4", (_ROWS,)),
        ("length", "i4", (_ROWS,)),
        ("outer", "i4", (_ROWS,)),
        ("layer", "u1", (_ROWS,)),
    ],
    align=True,
)
"""Room for rows of Spans."""

COPY = np.dtype([("start", "i8"), ("row", "i4"), ("length", "i4")], align=True)
"""A message that was copied: its first byte, the row of the packet that completed it, its bytes."""


MESSAGE_SPANS = np.dtype(
    [
        ("here", SPAN_COLUMNS),  # spans of the batch's data
        ("joined", SPAN_COLUMNS),  # spans of `kept`; packets count the rows of copies
        ("copies", COPY, (_ROWS // 2,)),
        ("kept", "u1", (_COPIES,)),
        ("used", "i8", (3,)),  # rows of here, rows of joined, bytes of kept
        ("passed", "i8", (2,)),  # rows of here and of joined that questions were followed in
    ],
    align=True,
)
MessageSpans: TypeAlias = Record
"""One MESSAGE_SPANS."""


class Found(NamedTuple):
    """Where a message was found. row: of the packet that completes it; source, destination: ports;
    layer: what the packet's payload begins like, or NO_LAYER; packet: the number of the packet;
    place: of its stream; header: index of the packet's TCP header, or -1 if the bytes at hand are
    not the packet's; back: place of the stream of the other direction, or -1; opened: whether it is
    a message of who opened the connection."""

    row: int
    source: int
    destination: int
    layer: int
    packet: int
    place: int
    header: int
    back: int
    opened: bool


class Reading(NamedTuple):
    """What reading streams needs: their memory, and where it tells of messages."""

    streams: Streams
    spans: MessageSpans


def message_spans() -> NDArray[np.void]:
    """Room for the messages of a batch, or of as much of it as fits: MESSAGE_SPANS (1,)."""
    return sparse_zeros((1,), MESSAGE_SPANS)


def used_spans(columns: np.void, count: int) -> Spans:
    """The first `count` rows of SPAN_COLUMNS, which are not copied."""
    return Spans(*(columns[name][:count] for name in Spans._fields))


def message_rows(count: int) -> NDArray[np.int32]:
    """Those of the first `count` rows that are messages, each behind the header around it."""
    return np.arange(1, count, 2, dtype=np.int32)


@fused
def has_room(spans: MessageSpans) -> bool:
    """Whether what one more packet delivers is sure to fit."""
    rows = max(spans.used[0], spans.used[1])
    return bool(rows <= _ROWS // 2 and spans.used[2] <= _COPIES - _ROOM_FOR_A_PACKET)


@fused
def tell(
    memory: Streams, spans: MessageSpans, found: Found, layer: int, marks: int, message: Span
) -> None:
    """Add the span of a message. message: in the packet, if found.header says so; marks: of its
    direction, with FIRST_CHUNK."""
    at = int(spans.used[0])
    if max(at, int(spans.used[1])) + 2 > _ROWS:
        memory.counts[OVERFLOWING] += 1
    elif found.header >= 0:
        header = message.start - found.header
        outer = Span(message.data, found.header, header, header)
        if layer in _WITH_PORT:
            size = _part_of_ports(layer, marks)
            outer = Span(message.data, found.header + _PORTS - size, size, size)
        _add(spans.here, at, found.row, NO_LAYER, outer)
        _add(spans.here, at + 1, found.row, layer, message)
        spans.here.outer[at + 1] = _outer(layer, marks, at)
        spans.used[0] = at + 2
    else:
        _tell_copy(memory, spans, found, layer, marks, message)


@fused
def _tell_copy(
    memory: Streams, spans: MessageSpans, found: Found, layer: int, marks: int, message: Span
) -> None:
    at, start = int(spans.used[1]), int(spans.used[2])
    size = min(message.captured, MESSAGE_ROOM)
    if start + _PORTS + size > _COPIES:
        memory.counts[OVERFLOWING] += 1
        return
    kept, first = spans.kept, start + _PORTS
    kept[start], kept[start + 1] = found.source >> 8, found.source & 255
    kept[start + 2], kept[start + 3] = found.destination >> 8, found.destination & 255
    copy_bytes(message.data, message.start, kept, first, size)
    number = at // 2
    outer = Span(message.data, start, _PORTS, _TCP_HEADER)
    if layer in _WITH_PORT:
        part = _part_of_ports(layer, marks)
        outer = Span(message.data, start + _PORTS - part, part, part)
    _add(spans.joined, at, number, NO_LAYER, outer)
    _add(spans.joined, at + 1, number, layer, Span(message.data, first, size, message.length))
    spans.joined.outer[at + 1] = _outer(layer, marks, at)
    copy = spans.copies[number]
    copy.start = first
    copy.row = found.row
    copy.length = size
    spans.used[1] = at + 2
    spans.used[2] = first + size


@fused
def _part_of_ports(layer: int, marks: int) -> int:
    if marks & FIRST_CHUNK:
        return 1
    return _PORT if layer == layers.HTTP1_TRAILER or marks & REQUESTS else _BEHIND_CHUNK


@fused
def _outer(layer: int, marks: int, header: int) -> int:
    """What belongs to something told before is told from a beginning by having no header around
    it; a chunk of a request, and a trailer, have the port that they go to, of the first chunk a
    byte of it, and a chunk of a response has a byte more of both ports, the first nothing."""
    part = layer == layers.TLS and marks & GOES_ON != 0
    part |= layer == layers.HTTP1_CHUNK and marks & (REQUESTS | FIRST_CHUNK) == FIRST_CHUNK
    return -1 if part else header


@fused
def _add(columns: Record, at: int, packet: int, layer: int, span: Span) -> None:
    columns.packet[at] = packet
    columns.layer[at] = layer
    columns.start[at] = span.start
    columns.captured[at] = span.captured
    columns.length[at] = span.length
    columns.outer[at] = -1
