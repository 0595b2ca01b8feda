"""How fields frame the body of HTTP/1 messages (RFC 9112 section 6). A rule sees the head of a
message, as its stream carries it; in Suricata it sees the segment that begins with a message.
"""

from procwire.rule import rule
from procwire.rules.http1 import CAPITALS, REQUEST, RESPONSE, STATUS_ENDS, text
from procwire.words import captured, find, folded, span, u8, u32

TAB, LF, CR, SP, COLON = 9, 10, 13, 32, 58
ZERO, NINE, ONE = 48, 57, 49
SPACES = (SP, TAB)
BLANKS = (SP, TAB, CR)
MOST_FIELDS = 100
MOST_SPACES = 16
MOST_DIGITS = 20
SLASHED = folded(span(b"http/"), 0, 5)
VERSION_1 = folded(span(b"http/1."), 0, 7)
CONTENT_LENGTH = folded(span(b"content-length"), 0, 14)
TRANSFER_ENCODING = folded(span(b"transfer-encoding"), 0, 17)
EXPECT = folded(span(b"expect"), 0, 6)
CHUNKED = folded(span(b"chunked"), 0, 7)
IDENTITY = folded(span(b"identity"), 0, 8)
# IANA, HTTP Transfer Coding; identity was one until RFC 7230.
CODINGS = tuple(
    folded(span(coding), 0, len(coding))
    for coding in (
        b"chunked",
        b"gzip",
        b"deflate",
        b"compress",
        b"identity",
        b"gzip, chunked",
        b"deflate, chunked",
        b"compress, chunked",
        b"gzip,chunked",
        b"deflate,chunked",
    )
)


@rule(
    id="http.content_length_bad",
    sid=9101305,
    title="HTTP Content-Length that is no number, contradicts another or the Expect field",
    reference="RFC 9112 6.2, 6.3; RFC 9110 8.6, 10.1.1",
    layers=("http1",),
    needs=16,
    at=(0, 64),
    suricata=(
        "app.http.invalid_content_length_field_in_request",
        "app.http.invalid_content_length_field_in_response",
        "app.http.duplicate_content_length_field_in_request",
        "app.http.duplicate_content_length_field_in_response",
    ),
    zeek=(
        "HTTP_bad_content_length",
        "HTTP_content_length_leading_zeros",
        "HTTP_content_length_0_and_expect_100_cont",
    ),
    fires_on=[
        text("POST / HTTP/1.1|Host: a|Content-Length: +5||hello"),
        text("POST / HTTP/1.1|Host: a|Content-Length: 18446744073709551615||"),
        text("POST / HTTP/1.1|Host: a|Content-Length:||"),
        text("POST / HTTP/1.1|Host: a|Content-Length: 010||helloabc"),
        text("POST / HTTP/1.1|Host: a|Expect: 100-continue|Content-Length: 0||"),
        text("HTTP/1.1 200 OK|Content-length: 68|Content-length: 34||"),
    ],
    silent_on=[
        REQUEST,
        RESPONSE,
        text("POST / HTTP/1.1|Host: a|Expect: 100-continue|CONTENT-LENGTH:  5 ||hello"),
        text("HTTP/1.1 200 OK|Content-Length: 1\n\n"),
        text("HTTP/1.1 200 OK|Content-Length: 68,68|Content-Length: 68||"),
        text("POST / HTTP/1.1|Host: a|Content-Length: 5|Content-Length: 5||hello"),
        text("HTTP/1.1 200 OK|Content-Length: "),
    ],
)
def http_content_length_wrong(p):
    """It tells where the next message begins: two opinions on it smuggle a request, and a leading
    zero makes an octal number of it for some. The field twice with one value is one opinion
    (RFC 9112 6.3). In a response anything that begins with a number is let pass."""
    end = find(p, 0, LF)
    request = folded(p, end - 9, 7) == VERSION_1 or folded(p, end - 8, 7) == VERSION_1
    if end == captured(p) or not request and folded(p, 0, 5) != SLASHED:
        return False
    at = end + 1
    found = 0
    given = 0
    expects = 0
    empty = 0
    for _line in range(MOST_FIELDS):
        end = find(p, at, LF)
        if end == captured(p) or end == at or end == at + 1 and u8(p, at) == CR:
            break
        if u8(p, at + 6) == COLON and folded(p, at, 6) == EXPECT:
            expects += 1
        if u8(p, at + 14) == COLON and folded(p, at, 14) == CONTENT_LENGTH:
            found += 1
            start = at + 15
            for _space in range(MOST_SPACES):
                if u8(p, start) not in SPACES:
                    break
                start += 1
            after = start
            for _digit in range(MOST_DIGITS):
                if not ZERO <= u8(p, after) <= NINE:
                    break
                after += 1
            figures = 0
            for i in range(MOST_SPACES):
                if start + i < end and ZERO <= u8(p, start + i) <= NINE:
                    figures += 1
            # Of what is folded the number may come in the next line.
            folds = end + 1 == captured(p) or u8(p, end + 1) in SPACES
            none = after == start and not folds
            if after == start + MOST_DIGITS or none and (request or figures == 0):
                return True
            if request and after > start + 1 and u8(p, start) == ZERO:
                return True
            if found > 1 and folded(p, start, after - start) != given:
                return True
            given = folded(p, start, after - start)
            if after == start + 1 and u8(p, start) == ZERO:
                empty += 1
            for _space in range(MOST_SPACES):
                if u8(p, after) not in SPACES:
                    break
                after += 1
            if request and u8(p, after) != CR and u8(p, after) != LF:
                return True
        at = end + 1
    return expects > 0 and empty > 0


