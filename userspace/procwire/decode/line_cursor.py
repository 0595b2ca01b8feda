"""The cursor in protocols of lines: SMTP's commands and replies, and the lines that open SSH.

A command is a line, a reply of SMTP all lines up to the first without a hyphen behind its code (RFC
5321 4.2.1). Replies are counted against commands, so that it is known which of them answers DATA
or STARTTLS: behind 354 comes the text of a mail up to its lone dot, behind 220 TLS.
"""

from __future__ import annotations

from procwire import layers
from procwire.compiled.jit import called, fused
from procwire.decode.application import is_mail_verb
from procwire.decode.flow_table import Record
from procwire.decode.mail_dialogue import judge_command, judge_reply
from procwire.decode.message_parts import NO_MESSAGE, elsewhere, keep
from procwire.decode.message_spans import Found, MessageSpans, tell
from procwire.decode.read_only import own_span
from procwire.decode.stream_table import (
    GOES_ON,
    MESSAGE,
    MESSAGE_ROOM,
    OUT_OF_SYNC,
    OVERFLOWING,
    SURE,
    TEXT,
    TEXT_ASKED,
    TLS_ASKED,
    UNBROKEN,
    UNDECIDED,
    UNTIL_CLOSE,
    Streams,
    drop_part,
    room_at,
)
from procwire.words import Span, find_before, folded, span, u8, u16, u32

_LF, _CR, _SPACE, _MINUS, _DOT, _ZERO, _NINE = 10, 13, 32, 45, 46, 48, 57
# RFC 4253 4.2 allows 255 bytes; one more shows that there were too many.
_IDENTIFICATION_ROOM = 256
_SSH, _SSH_2 = (int.from_bytes(start, "big") for start in (b"SSH-", b"2."))
_DATA, _BDAT, _STARTTLS, _LAST = (
    folded(span(word), 0, 4) for word in (b"data", b"bdat", b"star", b"last")
)
_READY, _TEXT_FOLLOWS = (int.from_bytes(code, "big") for code in (b"220", b"354"))
_MOST_DIGITS = 15

LINE_BEGINS, DOT, DOT_CR, IN_LINE, LINE_CR = range(5)
"""How far the lone dot that ends the text of a mail is in sight."""


@fused
def take_line(memory: Streams, spans: MessageSpans, found: Found, p: Span) -> int:
    """Take of `p` what belongs to the line at hand, or to the reply; returns how many bytes, or
    NO_MESSAGE."""
    stream = memory.streams[found.place]
    filled, step, ended = int(stream.filled), 0, False
    most = _IDENTIFICATION_ROOM if stream.layer == layers.SSH else MESSAGE_ROOM
    limit = min(p.captured, most - filled)
    while step < limit and not ended:
        line_end = find_before(p, step, limit, _LF)
        step = min(line_end + 1, limit)
        if line_end < limit:
            ended = not _goes_on(memory, stream, p)
            stream.line = filled + step
    full = filled + step == most
    if filled == 0 and (ended or full):
        stream.line = 0
        _tell_line(memory, spans, found, Span(p.data, p.start, step, step))
    else:
        if not keep(memory, stream, p, step):
            return NO_MESSAGE
        if ended or full:
            tell_kept_line(memory, spans, found)
    if full and not ended:
        memory.counts[OVERFLOWING] += 1
        stream.phase = OUT_OF_SYNC
    return step


@called
def tell_kept_line(memory: Streams, spans: MessageSpans, found: Found) -> None:
    """The part of a line that is kept is all that will be judged of it."""
    stream = memory.streams[found.place]
    filled = int(stream.filled)
    part = own_span(memory.store, room_at(int(stream.room)), filled, filled)
    _tell_line(memory, spans, elsewhere(found), part)
    drop_part(memory, stream)


@fused
def pass_text(stream: Record, p: Span) -> int:
    """Pass over the text of a mail, its lone dot included (RFC 5321 4.1.1.4)."""
    step, state, ends = 0, int(stream.line), False
    while step < p.captured and not ends:
        value = u8(p, step)
        ends = state == DOT_CR and value == _LF
        if value == _CR:
            state = DOT_CR if state == DOT else LINE_CR
        elif value == _LF and state == LINE_CR:
            state = LINE_BEGINS
        else:
            state = DOT if value == _DOT and state == LINE_BEGINS else IN_LINE
        step += 1
    stream.line = state
    if ends:
        stream.line = 0
        stream.requests += 1
        stream.phase = MESSAGE
    return step


