"""The Host field of HTTP/1 requests (RFC 9112 3.2). A rule sees the head of a message up
to its empty line, as its stream carries it; in Suricata it sees the segment that begins with one.
"""

from procwire.protocol_words import port_end
from procwire.rule import rule
from procwire.rules.http1 import CAPITALS, REQUEST, RESPONSE, text
from procwire.words import captured, find, find_before, folded, span, token_end, u8, u16, u32

TAB, LF, CR, SP, DOT, SLASH, ZERO, NINE, COLON = 9, 10, 13, 32, 46, 47, 48, 57, 58
ONE, AT, LITERAL, LITERAL_END = 49, 64, 91, 93
SPACES = (SP, TAB)
LINE_ENDS = (CR, LF)
# RFC 3986 3.2.2: beside letters and digits, what a registered name may hold.
NAME_MARKS = (33, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 59, 61, 95, 126)
PERCENT, HEX = 37, tuple(b"0123456789ABCDEFabcdef")
FUTURE = tuple(b"Vv")  # RFC 3986 3.2.2: versions of addresses to come
MOST_FIELDS = 100
MOST_SPACES = 16
MOST_NAME, MOST_LABEL = 256, 63  # RFC 1035 2.3.4
VERSION_1 = folded(span(b"http/1."), 0, 7)
SLASHES = 0x2F2F
CONNECT = folded(span(b"connect "), 0, 8)
QUERY, FRAGMENT = 63, 35
BEHIND_HOST = (SP, SLASH, QUERY, FRAGMENT)
HOST = folded(span(b"host"), 0, 4)


