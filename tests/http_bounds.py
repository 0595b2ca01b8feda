"""Bounds of the rules on HTTP's start lines and Host: what each fires on, and what not. "|" stands
for the end of a line."""

from __future__ import annotations

from header_bounds import Cases
from procwire.layers import HTTP_PORTS


def http(message: str) -> str:
    return message.replace("|", "\r\n").encode("latin-1").hex()


def to(port: int, line: str) -> str:
    """A request with this line."""
    return f"c000 {port:04x} | {http(f'{line}|Host: a||')}"


def begun(line: str) -> str:
    """A response with this line."""
    return http(f"{line}|Connection: close||")


def host(value: str, target: str = "/", method: str = "GET") -> str:
    return http(f"{method} {target} HTTP/1.1|Host:{value}||")


OK = "HTTP/1.1 200 OK"

# Rule -> what it fires on, and what not.
HTTP_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "http.request_line_bad": (
        (
            # RFC 9112 section 3: method, space, target, space, HTTP/1 and a digit.
            *(to(3000, f"{line} HTTP/1.1") for line in ("GET", "GET ", "GET /a ", "GET / b")),
            *(to(3000, f"{line} HTTP/1.1") for line in ("GET  /",)),
            *(to(3000, f"GET{mark}/ HTTP/1.1") for mark in "(,/:;@[\x7f\t"),
            *(to(3000, f"GET /a{blank}b HTTP/1.1") for blank in "\t\v\f\r\0"),
            *(to(3000, f"GET /{blank}HTTP/1.1") for blank in "\t\v\f\r"),
            *(to(3000, f"GET / HTTP/1.{minor}") for minor in "/:x "),
            *(to(3000, f"GET / {name}/1.1") for name in ("http", "Http", "HTTp", "hTTP")),
            to(3000, " / HTTP/1.1"),
            *(to(port, "GET /") for port in HTTP_PORTS),
            *(to(80, line) for line in ("GET / HTTP/11", "GET / HTTP-2.0")),
            *(to(80, f"{method} rtsp://a/ RTSP/1.0") for method in ("GET", "POST", "HEAD", "PUT")),
            *(to(80, f"GET / HTTP/{version}") for version in ("1.10", "x.1", "/.1", ":.1", "2.x")),
            *(to(80, f"GET / HTTP/{version}") for version in ("2./", "2.:")),
            to(80, "OPTIONS / HTTP-1.1"),
            to(80, "OPTIONS / HTTP 2.x"),
            to(80, "OPTIONS / RTSP/1,0"),
            to(80, "OPTIONS / RTSP 1.0"),
        ),
        (
            *(to(3000, f"GET / HTTP/1.{minor}") for minor in "019"),
            *(to(3000, f"{method} / HTTP/1.1") for method in ("A", "M-SEARCH", "!#$%&'*+-.^_`")),
            *(to(3000, f"{method} / HTTP/1.1") for method in ("~",)),
            *(to(3000, f"GET {target} HTTP/1.1") for target in ("*", "/", "/a\x01", "http://a/")),
            f"c000 0bb8 | {http('GET / HTTP/1.1')} 0a0a",
            *(to(port, "GET /") for port in (79, 81, 3000, 8082)),
            *(to(80, f"GET / HTTP/{version}") for version in ("2.0", "0.9", "3.0", "9.9")),
            *(to(80, f"{method} / RTSP/1.0") for method in ("OPTIONS", "SETUP", "GETX", "PUTS")),
            *(to(80, f"{method} / RTSP/1.0") for method in ("POS",)),
            *(to(80, f"OPTIONS / {version}") for version in ("SIP/2.0", "ICAP/1.0", "HTTP/2.0")),
            *(f"c000 0050 | {http(start)}" for start in ("HTTP/1.1|", "HTTP/ a|")),
            *(f"c000 0050 | {http(start)}" for start in ("http/1.1 200|a||",)),
            to(80, OK),
        ),
    ),
    "http.response_bad": (
        (
            # RFC 9112 section 4: HTTP/1.0 or 1.1, three digits, a space; 2.6: in capitals.
            *(begun(f"HTTP/1.{minor} 200 a") for minor in "/23:9x"),
            *(begun(f"HTTP/1.1{mark}200 a") for mark in ("", "-", "x", "1", ".1 ", "0 ")),
            *(begun(f"HTTP/1.1 {status} a") for status in ("20", "2/0", "20:", ":00", "/00", "x")),
            *(begun(f"HTTP/1.1 {status} a") for status in ("20-", "090")),
            *(begun(f"HTTP/1.1 200{mark}a") for mark in "0x-/:,"),
            begun("HTTP/1.1 2000"),
            begun(f"HTTP/1.1{' ' * 10}200 a"),
            begun(f"HTTP/1.1 {'0' * 9}"),
            *(begun(f"{name}/1.1 200 a") for name in ("http", "hTTP", "HTTp")),
            *(begun(f"HTTP/{version} 200 a") for version in ("0.8", "1", "11", "2.0", "1,1")),
            *(begun(f"HTTP/{version} 200 a") for version in ("x.1",)),
            # What has a version elsewhere, and what has none but a status.
            *(begun(f"HTTP{mark}1.1 200 a") for mark in ("", " ", "-", "S/", " a ", "ab ", ":")),
            *(begun(f"HTTP{mark}1.1 200 a") for mark in ("S: ",)),
            *(begun(f"HTTP{version} 200 a") for version in ("0.1", "9.1", " 0.9", "1.")),
            *(
                begun(f"HTTP{blank}{status}{end}")
                for blank in ("", " ")
                for status in ("000", "999")
                for end in (" a", "\ta", "\va", "\fa", "")
            ),
            http("HTTP 200\na: b\n\n"),
            http("HTTP/1.1 2\n"),
            http("HTTP/1.1 20\n\n"),
            http("HTTP/1.1 20x "),
        ),
        (
            *(begun(f"HTTP/1.{minor} 200 a") for minor in "01"),
            *(begun(f"HTTP/1.1 {status} a") for status in ("100", "999", "209", "0123")),
            *(
                begun(f"HTTP/1.1{blank}200{end}")
                for blank in " \t\v\f"
                for end in ("", " ", "\ta", "\va", "\fa")
            ),
            *(begun(f"HTTP/1.1 {blank}200 a") for blank in (" ", "\t", "\v", "\f", " " * 7)),
            *(http(f"HTTP/1.1 200{end}") for end in ("\n\n", "\r\n\n", "\n", "|", " |")),
            begun(f"HTTP/1.1{' ' * 9}200 a"),
            begun("HTTP/1.1 0000200 a"),
            begun("HTTP/0.9 200 a"),
            begun("http/0.9 x"),
            *(begun(f"HTTP{mark} a b c") for mark in ("", " is", "S")),
            *(begun(f"HTTP{text} a") for text in (" 20", " 2000", "20x", " x00", " 2/0", " :00")),
            *(begun(f"HTTP{text} a") for text in ("  200", "12345")),
            *(begun(f"HTTP{text} a") for text in (":/1.1", "abcd1.1", "://1.1", "a/.1")),
            *(http(start) for start in ("HTTP/1.1 200", "HTTP/1.1 20", "HTTP/x", "HTTP 20")),
            *(http(start) for start in ("HTT/1.1 a b c d||",)),
            *(http(start) for start in ("hTTQ/1.1 2 a b c||", "XTTP/1.1 2 a b c||")),
        ),
    ),
    "http.host_bad": (
        (
            # RFC 9112 3.2: one Host in HTTP/1.1; RFC 3986 3.2.2, 3.2.3: a name or address, a port.
            http("GET / HTTP/1.1\n\n"),
            http("GET / HTTP/1.1\nHost: a\nHost: a\n\n"),
            http("GET / HTTP/1.1|Host ||"),
            http("GET / HTTP/1.1|Hosts: a||"),
            http("GET / HTTP/1.1|X-Host: a||"),
            http("GET / HTTP/1.0|Host: a|Host: a||"),
            *(host(f" a{mark}b") for mark in ' "#/<>?@[\\]^`{|}\x7f\x80\0\x1f'.replace("|", "")),
            *(host(f" a{mark}") for mark in (":x", ":/", "::", ":80:", ":0", ":00", ":65536")),
            *(host(f" a{mark}") for mark in (":99999", ":0000080", ":80 8", ":-1")),
            *(host(f" {name}") for name in (".a", "a..b", "..", ".", "%", "a%", "%2", "%2g")),
            *(host(f" {name}") for name in ("%g2", "%/0", "%:0", "%0@", "%`a")),
            *(host(f" {label * 64}{rest}") for label in "aZ9" for rest in ("", ".a", ":80")),
            host(f" a.{'a' * 64}.b"),
            *(host(f" {name}") for name in ("[", "[]", "[a]", "[1.2.3.4]", "[::1", "[::1]a")),
            *(host(f" {name}") for name in ("[::1]:x", "[::1]]", "[::1] a", "[x1.a]")),
            *(host(f" a{end}") for end in ("\rb", "\vb", "\f", "| b", "|\tb", " b", "\r b")),
            *(host(" b", target) for target in ("http://a/", "https://a/", "x://a/", "http://a")),
            *(host(" b", target) for target in ("http://a:80/", "http://a?b", "http://b@a/")),
            *(host(" a", target) for target in ("http://ab/", "http://a.b/", "http://a:0/")),
            *(host(" a", target) for target in ("http://a:x/", "http://a:80x/", "http:///")),
            *(host(" a", target) for target in ("http://a\\/",)),
            *(host(" ab", target) for target in ("http://a/", "http://xab/", "http://a@b/")),
            *(host(" a", target, "CONNECT") for target in ("b:443", "a:443x", "a:0", "ab:443")),
            *(host(" a", target, "CONNECT") for target in ("/", "a:65536")),
            host(" a:8080", "http://b:8080/"),
            host(f"{' ' * 17}a"),
        ),
        (
            *(host(value) for value in ("a", " a", "\ta", " a ", " a\t ", "", " ", " a.")),
            *(host(value) for value in (f"{' ' * 16}a{' ' * 16}",)),
            *(host(f" a{mark}b") for mark in "!$&'()*+,-.;=_~"),
            *(host(f" {name}") for name in ("%2D", "%2d", "%00", "%99", "%aF", "%Fa", "a%20b")),
            *(host(f" {name}") for name in ("0", "9", "A", "Z", "z")),
            *(host(f" a:{port}") for port in ("", "1", "9", "65535", "00080", "000080")),
            *(host(f" {label * 63}{rest}") for label in "aZ9" for rest in ("", ".a", ":80", ".")),
            *(host(f" {name}") for name in ("[::]", "[::1]:1", "[v1.a]", "[V1.a]")),
            *(host(f" {name}") for name in ("[fe80::1%25a]", "[::ffff:192.0.2.1]")),
            *(host(" a", target) for target in ("http://a/", "http://A/", "http://a", "http://a:")),
            *(host(" a", target) for target in ("http://a:1", "http://a?b", "http://a#b")),
            *(host(" a", target) for target in ("http://b@a/", "http://b:c@a:80/")),
            *(host(" a", target) for target in ("*", "/http://b/", "b", "http:/b/", "http:b")),
            *(host(" a", target) for target in ("/a://b", "/@b")),
            *(host(" a", target, "CONNECT") for target in ("a:443", "A:443", "a")),
            *(host("", target) for target in ("http://a/", "/")),
            http("GET / HTTP/1.0|A: b||"),
            http("GET / HTTP/1.0\n\n"),
            http("GET http://a/b@c HTTP/1.1|Host: a||"),
            *(http(f"GET / HTTP/1.1|A: b{rest}") for rest in ("", "|", "|Host: a@b|")),
            *(http(f"GET / HTTP/1.1|A: b{rest}") for rest in ("|Host: a|Host: b|",)),
            *(http(f"{line}|Host: @||") for line in (OK, "HTTP/1.1 GET / HTTP/1.1")),
            *(http(f"{line}|Host: @||") for line in ("GET / HTTP/2.0", "GET / HTTX/1.1")),
            http("GET / HTTP/1.1|Host: a||Host: b||"),
            http("GET / HTTP/1.1\nHost: a\n\nHost: b\n\n"),
            http("GET / HTTP/1.0|Xost: a|Host: a||"),
        ),
    ),
}
