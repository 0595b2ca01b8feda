"""Whether a client of SMTP sends commands where commands are due, and its server replies to them
(RFC 5321 4.1.1, 4.2, 4.3.1).

A reply makes a command due, 354 the text of a mail up to its lone dot. What only looks like text
sent as commands is not judged: chunks (BDAT), dialogues of AUTH, lines that span segments.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.decode.flow_table import Record
from procwire.layers import SMTP
from procwire.words import Span, find, folded, span, token_end, u8, u16

NOT_KNOWN, COMMAND_DUE, TEXT_DUE, NOT_JUDGED, REPLY_DUE = range(5)
"""What an END sends next, as its `mail` says."""

_LF, _CR, _SPACE, _MINUS, _DOT = 10, 13, 32, 45, 46
_LINE_END = _CR * 256 + _LF
_ZERO, _NINE = 48, 57
_MOST_LINES = 32
_CODE = 3  # digits
_TEXT_FOLLOWS, _ANSWER_FOLLOWS = (int.from_bytes(code, "big") for code in (b"354", b"334"))
# What follows these is no command, nor is it the server that answers the last two.
_OTHERS_FOLLOW = tuple(
    folded(span(verb), 0, 4) for verb in (b"bdat", b"auth", b"star", b"turn", b"atrn", b"xexc")
)
_FURTHER = tuple(folded(span(verb), 0, 4) for verb in (b"noop", b"vrfy", b"expn", b"help"))


@fused
def on_reply(client: Record, message: Span) -> None:
    """What the replies in a segment make due from the `client`, an END."""
    at = 0
    for _line in range(_MOST_LINES):
        if at + 4 > message.captured or client.mail == NOT_JUDGED:
            return
        code = u16(message, at) * 256 + u8(message, at + 2)
        if code == _ANSWER_FOLLOWS:
            client.mail = NOT_JUDGED
        elif code == _TEXT_FOLLOWS:
            client.mail = TEXT_DUE
        elif client.mail == NOT_KNOWN and u8(message, at + 3) != _MINUS:
            client.mail = COMMAND_DUE
        at = find(message, at, _LF) + 1


@fused
def is_no_command(client: Record, message: Span, layer: int) -> bool:
    """Whether a segment of the client begins with no command though one is due. layer: what it
    begins like."""
    size = message.captured
    ends_line = size == message.length and u16(message, size - 2) == _LINE_END
    if client.mail == TEXT_DUE:
        dot = u8(message, size - 3) == _DOT
        if ends_line and dot and (size == 3 or u16(message, size - 5) == _LINE_END):
            client.mail = NOT_KNOWN
        return False
    if client.mail != COMMAND_DUE:
        return False
    if not ends_line:
        client.mail = NOT_KNOWN
    at = 0
    for _line in range(_MOST_LINES):
        if at < size and folded(message, at, 4) in _OTHERS_FOLLOW:
            client.mail = NOT_JUDGED
        at = find(message, at, _LF) + 1
    if at < size:
        client.mail = NOT_JUDGED
    if layer == SMTP or not ends_line or u8(message, 0) == _CR:
        return False
    end = token_end(message, 0)
    return end == 0 or u8(message, end) not in (_SPACE, _CR, _LF)


@fused
def is_further_command(client: Record, message: Span) -> bool:
    """Whether a segment of the client begins with a command that no mail needs, where one is due:
    elsewhere it would be text."""
    known = folded(message, 0, 4) in _FURTHER
    return client.mail == COMMAND_DUE and known and u8(message, 4) in (_SPACE, _CR)


@fused
def on_command(client: Record, server: Record, message: Span) -> None:
    """What the commands in a segment make due from the `server`, an END as is the client."""
    ends_line = u16(message, message.captured - 2) == _LINE_END
    if client.mail != NOT_JUDGED and ends_line and message.captured == message.length:
        server.mail = REPLY_DUE


@fused
def is_no_reply(server: Record, message: Span) -> bool:
    """Whether a segment of the server begins with no code though a reply is due, which then is due
    no more. RFC 5321 4.2: every reply begins with a code of three digits."""
    due = server.mail == REPLY_DUE
    server.mail = NOT_KNOWN
    wrong = False
    for place in range(min(_CODE, message.captured)):
        wrong |= not _ZERO <= u8(message, place) <= _NINE
    return due and wrong
