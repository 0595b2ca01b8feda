"""The chunks of HTTP/1 bodies (RFC 9112 section 7.1). The rule sees the head of a message, and then
the lines with the sizes of its chunks, one at a time. Of these `outer` is the port that a request
goes to, of the first line a byte of it; in a response one byte more, of the first line nothing. In
Suricata it sees the segment that begins with a message, as far as that goes.
"""

from procwire.rule import rule
from procwire.rules.http1 import OTHER_PORT, REQUEST, RESPONSE, text
from procwire.rules.http1_body import (
    BLANKS,
    CHUNKED,
    COLON,
    CR,
    LF,
    MOST_FIELDS,
    MOST_SPACES,
    NINE,
    SLASHED,
    SP,
    SPACES,
    TAB,
    TRANSFER_ENCODING,
    VERSION_1,
    ZERO,
)
from procwire.words import captured, find, find_before, folded, length, token_end, u8

QUOTE, HYPHEN = 34, 45
LINE_ENDS = (CR, LF)
BEFORE_VALUE = (SP, TAB, CR, COLON)
BEFORE_SIZE = (SP, TAB, CR, LF, 11, 12)
CHUNK_OF_REQUEST, CHUNK_OF_RESPONSE = 2, 3  # bytes of `outer`, which is shorter for the first line
SEMICOLON = 59
BEHIND_SIZE = (CR, SEMICOLON)
MOST_CHUNKS = 16
MOST_ZEROS, MOST_EXTENSIONS = 64, 4
LARGEST = 0x7FFFFFFF  # what a signed integer of 32 bits holds
EQUALS, BACKSLASH = 61, 92


def in_chunks(body: str, field: str = "Transfer-Encoding: chunked") -> str:
    """A response whose `field` says that `body` comes in chunks, as an example."""
    return f"{OTHER_PORT} {text(f'HTTP/1.1 200 OK|{field}||{body}')}"


def sent_in_chunks(body: str) -> str:
    """A request with such a body."""
    return f"{OTHER_PORT} {text(f'POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||{body}')}"


