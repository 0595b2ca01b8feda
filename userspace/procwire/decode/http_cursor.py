"""The cursor in HTTP/1: takes heads up to their empty line, the lines with the sizes of chunks, and
the trailers behind them."""

from __future__ import annotations

from procwire import layers
from procwire.compiled.jit import called, fused
from procwire.decode.flow_table import Record
from procwire.decode.framing import begins_message, header_size
from procwire.decode.http_framing import (
    AFTER_LF,
    CHUNKED,
    COUNTED,
    CR,
    HEAD_ENDS,
    IN_LINE,
    LF,
    NO_BODY,
    TUNNEL,
    UNSEEN_METHOD,
    Body,
    body_of_request,
    body_of_response,
    chunk_size,
    chunk_size_of_any,
    has_line_ends,
    is_behind_line,
    is_interim,
    is_response,
    method_of,
    pass_lines,
)
from procwire.decode.http_start import begins_http, is_blurred_request
from procwire.decode.message_parts import NO_MESSAGE, elsewhere, keep
from procwire.decode.message_spans import FIRST_CHUNK, Found, MessageSpans, tell
from procwire.decode.read_only import own_span
from procwire.decode.stream_table import (
    CHUNK,
    FROM_START,
    GOES_ON,
    LOOSE,
    MESSAGE,
    MESSAGE_ROOM,
    NO_REQUEST,
    OUT_OF_SYNC,
    OVERFLOWING,
    REQUESTS,
    SURE,
    SYNC_LOST,
    TRAILER,
    UNBROKEN,
    UNDECIDED,
    Streams,
    drop_part,
    room_at,
)
from procwire.words import Span, find, u8

CHUNK_LINE_ROOM = 256
# Of a chunk's line: whether it says anything, whether it is the first, and if so whether of the
# response to a request that was not seen, which may have been HEAD.
_SAYS, _FIRST_LINE, _IF_ANY = 1, 4, 8
_EMPTY_LINE = 2  # bytes
_MOST_REQUESTS = 16


