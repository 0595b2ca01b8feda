"""Bounds of the rules on HTTP's fields and on what frames a body: what each fires on, and what not.
"|" stands for the end of a line."""

from __future__ import annotations

from header_bounds import Cases
from http_bounds import OK, http


def asked(fields: str, line: str = "POST / HTTP/1.1") -> str:
    return http(f"{line}|{fields}|Server: a||")


def length(value: str, more: str = "Host: a", line: str = "POST / HTTP/1.1") -> str:
    return asked(f"{more}|Content-Length:{value}", line)


def coded(value: str, more: str = "Host: a", line: str = "POST / HTTP/1.1") -> str:
    return asked(f"{more}|Transfer-Encoding:{value}", line)


def fields(lines: str, line: str = "GET / HTTP/1.1") -> str:
    return http(f"{line}|{lines}|Server: a||")


def trailer(lines: str) -> str:
    """What stands behind the last chunk of a body."""
    return f"0050 | {http(lines)}"


FIGURES = "18446744073709551615"  # 20 of them

# Rule -> what it fires on, and what not.
HTTP_BODY_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "http.content_length_bad": (
        (
            # RFC 9112 6.2, RFC 9110 8.6: digits, and nothing else; 6.3: one value.
            *(length(f" {value}") for value in ("", "+5", "-5", "x", "5x", "5 5", "0x5", "5,6")),
            *(length(f" {value}") for value in ("/5", ":5", "5;")),
            *(length(f" {value}") for value in ("5/", "5:", "5\v", "5\f", "5\0", "05", "00", "09")),
            *(length(f" {value}") for value in (FIGURES, f"{FIGURES}0", f"0{FIGURES}")),
            *(length(value, line=line) for value in ("", " ") for line in ("POST / HTTP/1.0", OK)),
            http("POST / HTTP/1.1\nContent-Length: +5\n\n"),
            length(" 5", "Content-Length: 6"),
            length(" 5|Content-Length: 5|Content-Length: 6"),
            length(" 55", "content-length: 5"),
            length(" 5|Content-Length: 6", line=OK),
            length(f" {FIGURES}", line=OK),
            *(length(f" {value}", line=OK) for value in ("x", "-", "x/", "x:", "x|5: a")),
            # RFC 9110 10.1.1: who expects to be told to go on has something to send.
            length(" 0", "Expect: 100-continue"),
            length(" 0|expect: 100-continue"),
            length(f"{' ' * 16}x"),
            length("|Content-Length: 5"),
        ),
        (
            *(length(value) for value in ("5", " 5", "\t5", " 5 ", " 5\t", " \t 9 \t")),
            *(length(value) for value in (" 1844674407370955161",)),
            *(length(f" {value}") for value in ("0", "10", "100", "9", "5|Content-Length:5")),
            *(length(f"{' ' * blanks}5{' ' * blanks}") for blanks in (15, 16)),
            http("POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\n"),
            *(length(f" {value}", line=OK) for value in ("05", "5x", "5,5", "5;a", "5 5", "+5")),
            *(length(f" {value}", line=OK) for value in ("-5", "x0", "x9", "0" * 19)),
            *(length(value, line=OK) for value in ("|\t5", "| 5", " | 5")),
            *(length(" 5", more) for more in ("Expect: 100-continue", "X-Content-Length: x")),
            *(length(" 0", more) for more in ("Expected: a", "Except: 100-continue", "Xxpect: a")),
            *(length(" 0", more) for more in ("Expect; a",)),
            *(asked(line) for line in ("Content-Lengthy: x", "Content-Length; x")),
            *(asked(line) for line in ("Content-Longth: x", "Expect: a")),
            *(asked("Content-Length: x", line) for line in ("HTTX/1.1 200 OK", "a")),
            *(asked("Content-Length: x", line) for line in ("POST / HTTX/1.1", "POST / HTTP/2.0")),
            *(http(f"POST / HTTP/1.1|Host: a|{end}Content-Length: x|") for end in ("|", "\n")),
            http("POST / HTTP/1.1|Host: a|Content-Length: x"),
        ),
    ),
    "http.te_bad": (
        (
            # RFC 9112 6.1: a known coding, chunked once and last, of HTTP/1.1, without a length.
            *(coded(f" {value}") for value in ("gzip", "", "xchunked", "chunked, gzip")),
            *(coded(f" {value}") for value in ("chunked,chunked", "chunked;a")),
            *(coded(f" {value}") for value in ('"chunked"', "chunked\v", "\0chunked", "chunkedx")),
            *(coded(f" {value}") for value in ("chunke", "gzip chunked")),
            *(coded(" chunked", line=f"POST / HTTP/1.{minor}") for minor in "029"),
            *(coded(" chunked", more) for more in ("Content-Length: 5", "content-length:")),
            *(coded(" chunked", more) for more in ("Transfer-Encoding: a",)),
            *(coded(" chunked", f"Transfer-Encoding: {value}") for value in ("chunked", "", "x")),
            coded(" chunked|Content-Length: 5"),
            coded(" chunked|Transfer-Encoding: gzip"),
            coded(" gzip|, chunked"),
            coded(" chunked| x"),
            coded("|\tchunked|\tchunked"),
            http("POST / HTTP/1.1\nTransfer-Encoding: gzip\n\n"),
            http("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n"),
            *(coded(f" {value}", line=OK) for value in ("chunked, gzip", "xchunked", "x chunked")),
            *(coded(f" {value}", line=OK) for value in ("chunked x", "gzip,  chunked")),
            *(coded(f" {value}", line=OK) for value in ("chunked|Content-Length: 5", "chunked| x")),
            *(coded(f" {value}", line=OK) for value in ("'chunked'", "chunked\v")),
            *(coded(" chunked", line=f"HTTP/{version} 200 OK") for version in ("1.0", "0.9")),
            *(coded(" chunked", line=f"HTTP/{version} 200 OK") for version in ("1.2", "2.0")),
            *(coded(" chunked", line=f"HTTP/{version} 200 OK") for version in ("1.11",)),
            *(coded(" chunked", line=line) for line in ("http/1.1 200 OK", "HTTP/1.1x200 OK")),
            *(coded(" chunked", line=line) for line in ("HTTP/1.1.200 OK",)),
            coded(" chunked", "Content-Length: 5", OK),
            coded(" chunked", line="HTTP/2.1 200 OK"),
            coded(" chunked", "Transfer-Encoding: chunked", OK),
        ),
        (
            *(coded(value) for value in ("chunked", " chunked", "\tChunked", " CHUNKED ")),
            *(coded(value) for value in (" chunked\t", f"{' ' * 16}chunked")),
            *(coded(f" {first}, chunked") for first in ("gzip", "deflate", "compress")),
            *(coded(f" {first},chunked") for first in ("gzip", "deflate")),
            *(coded(" chunked", f"Transfer-Encoding: {value}") for value in ("gzip", "deflate")),
            *(coded(" chunked", f"Transfer-Encoding: {value}") for value in ("compress",)),
            coded(" chunked", "Transfer-Encoding:| gzip"),
            *(coded("|\tchunked", line=line) for line in ("POST / HTTP/1.1", OK)),
            http("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n"),
            *(coded(" chunked", line=f"HTTP/1.1{end}") for end in ("", " ", "\t200", "\v200")),
            *(coded(" chunked", line=f"HTTP/1.1{end}") for end in ("\f200",)),
            *(coded(f" {value}", line=OK) for value in ("gzip", "x", "", "identity")),
            *(coded(f" {value}", line=OK) for value in ("gzip|Content-Length: 5", "chunk")),
            *(coded(" gzip", line=f"HTTP/1.{minor} 200 OK") for minor in "019"),
            *(coded(" chunked", more) for more in ("Xontent-Length: 5", "Content-Lengthy: 5")),
            *(coded(" chunked", more) for more in ("Content-Length; 5",)),
            *(asked(line) for line in ("Transfer-Encodings: x", "Transfer-Encoding; x")),
            *(asked(line) for line in ("Transfer-Encodinx: x",)),
            *(asked("Transfer-Encoding: chunked", line) for line in ("HTTX/1.1 200 OK", "a")),
            *(asked("Transfer-Encoding: x", line) for line in ("POST / HTTP/2.0",)),
            *(http(f"{OK}|a: b|{end}Transfer-Encoding: xchunked|") for end in ("|", "\n")),
            http("POST / HTTP/1.1|Host: a|Transfer-Encoding: gzip|"),
        ),
    ),
    "http.field_syntax": (
        (
            # RFC 9112 section 5, 5.1: a name that is a token, and a colon at once behind it.
            *(
                fields(line, start)
                for start in ("GET / HTTP/1.1", OK)
                for line in ("a", ":", ": b", "a : b", "a\t: b", "a b: c")
            ),
            *(fields(f"a{mark}b: c") for mark in '"(),/;<=>?@[\\]{}\x7f\x80\0'),
            *(fields(f"A: b|{line}") for line in ("a", " a: b", "\ta", " a", " ", "\r", "\r ")),
            *(fields(line) for line in (" ", "\t", "\r", "A: b\rc", "A: b\r", "A: \r", "A: b\0")),
            *(fields(line) for line in ("A: b\0|C: d",)),
            *(http(f"GET /|{lines}||") for lines in ("Host: a|b", "b|Host: a", "host: a|b : c")),
            http("GET / HTTP/1.1\nA\n\n"),
            http("GET / HTTP/1.0|a||"),
            # 2.2: blanks behind the status line; a bare CR, or a bare LF behind CR LF, is no end.
            *(fields(line, OK) for line in (" A: b", "\tA: b", " ", " |A: b", "\rA: b")),
            *(fields(f"A: b|{line}", OK) for line in (" c: d", "\tc: d", " c:", "\r", "\r\r c")),
            *(fields(f"A: b{line}", OK) for line in ("\rc", "\r c: d", "\n\rc", "\rc|D: e")),
            *(http(f"{start}|A: b|\n") for start in ("GET / HTTP/1.1", OK)),
            http("HTTP/1.1\r200 OK|A: b||"),
            *(trailer(lines) for lines in ("a||", ": b||", " a: b||", "A: b|c||", "A: b\rc||")),
            *(trailer(lines) for lines in ("A: b\0||", "\tA: b||", "A: b|\n", " |")),
            trailer(f"{'a' * 255}||"),
        ),
        (
            *(
                fields(line, start)
                for start in ("GET / HTTP/1.1", OK)
                for line in ("a:", "a:b", "a:  b ", "a: b:c", "a:\tb")
            ),
            *(fields(f"a{mark}b: c") for mark in "!#$%&'*+-.^_`~09AZaz"),
            *(fields(f"{'a' * size}: b") for size in (255, 256, 257)),
            fields("a" * 256),
            *(fields(f"A: b|{line}", OK) for line in (" c", "\tc", "  c d")),
            *(fields(line, OK) for line in ("A: b\rc: d", "A: b\r", "A: b\n\rC: d", "A: b\r\r")),
            *(http(f"{start}|A: b||c") for start in ("GET / HTTP/1.1", "GET / HTTP/1.0", OK)),
            *(http(f"{start}\nA: b\n\nc\n") for start in ("GET / HTTP/1.1", OK)),
            *(http(f"GET /|{lines}") for lines in ("a||", "Hosts: a|b||", "Host; a|b||")),
            *(http(f"GET /|{lines}") for lines in ("Xost: a|b||", "A: b||Host: a|c|")),
            *(http(f"GET /|{lines}") for lines in ("A: b\n\nHost: a|c|", "a|Host: a")),
            *(http(line) for line in ("a|b|c||", "HTTX/1.1 200 OK|a||", "GET / HTTP/2.0|a||")),
            *(http(line) for line in ("GET / HTTP/1.1|a", OK)),
            http(f"{OK}|A: \0||"),
            http("GET / HTTP/1.1|A: b||\0|"),
            http(f"{OK}\n|"),
            *(http(f"GET /|b{end}Host: a||") for end in ("||", "\n\n")),
            *(trailer(lines) for lines in ("A: b||", "A:||", "|", "A: b", "A: b|C: d||e|")),
        ),
    ),
}