@rule(
    id="http.chunk_bad",
    sid=9101307,
    title="HTTP chunk without a size, or whose size does not lead to the next one",
    reference="RFC 9112 7.1",
    layers=("http1", "http1_chunk"),
    needs=1,
    at=(0, 64),
    suricata=("app.http.invalid_request_chunk_len", "app.http.invalid_response_chunk_len"),
    zeek=("HTTP_bad_chunk_size",),
    fires_on=[
        in_chunks("hello"),
        in_chunks("5|hello!|0||"),
        in_chunks("4|hello|0||"),
        in_chunks("5|hello|X|"),
        in_chunks('5 ; a="b"c"|hello|0||'),
        in_chunks("hello", "Transfer-Encoding\t: chunked"),
        in_chunks("hello", "Server: a\rTransfer-Encoding: chunked"),
        in_chunks("hello", "Transfer-Encoding: chunked\r "),
        in_chunks("hello", "Server: a|\r\tTransfer-Encoding: chunked"),
        in_chunks("hello", "Transfer-Encoding:| chunked"),
        in_chunks("5; a b|hello|0||"),
        in_chunks("5;a=|hello|0||"),
        in_chunks('5;a="b"=c|hello|0||'),
        in_chunks("80000000|hello"),
        sent_in_chunks("fffffffff0|hello"),
        sent_in_chunks("5;|hello|0||"),
        sent_in_chunks("0x5|hello|0||"),
        sent_in_chunks(" 5|hello|0||"),
        sent_in_chunks("5\nhello|0||"),
        sent_in_chunks("5|hello\n0||"),
        sent_in_chunks("5;a=b\nhello|0||"),
        sent_in_chunks("5;a\rb|hello|0||"),
        sent_in_chunks("5,5|hello|0||"),
        sent_in_chunks("5|hello|||"),
        sent_in_chunks("|5|hello|0||"),
        sent_in_chunks("5|hello120||"),
        in_chunks("5|hello 5|hello|0||"),
        in_chunks("5|hello0||"),
        in_chunks("5|hello\r5|hello|0||"),
        in_chunks("5|hello\r|0||"),
        f"000bb8 | {text(' 5|')}",
        f"0bb8 | {text('120|')}",
        f"0b | {text('|5|')}",
    ],
    silent_on=[
        f"{OTHER_PORT} {REQUEST}",
        f"{OTHER_PORT} {RESPONSE}",
        in_chunks("5|hello|0||"),
        in_chunks("5 ;a=b|hello|0||"),
        in_chunks('5;a="b"|hello|0||'),
        in_chunks("hello", "X-Transfer-Encoding: chunked"),
        in_chunks(" 5|hello|0x||"),
        in_chunks("5\nhello\n0\n\n"),
        sent_in_chunks("5|hello|0||"),
        sent_in_chunks('5 ;a="b;c" ; d|hello|0||'),
        sent_in_chunks("5  |hello|0|A: b||"),
        sent_in_chunks("5|hello\r"),
        f"0bb8 | {text('|5;a=b|')}",
        f"0b | {text('5;a=b|')}",
        f"000bb8 | {text('| 5|')}",
        text(" 5|"),
        in_chunks("5|hello\n5|hello| 0||"),
        in_chunks("5|hello"),
        in_chunks("5|hello\r"),
        in_chunks("FFf|hello"),
        in_chunks("ffffff"),
        in_chunks("0000000000005;a;b = c|hello|00000000000000000000||"),
        in_chunks('5;a="b\\"c"|hello|0||'),
        in_chunks("5\n|hello|0||"),
        in_chunks(""),
    ],
)
def http_chunk_wrong(p, outer):
    """A size is hexadecimal, and that many bytes behind its line comes the next one; larger than 31
    bits it is meant to overflow (7.1). In a response blanks before it, behind an end of line if a
    chunk precedes it, lines that end with a bare LF, where they lead, and whatever follows its
    digits but a wrong extension, are let pass. Of a request that would be what two servers read
    differently, and smuggle another one by: an end of line precedes all sizes but the first, and
    only blanks and extensions may follow the digits. The body is chunked for whoever finds the
    field, also folded, behind a bare CR or with blanks before its colon."""
    end = find(p, 0, LF)
    request = folded(p, end - 9, 7) == VERSION_1 or folded(p, end - 8, 7) == VERSION_1
    message = length(outer) > CHUNK_OF_RESPONSE
    strict = request
    if not message:
        strict = 0 < length(outer) < CHUNK_OF_RESPONSE
    if message and (end == captured(p) or not request and folded(p, 0, 5) != SLASHED):
        return False
    at = end + 1
    chunked = 0
    for _line in range(MOST_FIELDS):
        if not message:
            break
        end = find(p, at, LF)
        if end == captured(p):
            return False
        if end == at or end == at + 1 and u8(p, at) == CR:
            break
        start = at
        if u8(p, end - 1) == CR:
            bare = find_before(p, at + 1, end, CR)
            if bare < end - 1 and folded(p, bare + 1, 17) == TRANSFER_ENCODING:
                start = bare
        for _blank in range(MOST_SPACES):
            if u8(p, start) not in BLANKS:
                break
            start += 1
        if u8(p, start + 8) == HYPHEN and folded(p, start, 17) == TRANSFER_ENCODING:
            start += 17
            for _blank in range(MOST_SPACES):
                fold = u8(p, start) == LF and u8(p, start + 1) in SPACES
                if u8(p, start) not in BEFORE_VALUE and not fold:
                    break
                start += 1
            if folded(p, start, 7) == CHUNKED:
                chunked += 1
        at = end + 1
    at = end + 1
    if not message:
        at = 0
        chunked = 1
    loose = False
    for chunk in range(MOST_CHUNKS):
        if chunked == 0 or at >= captured(p):
            break
        behind = at
        for _blank in range(MOST_SPACES):
            if u8(p, at) not in BEFORE_SIZE:
                break
            at += 1
        crlf = u8(p, behind) == CR and u8(p, behind + 1) == LF and at == behind + 2
        cut = at == captured(p) and at <= behind + 2
        first = chunk == 0 and (message or length(outer) < CHUNK_OF_REQUEST)
        if strict and first and at != behind or strict and not first and not crlf and not cut:
            return True
        line_end = u8(p, behind) == LF or u8(p, behind) == CR and u8(p, behind + 1) == LF
        if not strict and not first and not loose and not line_end and not cut:
            return True
        size = 0
        digits = 0
        zeros = at
        for _zero in range(MOST_ZEROS):
            if u8(p, at) != ZERO:
                break
            at += 1
        for _digit in range(9):
            value = u8(p, at + digits)
            if ZERO <= value <= NINE:
                value -= ZERO
            elif 65 <= value <= 70:
                value -= 55
            elif 97 <= value <= 102:
                value -= 87
            else:
                break
            size = size * 16 + value
            digits += 1
        end = find(p, at, LF)
        if digits == 0 and zeros == at and at < captured(p):
            return not loose
        if size > LARGEST:
            return True
        if end == captured(p):
            break
        loose = not strict and u8(p, end - 1) != CR
        behind = at + digits
        for _blank in range(MOST_SPACES):
            if u8(p, behind) not in SPACES:
                break
            behind += 1
        ends = u8(p, behind) in BEHIND_SIZE and find_before(p, behind, end, CR) == end - 1
        if strict and not ends:
            return True
        # RFC 9112 7.1.1: names, with a token or a quotation as value. What is escaped is not read.
        for _extension in range(MOST_EXTENSIONS):
            if u8(p, behind) != SEMICOLON or find_before(p, behind, end, BACKSLASH) < end:
                break
            for part in range(2):
                behind += 1
                for _blank in range(MOST_SPACES):
                    if u8(p, behind) not in SPACES:
                        break
                    behind += 1
                after = token_end(p, behind)
                if part == 1 and u8(p, behind) == QUOTE:
                    after = find_before(p, behind + 1, end, QUOTE) + 1
                if after == behind or after > end:
                    return True
                behind = after
                for _blank in range(MOST_SPACES):
                    if u8(p, behind) not in SPACES:
                        break
                    behind += 1
                if u8(p, behind) != EQUALS or part == 1:
                    break
            if u8(p, behind) != SEMICOLON and u8(p, behind) not in LINE_ENDS:
                return True
        if size == 0:
            break
        at = end + 1 + size
    return False