@fused
def take_lines(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> int:
    """Take of `p` what belongs to the head of a message, or to the line with the size of a chunk;
    returns how many bytes, or NO_MESSAGE."""
    stream = memory.streams[found.place]
    chunk = stream.phase == CHUNK
    most = CHUNK_LINE_ROOM if chunk else MESSAGE_ROOM
    filled, step = int(stream.filled), 0
    if filled == 0 and not chunk:
        # RFC 9112 2.2: empty lines before a request are ignored.
        while step < p.captured and u8(p, step) in (CR, LF):
            step += 1
        if step > 0:
            return step
        begun = p.captured >= header_size(layers.HTTP1)
        if begun and not begins_message(layers.HTTP1, p, int(stream.marks)):
            return _no_message(memory, stream, found)
    line, limit = int(stream.line), min(p.captured, most - filled)
    ended = False
    if not chunk:
        step, line = pass_lines(p, step, limit, line)
        ended = line == HEAD_ENDS
    while chunk and step < limit and not ended:
        value = u8(p, step)
        ended = line & _SAYS != 0 and value == LF
        line |= 0 if value in (CR, LF) else _SAYS
        step += 1
    full = filled + step == most
    if filled == 0 and (ended or full):
        whole = Span(p.data, p.start, step, step)
        if chunk:
            _tell_chunk(memory, spans, found, whole)
        else:
            _tell_head(memory, spans, found, whole)
    else:
        if not keep(memory, stream, p, step):
            return NO_MESSAGE
        stream.line = line
        header = header_size(layers.HTTP1)
        if not chunk and filled < header <= filled + step:
            part = own_span(memory.store, room_at(int(stream.room)), header, header)
            if not begins_message(layers.HTTP1, part, int(stream.marks)):
                return _no_message(memory, stream, found)
        if ended or full:
            tell_lines(memory, spans, found)
    if full and not ended:
        memory.counts[OVERFLOWING] += 1
        stream.phase = OUT_OF_SYNC
    return step


@called
def _no_message(memory: Streams, stream: Record, found: Found) -> int:
    """NO_MESSAGE, of a direction in which none begins where one has to."""
    if is_request_due(memory, stream, found):
        stream.marks |= NO_REQUEST
    return NO_MESSAGE


@fused
def is_request_due(memory: Streams, stream: Record, found: Found) -> bool:
    """Whether nothing but a request can follow (RFC 9112 section 3): behind others that were all
    answered, with HTTP to the end and with no tunnel, on a connection of which nothing was lost."""
    followed = FROM_START | UNBROKEN | GOES_ON
    if stream.marks & (followed | REQUESTS) != followed | REQUESTS:
        return False
    if stream.requests != 0 or found.back < 0:
        return False
    back = memory.streams[found.back]
    at_message = back.phase == MESSAGE and back.skip == 0 and back.filled == 0
    return bool(back.layer == layers.HTTP1 and at_message and back.marks & followed == followed)


@called
def tell_lines(memory: Streams, spans: MessageSpans, found: Found) -> None:
    """Of a head, a chunk's line or a trailer the part that is kept is all that will be judged."""
    stream = memory.streams[found.place]
    room, filled = room_at(int(stream.room)), int(stream.filled)
    part = own_span(memory.store, room, filled, filled)
    if stream.phase == CHUNK:
        _tell_chunk(memory, spans, elsewhere(found), part)
    elif stream.phase == TRAILER:
        _tell_trailer(memory, spans, elsewhere(found), part)
    else:
        _tell_head(memory, spans, elsewhere(found), part)
    follows = stream.line
    drop_part(memory, stream)
    stream.line = follows


@fused
def take_trailer(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> int:
    """Take of `p` what belongs to the fields behind the last chunk, up to the empty line (RFC 9112
    7.1.2), which mostly is all there is; returns how many bytes, or NO_MESSAGE."""
    stream = memory.streams[found.place]
    filled = int(stream.filled)
    step, line = pass_lines(p, 0, min(p.captured, MESSAGE_ROOM - filled), int(stream.line))
    full = filled + step == MESSAGE_ROOM
    if filled == 0 and (line == HEAD_ENDS or full):
        _tell_trailer(memory, spans, found, Span(p.data, p.start, step, step))
    else:
        if not keep(memory, stream, p, step):
            return NO_MESSAGE
        if line == HEAD_ENDS or full:
            tell_lines(memory, spans, found)
    stream.line = line
    if line == HEAD_ENDS:
        stream.line = IN_LINE
        stream.phase = MESSAGE
    elif full:
        memory.counts[OVERFLOWING] += 1
        stream.phase = OUT_OF_SYNC
    return step


@fused
def _tell_trailer(memory: Streams, spans: MessageSpans, found: Found, fields: Span) -> None:
    if fields.captured > _EMPTY_LINE or u8(fields, 0) not in (CR, LF):
        marks = int(memory.streams[found.place].marks)
        tell(memory, spans, found, layers.HTTP1_TRAILER, marks, fields)


@called
def _tell_head(memory: Streams, spans: MessageSpans, found: Found, head: Span) -> None:
    """Tell of the head of an HTTP message, and find out what follows it."""
    stream = memory.streams[found.place]
    request = bool(stream.marks & REQUESTS and is_blurred_request(head))
    if not (request or begins_http(head)):
        if find(head, 0, LF) < head.captured and is_request_due(memory, stream, found):
            stream.marks |= NO_REQUEST
        memory.counts[SYNC_LOST] += 1
        stream.phase = OUT_OF_SYNC
        return
    tell(memory, spans, found, layers.HTTP1, int(stream.marks), head)
    stream.line = IN_LINE
    stream.marks = (int(stream.marks) & ~REQUESTS) | SURE | GOES_ON
    method = UNSEEN_METHOD
    if is_response(head):
        method = _answers(memory, found, head)
        body = body_of_response(head, method)
    else:
        stream.marks |= REQUESTS
        body = body_of_request(head)
        if stream.requests < _MOST_REQUESTS:
            stream.asked |= method_of(head) << (2 * int(stream.requests))
            stream.requests += 1
    _expect_body(stream, body, method)


@fused
def _answers(memory: Streams, found: Found, head: Span) -> int:
    """The method that a response answers: of the oldest request of the other direction."""
    if found.back < 0 or is_interim(head):
        return UNSEEN_METHOD
    back = memory.streams[found.back]
    if back.requests == 0:
        return UNSEEN_METHOD
    method = int(back.asked) & 3
    back.asked >>= 2
    back.requests -= 1
    return method


@fused
def _expect_body(stream: Record, body: Body, method: int) -> None:
    if body.kind == COUNTED:
        stream.skip = body.size
    elif body.kind == CHUNKED:
        stream.phase = CHUNK
        unseen = method == UNSEEN_METHOD and not stream.marks & REQUESTS
        stream.line = _FIRST_LINE | _IF_ANY if unseen else _FIRST_LINE
    elif body.kind == TUNNEL:
        stream.phase = UNDECIDED
    elif body.kind != NO_BODY:
        stream.phase = OUT_OF_SYNC


@called
def _tell_chunk(memory: Streams, spans: MessageSpans, found: Found, line: Span) -> None:
    """Find the next chunk; tell of a line that says more than a size, or other than that, and of
    one that does not begin as it has to, and in a request end so. In a response, where a line that
    ended with a bare LF has led is not known, as readers differ about what belongs to the data
    behind it."""
    stream = memory.streams[found.place]
    first, if_any = stream.line & _FIRST_LINE != 0, stream.line & _IF_ANY != 0
    stream.line = IN_LINE
    if if_any and is_response(line):
        stream.phase = OUT_OF_SYNC
        return
    size = chunk_size(line)
    loose = int(stream.marks) & (REQUESTS | LOOSE) == LOOSE
    stream.marks &= ~LOOSE
    if u8(line, line.captured - 2) != CR:
        stream.marks |= LOOSE
    if loose and chunk_size_of_any(line) < 0:
        stream.phase = OUT_OF_SYNC
        return
    begun = first or loose or is_behind_line(line)
    if stream.marks & REQUESTS:
        begun = has_line_ends(line, first)
    if size < 0 or not begun:
        marks = int(stream.marks) | (FIRST_CHUNK if first or loose else 0)
        tell(memory, spans, found, layers.HTTP1_CHUNK, marks, line)
        size = chunk_size_of_any(line) if size < 0 else size
    if size == 0:
        stream.phase = TRAILER
        stream.line = AFTER_LF
    elif size > 0:
        stream.skip = size
    else:
        stream.phase = OUT_OF_SYNC
