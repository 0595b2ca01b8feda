"""The start line of HTTP/1 messages (RFC 9112). A rule sees the head of a message up to its empty
line, as its stream carries it, and `outer`, the TCP header; in Suricata it sees the segment that
begins with a message.
"""

from procwire.layers import HTTP_PORTS
from procwire.rule import rule
from procwire.words import captured, find, find_before, folded, span, token_end, u8, u16, u32

TAB, LF, VT, FF, CR, SP, SLASH, DOT, ZERO, NINE, COLON = 9, 10, 11, 12, 13, 32, 47, 46, 48, 57, 58
CAPITALS = 0x48545450  # "HTTP"
METHODS = (0x47455420, 0x48454144, 0x504F5354, 0x50555420)  # "GET ", "HEAD", "POST", "PUT "
SPACES = (SP, TAB, VT, FF)
MOST_SPACES = 8
STATUS_ENDS = (*SPACES, CR, LF)  # many servers leave out the space where no reason follows
NAME, SLASHED = folded(span(b"http"), 0, 4), folded(span(b"http/"), 0, 5)
VERSION_1, VERSION_09 = folded(span(b"http/1."), 0, 7), folded(span(b"http/0.9"), 0, 8)


def text(message: str) -> str:
    """A message as an example; "|" stands for the end of a line."""
    return message.replace("|", "\r\n").encode("latin-1").hex()


REQUEST = text("GET / HTTP/1.1|Host: example.com||")
RESPONSE = text("HTTP/1.1 200 OK|Content-Length: 2||ok")
OTHER_PORT = "c000 0bb8 |"


@rule(
    id="http.request_line_bad",
    sid=9101301,
    title="HTTP request line that is not method, target and version",
    reference="RFC 9112 section 3",
    needs=5,
    at=(0, 32),
    suricata=(
        "app.http.request_line_invalid",
        "app.http.request_line_incomplete",
        "app.http.request_line_missing_protocol",
        "app.http.method_delim_non_compliant",
        "app.http.uri_delim_non_compliant",
    ),
    zeek=("bad_HTTP_request", "missing_HTTP_uri", "lowercase_HTTP_keyword"),
    fires_on=[
        f"c000 0050 | {text('GET HTTP/1.1|Host: a||')}",
        f"c000 0050 | {text('GET /|')}",
        f"c000 0050 | {text('GET / HTTX/1.1|Host: a||')}",
        f"{OTHER_PORT} {text('GET  / HTTP/1.1|Host: a||')}",
        f"{OTHER_PORT} {text('GET /a b HTTP/1.1|Host: a||')}",
        f"{OTHER_PORT} {text('GET / http/1.1|Host: a||')}",
        f"{OTHER_PORT} {text('GET / HTTP/1.x|Host: a||')}",
        f"{OTHER_PORT} {text('GET /' + chr(0) + ' HTTP/1.1|Host: a||')}",
        f"{OTHER_PORT} {text(chr(9).join(('GET /a', 'b HTTP/1.1|Host: a||')))}",
    ],
    silent_on=[
        f"c000 0050 | {REQUEST}",
        f"{OTHER_PORT} {text('CONNECT example.com:443 HTTP/1.0||')}",
        f"{OTHER_PORT} {text('OPTIONS * HTTP/1.1|Host: a||')}",
        f"c000 1f90 | {text('OPTIONS rtsp://a/b RTSP/1.0|CSeq: 1||')}",
        f"c000 0050 | {text('GET / HTTP/2.0|Host: a||')}",
        f"{OTHER_PORT} {text('POST /pair RTSP/1.0|CSeq: 1||')}",
        f"{OTHER_PORT} {text('CONNECT {}|')}",
        f"c000 0050 | {text('GET /a/target/that/goes/on')}",
        f"0050 c000 | {RESPONSE}",
    ],
)
def http_request_line_wrong(p, outer):
    """What parsers split differently is how requests are smuggled past a proxy. On other ports than
    those of HTTP only a line that ends in its version is taken for a request."""
    end = find(p, 0, LF)
    if end == captured(p) or folded(p, 0, 5) == SLASHED:
        return False
    if u8(p, end - 1) == CR:
        end -= 1
    if folded(p, end - 8, 7) != VERSION_1:
        # Another version, or another protocol's, such as RTSP/1.0, which has no such methods.
        version = u8(p, end - 4) == SLASH and u8(p, end - 2) == DOT
        version = version and ZERO <= u8(p, end - 3) <= NINE and ZERO <= u8(p, end - 1) <= NINE
        if version and (u32(p, 0) not in METHODS or folded(p, end - 8, 5) == SLASHED):
            return False
        return u16(outer, 2) in HTTP_PORTS
    method_end = token_end(p, 0)
    target_end = find(p, method_end + 1, SP)
    if method_end == 0 or u8(p, method_end) != SP:
        return True
    if target_end == method_end + 1 or target_end + 9 != end:
        return True
    tabs = find_before(p, 0, end, TAB) < end or find_before(p, 0, end, VT) < end
    if tabs or find_before(p, 0, end, FF) < end or find_before(p, 0, end, CR) < end:
        return True
    if find_before(p, 0, end, 0) < end or not ZERO <= u8(p, end - 1) <= NINE:
        return True
    return u32(p, target_end + 1) != CAPITALS


