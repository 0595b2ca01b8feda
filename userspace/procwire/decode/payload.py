"""Hands the payload of the segments of a flow to the stream of its direction.

Most segments carry the middle of something: bytes in order that the cursor passes over. They are
found to be such by a few loads and remembered; only the others are taken through stream.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.compiled.jit import fused, kernel
from procwire.decode.columns import span_at
from procwire.decode.flow_table import FROM_SYN, SENT_SYN, FlowTable
from procwire.decode.framing import behind_sealed, header_size
from procwire.decode.message_spans import NO_LAYER, Found, Reading, has_room, tell
from procwire.decode.observations import (
    MAIL_AMISS,
    NO_HTTP_REQUEST,
    OUT_OF_WINDOW,
    OVERLAP_DIFFERS,
)
from procwire.decode.out_of_order import Piece
from procwire.decode.retransmissions import remember
from procwire.decode.source import Ended, FlowColumns, Source
from procwire.decode.stream import flush_stream, has_begun, read_segment
from procwire.decode.stream_table import (
    AMISS,
    DIRECTIONS,
    MESSAGE,
    NO_REQUEST,
    OUT_OF_SYNC,
    Streams,
    end_stream,
    place_for,
)
from procwire.decode.tcp_segment import FIN, RST, SYN, apart
from procwire.words import Span

_MAPPED = np.uint64(0xFFFF)
_MAPPED_SHIFT = np.uint64(32)
_ORIGINATOR = 0
NOWHERE = -1
"""Said instead of a place of a stream."""


@fused
def read_payload(
    table: FlowTable, slot: int, reading: Reading, source: Source, row: int, columns: FlowColumns
) -> int:
    """Read the payload of a segment in its stream. Observed is that it contradicts what was sent
    before, that a line of mail is not what was due, and that a sender ends in the line of a
    request, or sends something else where one is due. What has no place in a stream is judged by
    itself."""
    packets, span = source.packets, int(source.span[row])
    size, flags = int(np.int64(packets.payload[row])), int(packets.tcp_flags[row])
    if span < 0 or (size == 0 and flags & (FIN | RST) == 0):
        return 0
    segment = span_at(source.data, source.spans, span)
    header = segment.length - size
    outside = columns.observed[row] & OUT_OF_WINDOW != 0
    if slot < 0 or outside or flags & (SYN | RST):
        _tell_alone(reading, source, row, segment.start)
        if slot < 0 or outside or flags & RST == 0:
            return 0
        size = 0
    captured = min(size, max(segment.captured - header, 0))
    payload = Span(source.data, segment.start + header, captured, size)
    sender = int(columns.sender[row]) ^ int(table.flows[slot].origin)
    place = place_of(table, slot, sender, reading.streams)
    if place == NOWHERE:
        if size == 0:
            return 0
        end = table.ends[slot, sender]
        place = place_for(reading.streams, _owner(slot, sender), int(np.int64(end.stream)) - 1)
        end.stream = place + 1
    elif _passes(reading.streams, place, source, row, payload):
        return 0
    back = place_of(table, slot, 1 - sender, reading.streams)
    if back == place:
        back = NOWHERE
    opened = columns.sender[row] == _ORIGINATOR
    found = _found(source, row, segment.start, place, back, opened)
    piece = _piece(table, slot, source, row, sender)
    differs = read_segment(reading.streams, reading.spans, found, payload, piece)
    observed, stream = OVERLAP_DIFFERS if differs else 0, reading.streams.streams[place]
    if stream.marks & (AMISS | NO_REQUEST):
        if stream.layer == layers.SMTP:
            observed |= MAIL_AMISS
        elif flags & FIN or stream.marks & NO_REQUEST:
            observed |= NO_HTTP_REQUEST
        stream.marks &= ~(AMISS | NO_REQUEST)
    return observed


@fused
def _owner(slot: int, sender: int) -> int:
    """As in STREAM."""
    return 2 * slot + sender + 1


@fused
def place_of(table: FlowTable, slot: int, sender: int, memory: Streams) -> int:
    """Where the stream of an end is read, or NOWHERE."""
    place = int(np.int64(table.ends[slot, sender].stream)) - 1
    if place < 0:
        return NOWHERE
    stream = memory.streams[place]
    mine = stream.owner == _owner(slot, sender) and stream.flow == table.flows[slot].number
    return place if mine else NOWHERE


@fused
def _passes(memory: Streams, place: int, source: Source, row: int, payload: Span) -> bool:
    """Pass over a segment that is next in order and in which nothing begins or ends, if it is one;
    it is only remembered."""
    stream, packets = memory.streams[place], source.packets
    if stream.held or stream.filled or payload.captured != payload.length:
        return False
    ends = packets.tcp_flags[row] & (FIN | RST) != 0
    if payload.length == 0:
        if apart(int(packets.seq[row]), int(stream.high)) > 0:
            return False
        stream.phase = OUT_OF_SYNC
        stream.skip = 0
        end_stream(memory, place)
        return True
    if ends or packets.seq[row] != stream.high:
        return False
    if stream.skip >= payload.length:
        stream.skip -= payload.length
    elif stream.phase == MESSAGE and stream.layer == layers.TLS:
        left = behind_sealed(payload, int(stream.skip))
        if left < 0:
            return False
        stream.skip = left
    elif stream.phase != OUT_OF_SYNC or _layer_of(source, row) != NO_LAYER:
        return False
    stream.used = source.times[row]
    remember(memory, place, payload, 0)
    return True


@fused
def _layer_of(source: Source, row: int) -> int:
    """What the payload of a segment begins like, or NO_LAYER."""
    span, spans = int(source.span[row]), source.spans
    if span + 1 < spans.outer.size and spans.outer[span + 1] == span:
        return int(np.int64(spans.layer[span + 1]))
    return NO_LAYER


@fused
def _tell_alone(reading: Reading, source: Source, row: int, header: int) -> None:
    """Tell of the message that a segment outside its stream begins with; its header is there."""
    found = _found(source, row, header, NOWHERE, NOWHERE, False)
    if header_size(found.layer) > 0:
        message = span_at(source.data, source.spans, int(source.span[row]) + 1)
        tell(reading.streams, reading.spans, found, found.layer, 0, message)


@fused
def _found(source: Source, row: int, header: int, place: int, back: int, opened: bool) -> Found:
    packets = source.packets
    return Found(
        row,
        int(np.int64(packets.src_port[row])),
        int(np.int64(packets.dst_port[row])),
        _layer_of(source, row),
        source.first + row,
        place,
        -1 if source.is_joined else header,
        back,
        opened,
    )


@fused
def _piece(table: FlowTable, slot: int, source: Source, row: int, sender: int) -> Piece:
    packets, flow = source.packets, table.flows[slot]
    mine, other = table.ends[slot, sender], table.ends[slot, 1 - sender]
    size = int(packets.payload[row])
    begins = flow.marks & FROM_SYN and mine.sent & SENT_SYN and mine.bytes == size
    return Piece(
        _owner(slot, sender),
        int(np.int64(flow.number)),
        int(np.int64(packets.seq[row])),
        int(source.times[row]),
        (int(np.int64(mine.initial)) + 1) & 0xFFFFFFFF if begins else -1,
        int(np.int64(other.acknowledged)) or -1,
        int(packets.tcp_flags[row]) & (FIN | RST) != 0,
    )


@kernel
def flush_streams(
    table: FlowTable,
    streams: NDArray[np.void],
    spans: NDArray[np.void],
    ended: Ended,
    first: int,
) -> int:
    """Judge what streams hold when the input ends, from place `first` on; returns the first one
    left, where room is short."""
    reading, packets = Reading(streams[0], spans[0]), ended.packets
    memory = reading.streams
    for at in range(first, DIRECTIONS):
        stream = memory.streams[at]
        if stream.owner == 0 or not has_begun(stream):
            continue
        flow = table.flows[(stream.owner - 1) // 2]
        if stream.flow != flow.number:
            continue
        if not has_room(reading.spans):
            return at
        if (stream.owner - 1) & 1:
            packets.src_hi[at], packets.src_lo[at] = flow.high_hi, flow.high_lo
            packets.dst_hi[at], packets.dst_lo[at] = flow.low_hi, flow.low_lo
            packets.src_port[at], packets.dst_port[at] = flow.high_port, flow.low_port
        else:
            packets.src_hi[at], packets.src_lo[at] = flow.low_hi, flow.low_lo
            packets.dst_hi[at], packets.dst_lo[at] = flow.high_hi, flow.high_lo
            packets.src_port[at], packets.dst_port[at] = flow.low_port, flow.high_port
        over_ipv4 = flow.low_hi == 0 and flow.low_lo >> _MAPPED_SHIFT == _MAPPED
        packets.network[at] = layers.IPV4 if over_ipv4 else layers.IPV6
        packets.transport[at] = layers.TCP
        ended.number[at] = stream.packet
        ended.time[at] = stream.used
        found = Found(
            at,
            int(np.int64(packets.src_port[at])),
            int(np.int64(packets.dst_port[at])),
            NO_LAYER,
            int(stream.packet),
            at,
            -1,
            -1,
            False,
        )
        flush_stream(memory, reading.spans, found)
    return DIRECTIONS
