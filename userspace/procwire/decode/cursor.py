"""The cursor of a TCP direction: takes its bytes in order, finds where messages begin and end, and
tells of each that is complete. Bodies are passed over without being kept.

A message that is not in one piece is collected (message_parts.py). Each byte is looked at once, so
the work is linear however the stream is cut. A longer message is judged by what fits.
"""

from __future__ import annotations

from procwire import layers
from procwire.compiled.byte_copy import copy_bytes
from procwire.compiled.jit import called, fused
from procwire.decode.flow_table import Record
from procwire.decode.framing import begins_message, frame, header_size, seals
from procwire.decode.http_cursor import is_request_due, take_lines, take_trailer, tell_lines
from procwire.decode.http_start import ends_in_request_line
from procwire.decode.line_cursor import pass_text, take_line, tell_kept_line
from procwire.decode.message_parts import NO_MESSAGE, behind_start, elsewhere, keep
from procwire.decode.message_spans import NO_LAYER, Found, MessageSpans, tell
from procwire.decode.read_only import own_span
from procwire.decode.stream_start import begins_anew, is_undecided, layer_of, note_text
from procwire.decode.stream_table import (
    AMISS,
    CHUNK,
    FROM_START,
    GOES_ON,
    MESSAGE,
    MESSAGE_ROOM,
    OUT_OF_SYNC,
    REQUESTS,
    SEALED,
    START_AT,
    SURE,
    SYNC_LOST,
    TEXT,
    TEXT_ASKED,
    TLS_ASKED,
    TRAILER,
    UNBROKEN,
    UNDECIDED,
    UNTIL_CLOSE,
    Streams,
    drop_part,
    room_at,
)
from procwire.words import Span, find

_LINES = (layers.SMTP, layers.SSH)
_LF = 10
_IN_LINE = 64  # bytes: more than empty lines and a method take
_AWAITING = (UNDECIDED, TEXT_ASKED, TLS_ASKED)


