"""SMTP's commands and replies (RFC 5321). A rule sees a command or a reply, in Suricata a segment
that begins with one, and `outer`, the TCP header. Mail text is none of its business: what it judges
begins with a known verb, or with the digits of a reply that a server's port sends. A line that is
no command, or no reply, where one is due is observed by decode/mail_dialogue.py under the same
name.
"""

from procwire.layers import MAIL_PORTS
from procwire.rule import rule
from procwire.words import captured, find, find_before, folded, span, u8, u16

LF, CR, SPACE, MINUS, ZERO, TWO, FIVE, NINE, LAST_PRINTABLE = 10, 13, 32, 45, 48, 50, 53, 57, 126
LONGEST_REPLY = 512
# 4.5.3.1.4. Extensions to MAIL and RCPT add to it, such as RFC 3461 and RFC 4954.
LONGEST_COMMAND, LONGEST_EXTENDED = 512, 2048
MOST_LINES = 32
AFTER_CODE = (SPACE, MINUS, CR)
PRINTABLE_START = 8  # bytes; what is encrypted hardly ever has as many
MOST_DIGITS = 19  # what fits 63 bits


def text(lines: str) -> str:
    """Lines as an example; "|" stands for the end of one."""
    return lines.replace("|", "\r\n").encode("latin-1").hex()


def _folded(*starts: bytes) -> tuple[int, ...]:
    return tuple(folded(span(start), 0, len(start)) for start in starts)


# A command is known by its verb and what follows, for a line of a mail may begin with a verb, too.
WITHOUT_ARGUMENT = _folded(b"data\r", b"data\n", b"rset\r", b"rset\n", b"quit\r", b"quit\n")
WITH_ARGUMENT = _folded(b"ehlo ", b"helo ", b"auth ", b"bdat ", b"bdat\r", b"start")
WITH_PATH = _folded(b"mail f", b"rcpt t")
# What follows these is no command, and an answer to AUTH may be of any length (RFC 4954 section 4).
LAST_COMMANDS = _folded(b"data", b"bdat", b"star", b"auth")
(AUTH,) = _folded(b"auth")
(BDAT,) = _folded(b"bdat")
(LAST,) = _folded(b"last")

COMMAND = "c000 0019 | "
REPLY = "0019 c000 | "


