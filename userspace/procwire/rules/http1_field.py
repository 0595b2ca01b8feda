"""The field lines of HTTP/1 messages (RFC 9112). The rule sees the head of a message up to its
empty line, as its stream carries it, and the fields behind the last chunk of a body, of which
`outer` is the port that they go to. In Suricata it sees the segment that begins with a message.
"""

from procwire.rule import rule
from procwire.rules.http1 import OTHER_PORT, REQUEST, RESPONSE, text
from procwire.words import captured, find, find_before, folded, length, span, token_end, u8

TAB, LF, CR, SP, COLON = 9, 10, 13, 32, 58
FOLDS = (SP, TAB, CR, 0)
BLANKS = (SP, TAB, CR)
MOST_FIELDS = 100
MOST_SPACES = 16
LONGEST_NAME = 256
PORT = 2  # bytes of `outer`, if all that it holds is a port
SLASHED = folded(span(b"http/"), 0, 5)
VERSION_1 = folded(span(b"http/1."), 0, 7)
HOST = folded(span(b"host"), 0, 4)


@rule(
    id="http.field_syntax",
    sid=9101304,
    title="HTTP field line without name and colon, folded, or with a bare carriage return or NUL",
    reference="RFC 9112 section 5, 5.1, 5.2, 2.1, 2.2, 7.1.2; RFC 9110 5.5",
    layers=("http1", "http1_trailer"),
    needs=2,
    at=(0, 64),
    suricata=(
        "app.http.request_field_missing_colon",
        "app.http.response_field_missing_colon",
        "app.http.request_header_invalid",
        "app.http.response_header_invalid",
        "app.http.invalid_request_field_folding",
        "app.http.invalid_response_field_folding",
    ),
    zeek=("http_no_crlf_in_header_list", "HTTP_obsolete_line_folding"),
    fires_on=[
        text("GET / HTTP/1.1|Host: a|Cookie||"),
        text("GET / HTTP/1.1|Host: a|Cookie : b||"),
        text("GET / HTTP/1.1|Host: a|Transfer-Encoding:| chunked||"),
        text("HTTP/1.1 200 OK|Foo Bar: b||"),
        text("GET / HTTP/1.1|Host: a|Cookie: a\rTransfer-Encoding: chunked||"),
        text("HTTP/1.1 200 OK|Connection: close|\tTransfer-Encoding: chunked||"),
        text("HTTP/1.1 200 OK|: b||"),
        text("GET /|Cookie|Host: a||"),
        text("HTTP/1.1 200 OK| Server: a||"),
        text("HTTP/1.1 200 OK| |Server: a||"),
        text("HTTP/1.1 200 OK|Server: a|Date: a\rb||"),
        text("HTTP/1.1 200 OK|Server: a|Date:\n\rb||"),
        text("HTTP/1.1 200 OK|Server: a|\r|Date: b||"),
        text("HTTP/1.1 200 OK|Server: a| |b||"),
        text("HTTP/1.1\r 200 OK|Server: a||"),
        text("GET / HTTP/1.1\rX: HTTP/1.1|Host: a||"),
        text("HTTP/1.1 200 OK|Server: a|\n|"),
        text("GET / HTTP/1.1|Host: a|\n"),
        text("HTTP/1.1 200 OK\n\rServer: a\n\r\n"),
        text("GET / HTTP/1.1|Host: a|Cookie: a\0b||"),
        f"0050 | {text('foobar||')}",
        f"0050 | {text(' foobar: a||')}",
        "0050 | 200a",
        f"0050 | {text('A: b|' + chr(13) + '||')}",
    ],
    silent_on=[
        REQUEST,
        RESPONSE,
        text("HTTP/1.1 200 OK\nServer: a\n\nNo field at all\n"),
        text("POST / HTTP/1.1|Host: a||\0\0\0|"),
        text("HTTP/1.1 200 OK|Server: a|X-Empty:|X-Cut by the segm"),
        text("GET /\nNo field at all\n\n"),
        text("CONNECT {}|" + "PUB a 1|b|" * 51),
        text("HTTP/1.1 200 OK\rServer: a|Date: b||"),
        text("HTTP/1.1 200 OK|Content-Encoding:| gzip|Date: a\rAge: b||"),
        text("HTTP/1.1 200 OK\r|Server: a\n\rDate: b\r|Age:\r 1||"),
        text("HTTP/1.1 200 OK|Server: a|\t|Date: b\n\r|No field at all|"),
        text("HTTP/1.1 200 OK|Server: a\n \nNo field at all|"),
        text("HTTP/1.1 200 OK\nServer: a\n|"),
        f"0050 | {text('A: b|C:||')}",
        f"{OTHER_PORT} {REQUEST}",
    ],
)
def http_field_line_wrong(p, outer):
    """Recipients differ in what they make of it, so a field hides from one and works at another. In
    a response they join what is folded (RFC 9112 5.2), unless it reads as a field of its own or
    comes first (2.2), and end lines at a bare CR or at LF CR, behind which a field is due. A
    request without a version has fields all the same if Host is one of them. Where the empty line
    is a bare LF behind one that ends in CR LF, some read on and take the body for fields. A NUL
    ends a request's field for some; browsers pass over one in a response."""
    end = find(p, 0, LF)
    trailer = length(outer) == PORT
    request = trailer or folded(p, end - 9, 7) == VERSION_1 or folded(p, end - 8, 7) == VERSION_1
    response = folded(p, 0, 5) == SLASHED
    if end == captured(p):
        return False
    at = end + 1
    for _line in range(MOST_FIELDS):
        if request or response:
            break
        end = find(p, at, LF)
        if end == captured(p) or end == at or end == at + 1 and u8(p, at) == CR:
            return False
        if u8(p, at + 4) == COLON and folded(p, at, 4) == HOST:
            request = True
        at = end + 1
    if not request and not response:
        return False
    end = find(p, 0, LF)
    at = find_before(p, 0, end - 1, CR) + 1
    if request and at < end:
        return True
    for _end in range(MOST_SPACES):
        if u8(p, at) != CR:
            break
        at += 1
    if at == end:
        at += 1
    if trailer:
        at = 0
    for line in range(MOST_FIELDS):
        end = find(p, at, LF)
        behind_line = at == 0 or u8(p, at - 1) == LF
        if response and behind_line and u8(p, at - 2) != CR and u8(p, at) == CR:
            # Behind the status line it would be a blank (2.2), which no field begins with.
            if line == 0 and end > at + 1:
                return True
            at += 1
        empty = end == at or end == at + 1 and u8(p, at) == CR
        if end == captured(p):
            break
        if empty and behind_line:
            if request and find_before(p, 0, at, 0) < at:
                return True
            return end == at and u8(p, at - 2) == CR
        start = at
        for _blank in range(MOST_SPACES):
            if start >= end or u8(p, start) not in BLANKS:
                break
            start += 1
        bare = find_before(p, start, end - 1, CR)
        name_end = token_end(p, at)
        if request or u8(p, at) not in FOLDS:
            # Of a longer name the end is not known.
            known = name_end < at + LONGEST_NAME
            if known and not empty and (name_end == at or u8(p, name_end) != COLON):
                return True
            if request and bare < end - 1:
                return True
        elif line == 0 or find_before(p, start, bare, COLON) < bare:
            return True
        elif start == end and u8(p, end - 1) != CR:
            # A line of blanks ends the fields for some, so what follows may be the body.
            break
        elif behind_line and u8(p, at) == CR and not empty:
            return True
        at = end + 1
        if bare < end - 1:
            at = bare + 1
            for _end in range(MOST_SPACES):
                if u8(p, at) != CR:
                    break
                at += 1
    return False