@rule(
    id="http.te_bad",
    sid=9101306,
    title="HTTP Transfer-Encoding unknown, repeated, beside a length or before HTTP/1.1",
    reference="RFC 9112 6.1, 6.3, 7",
    layers=("http1",),
    needs=16,
    at=(0, 64),
    severity=2,
    suricata=(
        "app.http.invalid_transfer_encoding_value_in_request",
        "app.http.invalid_transfer_encoding_value_in_response",
        "app.http.response_chunked_old_proto",
        "app.http.response_abnormal_transfer_encoding",
    ),
    zeek=("HTTP_content_length_and_chunked", "HTTP_chunked_multi"),
    fires_on=[
        text("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Content-Length: 5||"),
        text("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked, identity||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: xchunked||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: other|Transfer-Encoding: chunked||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: chunked||"),
        text("HTTP/1.0 200 OK|Transfer-Encoding: chunked||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: identity|Transfer-Encoding: chunked||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding:|Transfer-Encoding: chunked||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: chunked| identity||"),
        text('HTTP/1.1 200 OK|Transfer-Encoding: "chunked"||'),
        text("HTTP/1.1 200 OK|Transfer-Encoding: \x00chunked||"),
        text("HTTP/1.10 200 OK|Transfer-Encoding: chunked||"),
        text("HTTP/1.1.1 200 OK|Transfer-Encoding: chunked||"),
        text("HTTP/1.1 200 OK|Content-Length: 5|Transfer-Encoding: chunked||"),
        text("POST / HTTP/1.1|Host: a|Transfer-Encoding: gzip||"),
        text("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Transfer-Encoding: gzip||"),
    ],
    silent_on=[
        REQUEST,
        RESPONSE,
        text("HTTP/1.0 200 OK|Transfer-Encoding: identity||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: chunked| |Server: a||"),
        text("POST / HTTP/1.1|Host: a|transfer-encoding:Chunked ||0||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked||"),
        text("HTTP/1.1 200 OK|Transfer-Encoding: gzip||"),
        text("POST / HTTP/1.1|Host: a|Transfer-Encoding: gzip|Transfer-Encoding: chunked||0||"),
        text("HTTP/1.0 200 OK|TE: trailers||"),
    ],
)
def http_transfer_encoding_wrong(p):
    """The commonest way to smuggle a request: one recipient reads chunks, the other a length, and
    without chunks as the last coding nobody knows where it ends (6.3). Of a response only what
    concerns chunks is judged, and a length beside them, which no sender may add (6.2)."""
    end = find(p, 0, LF)
    request = folded(p, end - 9, 7) == VERSION_1 or folded(p, end - 8, 7) == VERSION_1
    if end == captured(p) or not request and folded(p, 0, 5) != SLASHED:
        return False
    minor = 0
    if request:
        minor = u8(p, end - 1)
        if minor == CR:
            minor = u8(p, end - 2)
    elif u32(p, 0) == CAPITALS and folded(p, 0, 7) == VERSION_1 and u8(p, 8) in STATUS_ENDS:
        minor = u8(p, 7)
    at = end + 1
    encodings = 0
    chunked = 0
    last = 0
    unknown = 0
    lengths = 0
    parts = MOST_FIELDS
    for _line in range(MOST_FIELDS):
        end = find(p, at, LF)
        if end == captured(p) or end == at or end == at + 1 and u8(p, at) == CR:
            break
        if u8(p, at + 14) == COLON and folded(p, at, 14) == CONTENT_LENGTH:
            lengths += 1
        start = at
        if u8(p, at + 17) == COLON and folded(p, at, 17) == TRANSFER_ENCODING:
            encodings += 1
            start = at + 18
            parts = 0
        elif u8(p, at) not in SPACES:
            parts = MOST_FIELDS
        after = end
        for _space in range(MOST_SPACES):
            if parts == MOST_FIELDS or start == end or u8(p, start) not in BLANKS:
                break
            start += 1
        for _space in range(MOST_SPACES):
            if parts == MOST_FIELDS or after == start or u8(p, after - 1) not in BLANKS:
                break
            after -= 1
        # Only the lines of the field itself, of which the second and later ones are folded.
        if parts < MOST_FIELDS:
            if start < after:
                parts += 1
                last = folded(p, after - 7, 7)
            first = folded(p, start, 7) == CHUNKED or folded(p, start + 1, 7) == CHUNKED
            if first or folded(p, after - 7, 7) == CHUNKED:
                chunked += 1
            coding = folded(p, start, after - start)
            foreign = start < after and (u8(p, start) == 0 or coding not in CODINGS)
            folds = end + 1 == captured(p) or u8(p, end + 1) in SPACES
            empty = parts == 0 and not folds
            if foreign or empty or parts > 1 or not request and coding == IDENTITY:
                unknown += 1
        at = end + 1
    if encodings == 0:
        return False
    # Behind what was cut off, chunks may still be the last coding.
    unframed = last != CHUNKED and end < captured(p)
    if request:
        return minor != ONE or chunked > 1 or lengths > 0 or unknown > 0 or unframed
    return chunked > 1 or chunked > 0 and (minor != ONE or unknown > 0 or lengths > 0)