@fused
def deliver(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> None:
    """Take the next bytes of a direction, `p`, in order."""
    stream = memory.streams[found.place]
    stream.packet = found.packet
    at = 0
    if stream.phase == UNDECIDED:
        at = _decide(memory, spans, found, p)
    if at < p.captured:
        _walk(memory, spans, found if at == 0 else behind_start(found), _rest(p, at))


@called
def cut_short(memory: Streams, spans: MessageSpans, found: Found) -> None:
    """Nothing more comes of the message at hand. Where its length is known, the next one can still
    be found."""
    stream = memory.streams[found.place]
    if stream.filled == 0:
        return
    line = stream.layer in _LINES
    of_lines = stream.phase == CHUNK or stream.layer == layers.HTTP1 or line
    if stream.phase != UNDECIDED and line:
        tell_kept_line(memory, spans, found)
    elif stream.phase != UNDECIDED and of_lines:
        tell_lines(memory, spans, found)
    elif stream.phase != UNDECIDED and stream.wanted:
        _tell_part(memory, spans, found)
    if stream.phase == UNDECIDED or of_lines or stream.filled:
        stream.phase = OUT_OF_SYNC
        stream.skip = 0
    drop_part(memory, stream)


@called
def finish(memory: Streams, spans: MessageSpans, found: Found) -> None:
    """The direction ends: what has come of a message is all there will be."""
    stream = memory.streams[found.place]
    if stream.filled and _is_in_request_line(memory, stream, found):
        stream.marks |= AMISS
    cut_short(memory, spans, found)
    stream.phase = OUT_OF_SYNC
    stream.skip = 0


@fused
def _is_in_request_line(memory: Streams, stream: Record, found: Found) -> bool:
    """Whether of a request no more than a part of its first line has come, be it any text where one
    is due: to a port of HTTP, or to a server that answered as one."""
    size = int(stream.filled)
    if stream.layer != layers.HTTP1 or stream.phase != MESSAGE or not stream.marks & REQUESTS:
        return False
    answered = found.back >= 0 and memory.streams[found.back].layer == layers.HTTP1
    if found.destination not in layers.HTTP_PORTS and not answered:
        return False
    sent = own_span(memory.store, room_at(int(stream.room)), size, size)
    is_due = find(sent, 0, _LF) == size and is_request_due(memory, stream, found)
    return ends_in_request_line(sent) or is_due


@fused
def _rest(p: Span, at: int) -> Span:
    return Span(p.data, p.start + at, p.captured - at, p.length - at)


@fused
def _decide(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> int:
    """Recognise the protocol by the first bytes of the direction; returns how many of `p` are
    dealt with: none where no protocol is known, as one may begin with this segment."""
    stream = memory.streams[found.place]
    before = int(stream.filled)
    if before == 0:
        layer = found.layer if found.layer != NO_LAYER else layer_of(memory, stream, found, p)
        if layer != NO_LAYER or not is_undecided(p):
            if layer == NO_LAYER:
                note_text(stream, p)
            _enter(memory, stream, found, layer)
            return 0
    taken = min(p.captured, MESSAGE_ROOM - before)
    if not keep(memory, stream, p, taken):
        stream.phase = OUT_OF_SYNC
        return 0
    filled, room = int(stream.filled), room_at(int(stream.room))
    if before >= _IN_LINE and filled < MESSAGE_ROOM and find(p, 0, _LF) == p.captured:
        return taken
    begun = own_span(memory.store, room, filled, filled)
    layer = layer_of(memory, stream, found, begun)
    if layer == NO_LAYER and is_undecided(begun):
        return taken
    if layer == NO_LAYER:
        note_text(stream, begun)
        _enter(memory, stream, found, layer)
        return 0
    copy_bytes(memory.store, room, memory.store, START_AT, filled)
    _enter(memory, stream, found, layer)
    _walk_elsewhere(memory, spans, found, own_span(memory.store, START_AT, filled, filled))
    return taken


@fused
def _enter(memory: Streams, stream: Record, found: Found, layer: int) -> None:
    """From here on the direction carries messages of `layer`, or none that are known."""
    drop_part(memory, stream)
    stream.layer = layer
    stream.phase = MESSAGE if header_size(layer) > 0 else OUT_OF_SYNC
    stream.skip = 0
    stream.marks &= ~(SURE | SEALED | GOES_ON)
    if stream.marks & FROM_START:
        stream.marks |= SURE
        if found.opened and layer == layers.HTTP1:
            stream.marks |= REQUESTS


@called
def _walk_elsewhere(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> None:
    """_walk() where a few bytes were kept until they told what they are."""
    _walk(memory, spans, elsewhere(found), p)


@fused
def _walk(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> None:
    stream = memory.streams[found.place]
    at, told = 0, int(spans.used[0])
    goes_on = stream.phase == MESSAGE and stream.filled == 0 and stream.skip == 0
    again = found.layer != NO_LAYER and not (goes_on and found.layer == stream.layer)
    while at < p.captured:
        rest = _rest(p, at)
        if stream.phase in _AWAITING:
            # A tunnel begins with the next segment; what was asked for has not been granted.
            stream.phase = OUT_OF_SYNC
        if stream.skip > 0:
            step = min(int(stream.skip), rest.captured)
            stream.skip -= step
            at += step
        elif stream.phase == OUT_OF_SYNC:
            # A segment that begins like a message, and of which nothing was told, begins anew.
            if not again or spans.used[0] > told or not begins_anew(stream, found, p):
                return
            at, again = 0, False
            stream.marks &= ~UNBROKEN
            _enter(memory, stream, found, found.layer)
        elif stream.phase == TEXT:
            at += pass_text(stream, rest)
        else:
            if stream.phase == TRAILER:
                step = take_trailer(memory, spans, found, rest)
            elif stream.phase == CHUNK or stream.layer == layers.HTTP1:
                step = take_lines(memory, spans, found, rest)
            elif stream.layer in _LINES:
                step = take_line(memory, spans, found, rest)
            else:
                step = _take_framed(memory, spans, found, rest)
            if step == NO_MESSAGE:
                memory.counts[SYNC_LOST] += 1
                drop_part(memory, stream)
                stream.phase = OUT_OF_SYNC
            else:
                at += step


@fused
def _take_framed(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> int:
    """Take of `p` what belongs to the message at hand, whose length its header tells; returns how
    many bytes, or NO_MESSAGE."""
    stream = memory.streams[found.place]
    layer, filled = int(stream.layer), int(stream.filled)
    header = header_size(layer)
    if filled == 0 and p.captured >= header:
        if not begins_message(layer, p, int(stream.marks)):
            return NO_MESSAGE
        size = frame(layer, p, int(stream.marks))
        if p.captured >= size.wanted:
            whole = Span(p.data, p.start, size.wanted, size.size)
            _tell_framed(memory, spans, found, whole)
            return size.wanted
        stream.whole, stream.wanted = size.size, size.wanted
    wanted = int(stream.wanted) if stream.wanted else header
    step = min(wanted - filled, p.captured)
    if not keep(memory, stream, p, step):
        return NO_MESSAGE
    filled = int(stream.filled)
    part = own_span(memory.store, room_at(int(stream.room)), filled, filled)
    if stream.wanted == 0 and filled == header:
        if not begins_message(layer, part, int(stream.marks)):
            return NO_MESSAGE
        size = frame(layer, part, int(stream.marks))
        stream.whole, stream.wanted = size.size, size.wanted
    if filled == stream.wanted:
        _tell_part(memory, spans, found)
    return step


@called
def _tell_part(memory: Streams, spans: MessageSpans, found: Found) -> None:
    """The part of the message that is kept is all that will be judged of it."""
    stream = memory.streams[found.place]
    filled = int(stream.filled)
    size = int(stream.whole) if stream.whole else filled
    part = own_span(memory.store, room_at(int(stream.room)), filled, size)
    _tell_framed(memory, spans, elsewhere(found), part)
    drop_part(memory, stream)


@called
def _tell_framed(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> None:
    stream = memory.streams[found.place]
    layer = int(stream.layer)
    size = frame(layer, p, int(stream.marks))
    if p.captured > size.prefix:
        tell(memory, spans, found, layer, int(stream.marks), _rest(p, size.prefix))
    stream.skip = size.size - p.captured
    if seals(layer, p):
        stream.marks |= SEALED
        if layer == layers.SSH_PACKET:
            stream.skip = UNTIL_CLOSE
    stream.marks |= SURE | GOES_ON
    if not size.goes_on:
        stream.phase = OUT_OF_SYNC
