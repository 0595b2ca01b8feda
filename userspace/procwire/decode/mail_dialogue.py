"""Whether a client of SMTP sends commands where commands are due, and its server nothing but
replies to them (RFC 5321 2.3.8, 4.1.1, 4.2, 4.3.1).

What line_cursor.py takes for a command or a reply is judged here by what was said before, while
neither end was lost; the text of a mail and chunks never come here. What only looks like commands
is not judged: what follows AUTH, or verbs behind which something else may come.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.decode.flow_table import Record
from procwire.decode.stream_table import AMISS, GOES_ON, MESSAGE, NOT_JUDGED, REPLIES, UNBROKEN
from procwire.layers import SMTP
from procwire.words import Span, find_before, folded, span, token_end, u8, u32

_LF, _CR, _SPACE = 10, 13, 32
_ZERO, _NINE = 48, 57
_CODE = 3  # digits
_ANSWER_FOLLOWS = int.from_bytes(b"334", "big")
# What follows these is no command, nor is it the server that answers the last two.
_OTHERS_FOLLOW = tuple(
    folded(span(verb), 0, 4) for verb in (b"bdat", b"auth", b"star", b"turn", b"atrn", b"xexc")
)
# Commands that no mail needs.
_FURTHER = tuple(folded(span(verb), 0, 4) for verb in (b"noop", b"vrfy", b"expn", b"help"))


@fused
def judge_command(client: Record, server: Record, line: Span, is_needed: bool) -> None:
    """Mark what is amiss with a line of the client, and whether only replies are due behind it.
    client, server: STREAMs; is_needed: whether it begins with a verb that mails need, of which
    rules/smtp.py judges the end."""
    followed = server.layer == SMTP and server.phase == MESSAGE
    followed &= client.marks & server.marks & UNBROKEN != 0
    judged = (client.marks | server.marks) & NOT_JUDGED == 0
    if not followed or not judged or u8(line, line.captured - 1) != _LF:
        return
    greeted = server.marks & GOES_ON != 0
    verb, end = folded(line, 0, 4), token_end(line, 0)
    begins_command = end > 0 and u8(line, end) in (_SPACE, _CR, _LF)
    wrong_end = not is_needed and not _ends_in_cr_lf(line)
    if greeted and u8(line, 0) not in (_CR, _LF) and (wrong_end or not begins_command):
        client.marks |= AMISS
    server.marks &= ~REPLIES
    if verb in _OTHERS_FOLLOW:
        client.marks |= NOT_JUDGED
    elif is_needed or (greeted and end == len(b"noop") and verb in _FURTHER):
        server.marks |= REPLIES


@fused
def _ends_in_cr_lf(line: Span) -> bool:
    """Whether a line has no other CR than before the LF that ends it."""
    end = line.captured - 1
    return find_before(line, 0, end, _CR) == end - 1


@fused
def judge_reply(server: Record, reply: Span, client_followed: bool) -> None:
    """The same for a reply. RFC 5321 4.2: every reply begins with a code of three digits, and a
    server says nothing else. client_followed: whether nothing of its client was lost."""
    wrong = False
    for place in range(_CODE):
        wrong |= not _ZERO <= u8(reply, place) <= _NINE
    followed = client_followed and server.marks & UNBROKEN
    if wrong and followed and server.marks & (REPLIES | NOT_JUDGED) == REPLIES:
        server.marks |= AMISS
    if u32(reply, 0) >> 8 == _ANSWER_FOLLOWS:
        server.marks |= NOT_JUDGED