@rule(
    id="smtp.line_bad",
    sid=9101551,
    title="SMTP command or reply that breaks the syntax of its line",
    reference="RFC 5321 2.3.8, 4.2, 4.5.3.1; RFC 3030 section 2",
    needs=4,
    at=(0, 32),
    suricata=(
        "app.smtp.max_command_line_len_exceeded",
        "app.smtp.max_reply_line_len_exceeded",
        "app.smtp.invalid_reply",
        "app.smtp.truncated_line",
    ),
    zeek=(
        "line_terminated_with_single_CR",
        "line_terminated_with_single_LF",
        "line_terminated_without_CRLF",
    ),
    fires_on=[
        f"{COMMAND} {text('EHLO a')} 0a",
        f"{COMMAND} {text('MAIL FROM:<a@b>')} 0d {text('RCPT TO:<c@d>|')}",
        f"{COMMAND} {text('HELO a')} 00 0d0a",
        f"{COMMAND} {text(f'HELO {506 * chr(97)}|')}",
        f"{COMMAND} {text(f'EHLO {508 * chr(97)}')}",
        f"{COMMAND} {text(f'MAIL FROM:<{2100 * chr(97)}>|')}",
        f"{COMMAND} {text('BDAT|')}",
        f"{COMMAND} {text('BDAT LAST|')}",
        f"{COMMAND} {text('BDAT 1234 FIRST|')}",
        f"{COMMAND} {text('bdat 18446744073709551615 LAST|')}",
        f"{REPLY} {text('4.7.0 [IPTS04] Messages deferred|')}",
        f"{REPLY} {text('290 a reply|')}",
        f"{REPLY} {text('2500 a reply|')}",
        f"{REPLY} {text('220 mail.example.com ESMTP')} 0a",
        f"{REPLY} {text('250-mail.example.com|350 SIZE|')}",
        f"{REPLY} {text('250-mail.example.com|size of messages|')}",
        f"{REPLY} {text(f'250 {600 * chr(97)}|')}",
    ],
    silent_on=[
        f"{COMMAND} {text('EHLO client.example.com|')}",
        f"{COMMAND} {text('MAIL FROM:<a@b> SIZE=1000|RCPT TO:<c@d>|DATA|')}",
        f"{COMMAND} {text('QUIT')}",
        f"{COMMAND} {text('BDAT 1000 LAST|')} 00 0a",
        f"{COMMAND} {text('bdat 0|')}",
        f"{COMMAND} {text(f'AUTH PLAIN {3000 * chr(97)}|')}",
        f"{COMMAND} {text(f'HELO {505 * chr(97)}|')}",
        f"{COMMAND} {text(f'RCPT TO:<a@b> ORCPT=rfc822;{600 * chr(97)}|')}",
        f"{COMMAND} {text('DATA to be told of')} 0a",
        f"{REPLY} {text('220 mail.example.com ESMTP|')}",
        f"{REPLY} {text('250-mail.example.com|250-SIZE 10240000|250 CHUNKING|')}",
        f"{REPLY} {text('250|')}",
        f"{REPLY} {text('354 go ahead|')}",
        f"{REPLY} {text('500 unrecognized command|')}",
        f"{REPLY} {text('502 5.5.1 not implemented|')}",
        f"{REPLY} 3521 d1e7 0a90 7f13 0d0a",
        f"{COMMAND} {text('220 of us were there')} 0a",
    ],
)
def smtp_line_wrong(p, outer):
    """Lines that end differently for two servers smuggle commands past the first (2.3.8 asks for CR
    LF and nothing else); other faults come from what only poses as a mail program."""
    at = 0
    if ZERO <= u8(p, 0) <= NINE:
        for i in range(PRINTABLE_START):
            if i < captured(p) and not LF <= u8(p, i) <= LAST_PRINTABLE:
                return False
        continued = 0
        for _line in range(MOST_LINES):
            end = find(p, at, LF)
            if u16(outer, 0) not in MAIL_PORTS or at == captured(p):
                return False
            if end - at >= LONGEST_REPLY:
                return True
            if end == captured(p):
                return False
            if find_before(p, at, end, CR) != end - 1 or find_before(p, at, end, 0) < end:
                return True
            if not TWO <= u8(p, at) <= FIVE or not ZERO <= u8(p, at + 1) <= FIVE:
                return True
            code = u16(p, at) * 256 + u8(p, at + 2)
            if not ZERO <= u8(p, at + 2) <= NINE or continued != 0 and code != continued:
                return True
            if u8(p, at + 3) not in AFTER_CODE:
                return True
            continued = 0
            if u8(p, at + 3) == MINUS:
                continued = code
            at = end + 1
        return False
    for _line in range(MOST_LINES):
        start = folded(p, at, 5)
        command = start in WITHOUT_ARGUMENT or start in WITH_ARGUMENT
        if not command and folded(p, at, 6) not in WITH_PATH:
            return False
        verb = folded(p, at, 4)
        end = find(p, at, LF)
        longest = LONGEST_COMMAND
        if not command:
            longest = LONGEST_EXTENDED
        if verb != AUTH and end - at >= longest:
            return True
        if end == captured(p):
            return False
        if find_before(p, at, end, CR) != end - 1 or find_before(p, at, end, 0) < end:
            return True
        if verb == BDAT:
            at += 5
            digits = 0
            for _digit in range(MOST_DIGITS):
                if ZERO <= u8(p, at) <= NINE:
                    digits += 1
                    at += 1
            if u8(p, at) == SPACE and folded(p, at + 1, 4) == LAST:
                at += 5
            return digits == 0 or at != end - 1
        if verb in LAST_COMMANDS:
            return False
        at = end + 1
    return False