@rule(
    id="http.host_bad",
    sid=9101303,
    title="HTTP request without exactly one valid Host field, or with another host than its target",
    reference="RFC 9112 3.2, 3.2.2, 3.2.3; RFC 3986 3.2.2, 3.2.3; RFC 6335 6; RFC 1035 2.3.4",
    layers=("http1",),
    needs=16,
    at=(0, 32),
    suricata=(
        "app.http.missing_host_header",
        "app.http.host_header_ambiguous",
        "app.http.request_header_host_invalid",
        "app.http.request_uri_host_invalid",
    ),
    fires_on=[
        text("GET / HTTP/1.1|User-Agent: a||"),
        text("GET / HTTP/1.1|Host: a|host: b||"),
        text("CONNECT a:443 HTTP/1.1||"),
        text("GET / HTTP/1.1|Host: a/b||"),
        text("GET / HTTP/1.0|Host: a@b||"),
        text("GET / HTTP/1.1|Host: a:80x||"),
        text("GET / HTTP/1.1|Host: a:65536||"),
        text("GET / HTTP/1.1|Host: a b||"),
        text("GET / HTTP/1.1|Host: a..example||"),
        text(f"GET / HTTP/1.1|Host: {64 * 'a'}.example||"),
        text(f"GET / HTTP/1.1|Host: a.{64 * 'b'}||"),
        text("GET http://a.example/ HTTP/1.1|Host: b.example||"),
        text("GET https://a.example/ HTTP/1.1|Host: b.example||"),
        text("CONNECT a.example:443 HTTP/1.1|Host: b.example:443||"),
        text("CONNECT /x HTTP/1.1|Host: a.example||"),
        text("CONNECT a.example:65536 HTTP/1.1|Host: a.example||"),
        text("GET http://a.example:80x/ HTTP/1.1|Host: a.example||"),
        text("GET / HTTP/1.1|Host: a.example:0||"),
        text("MKCOL /a HTTP/1.1|User-Agent: a||"),
        text("m-search * HTTP/1.1\nHost: a b\n\n"),
        text("GET / HTTP/1.1|Host: a\rX: b||"),
        text("GET / HTTP/1.1|Host: a| b||"),
        text("GET / HTTP/1.1|Host: a%2||"),
        text("GET / HTTP/1.1|Host: [a]||"),
        text("GET / HTTP/1.1|Host: [2001:db8::1]a||"),
        text("GET / HTTP/1.1|Host: [2001:db8::1||"),
        text("GET ftp://a.example/ HTTP/1.1|Host: b.example||"),
    ],
    silent_on=[
        REQUEST,
        text("GET / HTTP/1.1|HOST:a||"),
        text("GET / HTTP/1.0|User-Agent: a||"),
        text("GET / HTTP/1.1|User-Agent: a|"),
        text("GET / HTTP/1.1|Host:||"),
        text("GET / HTTP/1.1|Host: my_host.example:8080 ||"),
        text("GET / HTTP/1.1|Host: a:65535||"),
        text(f"GET / HTTP/1.1|Host: {63 * 'a'}.{63 * 'b'}.example||"),
        text("GET / HTTP/1.1|Host: a:||"),
        text("GET / HTTP/1.1|Host: [2001:db8::1]:80||"),
        text("GET / HTTP/1.1|Host: a%2Db.example||"),
        text("GET / HTTP/1.1|Host: [v7.a]||"),
        text("GET http://user:word@a.example HTTP/1.1|Host: a.example||"),
        text("GET http://A.example:80/ HTTP/1.1|Host: a.example||"),
        text("GET https://a.example:/?b HTTP/1.1|Host: a.example||"),
        text("GET ftp://a.example/ HTTP/1.1|Host: a.example||"),
        text("GET /?b=ftp://b.example/ HTTP/1.1|Host: a.example||"),
        text("DESCRIBE rtsp://a.example/b RTSP/1.0|CSeq: 1||"),
        text("CONNECT [2001:db8::1]:443 HTTP/1.1|Host: [2001:db8::1]:443||"),
        text("CONNECT a.example:443 HTTP/1.1|Host: a.example||"),
        RESPONSE,
    ],
)
def http_host_wrong(p):
    """A server must refuse the request; which host it would reach depends on who parses it."""
    end = find(p, 0, LF)
    version_end = end
    if u8(p, end - 1) == CR:
        version_end -= 1
    if end == captured(p) or folded(p, version_end - 8, 7) != VERSION_1 or u32(p, 0) == CAPITALS:
        return False
    target = find_before(p, 0, end, SP)
    authority = 0
    scheme_end = token_end(p, target + 1)
    if u8(p, scheme_end) == COLON and u16(p, scheme_end + 1) == SLASHES:
        authority = scheme_end + 3
    elif folded(p, 0, 8) == CONNECT:
        authority = target + 1
    slash = find_before(p, authority, end, SLASH)
    user_end = find_before(p, authority, slash, AT)
    at = end + 1
    hosts = 0
    start = 0
    for _line in range(MOST_FIELDS):
        end = find(p, at, LF)
        if end == captured(p):
            return False
        if end == at or end == at + 1 and u8(p, at) == CR:
            break
        if u8(p, at + 4) == COLON and folded(p, at, 4) == HOST:
            hosts += 1
            start = at + 5
        at = end + 1
    if hosts != 1:
        return hosts > 1 or u8(p, version_end - 1) == ONE
    for _space in range(MOST_SPACES):
        if u8(p, start) not in SPACES:
            break
        start += 1
    after = start
    if u8(p, start) == LITERAL:
        after = find_before(p, start, find(p, start, LF), LITERAL_END) + 1
        address = u8(p, start + 1) in FUTURE or find_before(p, start, after, COLON) < after
        if not address or u8(p, after - 1) != LITERAL_END:
            return True
    label = after
    for _byte in range(MOST_NAME):
        value = u8(p, after)
        if u8(p, start) == LITERAL:
            break
        if value == PERCENT and not (u8(p, after + 1) in HEX and u8(p, after + 2) in HEX):
            return True
        if value == DOT:
            if after == start or u8(p, after - 1) == DOT or after - label > MOST_LABEL:
                return True
            label = after + 1
        letter = 65 <= value <= 90 or 97 <= value <= 122 or ZERO <= value <= NINE
        if not letter and value not in NAME_MARKS:
            break
        after += 1
    if after - label > MOST_LABEL:
        return True
    size = after - start
    after = port_end(p, after)
    if after == 0:
        return True
    for _space in range(MOST_SPACES):
        if u8(p, after) not in SPACES:
            break
        after += 1
    if u8(p, after) not in LINE_ENDS or u8(p, after) == CR and u8(p, after + 1) != LF:
        return True
    # A line that goes on in the next one (RFC 9112 5.2) is one value with a blank in it.
    if size > 0 and u8(p, find(p, after, LF) + 1) in SPACES:
        return True
    if size == 0 or authority == 0:
        return False
    if user_end < slash:
        authority = user_end + 1
    if folded(p, authority, size) != folded(p, start, size):
        return True
    after = port_end(p, authority + size)
    return after == 0 or u8(p, after) not in BEHIND_HOST