@fused
def _goes_on(memory: Streams, stream: Record, p: Span) -> bool:
    """Whether the line whose end was just found is one of a reply that has more of them."""
    if stream.layer != layers.SMTP or not _ZERO <= _byte_at(memory, stream, p, 0) <= _NINE:
        return False
    return _byte_at(memory, stream, p, int(stream.line) + 3) == _MINUS


@fused
def _byte_at(memory: Streams, stream: Record, p: Span, at: int) -> int:
    """A byte of the message whose first part is kept, and which goes on in `p`."""
    filled = int(stream.filled)
    if at < filled:
        return int(memory.store[room_at(int(stream.room)) + at])
    return u8(p, at - filled)


@called
def _tell_line(memory: Streams, spans: MessageSpans, found: Found, line: Span) -> None:
    """Tell of a line or of a reply, and find out what follows it."""
    stream = memory.streams[found.place]
    if stream.layer == layers.SSH:
        _tell_identification(memory, spans, found, line)
        return
    tell(memory, spans, found, layers.SMTP, int(stream.marks), line)
    stream.marks |= SURE | GOES_ON
    is_needed = is_mail_verb(line)
    if not found.opened:
        followed = found.back >= 0 and memory.streams[found.back].marks & UNBROKEN != 0
        judge_reply(stream, line, followed)
    elif found.back >= 0:
        judge_command(stream, memory.streams[found.back], line, is_needed)
    if _ZERO <= u8(line, 0) <= _NINE:
        _on_reply(memory, found, stream, line)
    elif is_needed:
        _on_command(stream, line)
    elif stream.marks & UNBROKEN:
        stream.requests += 1
    else:
        # What was joined in its middle may be the text of a mail.
        stream.phase = OUT_OF_SYNC


@fused
def _tell_identification(memory: Streams, spans: MessageSpans, found: Found, line: Span) -> None:
    """RFC 4253 4.2: a server may send other lines first. Behind an identification of version 2
    come packets; those of version 1 are not read."""
    stream = memory.streams[found.place]
    if u32(line, 0) != _SSH:
        return
    tell(memory, spans, found, layers.SSH, int(stream.marks), line)
    stream.marks |= SURE
    if u16(line, 4) == _SSH_2:
        stream.layer = layers.SSH_PACKET
    else:
        stream.skip = UNTIL_CLOSE


@fused
def _on_command(stream: Record, line: Span) -> None:
    verb = folded(line, 0, 4)
    stream.requests += 1
    if verb == _BDAT:
        stream.skip = _size_of_chunk(line)
    elif verb == _STARTTLS:
        stream.phase = TLS_ASKED
    elif verb == _DATA and u8(line, 4) in (_CR, _LF):
        stream.phase = TEXT_ASKED


@fused
def _size_of_chunk(line: Span) -> int:
    """RFC 3030 section 2: BDAT, a size in decimal digits, and then that many bytes; none behind
    what a server has to refuse."""
    size, at = 0, 5
    for _digit in range(_MOST_DIGITS):
        value = u8(line, at)
        if _ZERO <= value <= _NINE:
            size = size * 10 + value - _ZERO
            at += 1
    if u8(line, at) == _SPACE and folded(line, at + 1, 4) == _LAST:
        at += 5
    return size if u8(line, at) in (_CR, _LF) else 0


@fused
def _on_reply(memory: Streams, found: Found, stream: Record, reply: Span) -> None:
    """What a reply lets the client send next, which waits for it behind DATA and STARTTLS."""
    if found.back < 0:
        return
    client = memory.streams[found.back]
    if client.layer != layers.SMTP:
        return
    if client.requests > 0:
        client.requests -= 1
    code = u32(reply, 0) >> 8
    if client.phase == TEXT_ASKED and code == _TEXT_FOLLOWS:
        client.phase = TEXT
        client.line = LINE_BEGINS
    elif client.requests == 0 and client.phase == TLS_ASKED and code == _READY:
        client.phase = UNDECIDED
        stream.phase = UNDECIDED
    elif client.requests == 0 and client.phase in (TEXT_ASKED, TLS_ASKED):
        client.phase = MESSAGE