@rule(
    id="http.response_bad",
    sid=9101302,
    title="HTTP status line without a known version or a status of three digits",
    reference="RFC 9112 section 4; RFC 9110 section 15",
    needs=10,
    at=(0, 16),
    suricata=("app.http.response_invalid_protocol", "app.http.response_invalid_status"),
    zeek=("bad_HTTP_reply", "bad_HTTP_version", "HTTP_version_mismatch"),
    fires_on=[
        text("HTTP/1.1 2 ok|Connection: close||"),
        text("HTTP/1.1 20x ok|Connection: close||"),
        text("HTTP/1.1|Connection: close||"),
        text("HTTP/2.0 200 ok|Connection: close||"),
        text("HTTP/1.01 200 ok|Connection: close||"),
        text("http/1.1 200 ok|Connection: close||"),
        text("HTTPS/1.1 200 ok|Connection: close||"),
        text("HTTP/01.1 200 ok|Connection: close||"),
        text("Http/1.1 200 ok|Connection: close||"),
        text("HTTP/1.1 000 ok|Connection: close||"),
        text("HTTP 1.1 200 ok|Connection: close||"),
        text("HTTP:1.1 200 ok|Connection: close||"),
        text("HTTP/0.1 200 ok|Connection: close||"),
        text("HTTP/x 200 ok|Connection: close||"),
        text("HTTP/1.1||"),
        text("HTTP 200 OK|Connection: close||"),
        text("HTTP200 OK|Connection: close||"),
    ],
    silent_on=[
        RESPONSE,
        REQUEST,
        text("HTTP/1.0 404 Not Found||"),
        text("HTTP/1.1 200|Connection: close||"),
        text("HTTP/1.1 \t200 ok|Connection: close||"),
        text("HTTP/1.1\t0200\tok|Connection: close||"),
        text("HTTP/0.9 200 ok|Connection: close||"),
        text("HTTP is a protocol of the web|"),
        text("HTTP 2000 requests and more|"),
        text("http://example.com/1.1 200|"),
        text("http://1.example/1.1 200|"),
        text("HTTP/1.1 20"),
    ],
)
def http_status_line_wrong(p):
    """Browsers repair such lines and proxies do not: content passes in between. Any blank may stand
    for a space (RFC 9112 section 4), and leading zeros for nothing."""
    if folded(p, 0, 4) != NAME or captured(p) < 13 and find(p, 0, LF) == captured(p):
        return False
    if folded(p, 0, 5) != SLASHED:
        # What has a version all the same, such as "HTTP 1.1" and "HTTPS/1.0", and is no URL.
        for at in range(4, 8):
            if ZERO <= u8(p, at) <= NINE and u8(p, at + 1) == DOT:
                return u8(p, 4) != COLON or at == 5
        # A status without any version.
        at = 4
        if u8(p, 4) == SP:
            at = 5
        for i in range(3):
            if not ZERO <= u8(p, at + i) <= NINE:
                return False
        return u8(p, at + 3) in STATUS_ENDS
    if folded(p, 0, 8) == VERSION_09:
        return False
    if u32(p, 0) != CAPITALS or folded(p, 0, 7) != VERSION_1 or u8(p, 8) not in SPACES:
        return True
    if u8(p, 7) != ZERO and u8(p, 7) != ZERO + 1:
        return True
    at = 9
    for _space in range(MOST_SPACES):
        if u8(p, at) not in SPACES:
            break
        at += 1
    for _zero in range(MOST_SPACES):
        if u8(p, at) != ZERO:
            break
        at += 1
    for i in range(3):
        if not ZERO <= u8(p, at + i) <= NINE:
            return at + i < captured(p)
    return at + 3 < captured(p) and u8(p, at + 3) not in STATUS_ENDS
