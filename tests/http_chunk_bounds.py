"""Bounds of the rule on HTTP's chunks: what it fires on, and what not. "|" stands for the end of a
line."""

from __future__ import annotations

from header_bounds import Cases
from http_bounds import OK, http


def sent(
    body: str, field: str = "Transfer-Encoding: chunked", line: str = "POST / HTTP/1.1"
) -> str:
    """A message with this body, of which `field` says that it comes in chunks."""
    return f"c000 0050 | {http(f'{line}|Host: a|{field}||{body}')}"


def told(body: str, field: str = "Transfer-Encoding: chunked") -> str:
    return sent(body, field, OK)


def first(line: str) -> str:
    """The line of a request's first chunk; the others stand behind an end of line."""
    return f"00 | {http(line)}"


def later(line: str) -> str:
    return f"0050 | {http(line)}"


def first_told(line: str) -> str:
    return http(line)


def later_told(line: str) -> str:
    return f"000050 | {http(line)}"


CODED = http("Transfer-Encoding: chunked")

# Rule -> what it fires on, and what not.
HTTP_CHUNK_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "http.chunk_bad": (
        (
            # RFC 9112 7.1: hexadecimal digits, what extends them, an end of line, that many bytes.
            *(sent(f"{size}|hello|0||") for size in ("", "x", "g", "G", "/", ":", "@", "`", "+5")),
            *(sent(f"{size}|hello|0||") for size in ("-5", "0x5", "5x", "5g", "5 5", "5,", "\0")),
            *(told(f"{size}|hello|0||") for size in ("", "x", "g", "G", "/", ":", "@", "`", "+5")),
            *(told(f"{size}|hello|0||") for size in ("-5", "\0")),
            *(sent(f"5{end}hello|0||") for end in ("\n", "\r\r\n", " \n", ";a\n", "\v|", "\f|")),
            *(sent(f"5{end}hello|0||") for end in ("\r|",)),
            *(sent(f"{blank}5|hello|0||") for blank in (" ", "\t", "|", "\n", "\r", "\v", "\f")),
            *(sent(f"5|hello{end}0||") for end in ("", "\n", "\r", "||", "| ", "|\t", " |", "!|")),
            *(told(f"5|hello{end}0||") for end in ("", " ", "\r", "\t|", "!|", "a|")),
            *(told(f"{size}|hello") for size in ("80000000", "FFFFFFFF", "100000000")),
            *(told(f"{size}|hello") for size in ("0000000080000000", "7fffffff0")),
            *(f(line) for f in (first, later) for line in ("x|", "g|", "80000000|")),
            *(first(line) for line in (" 5|", "|5|", "5x|", "5 x|", "5\n", "5;|")),
            *(later(line) for line in ("5|", "\n5|", " |5|", "||5|", "| 5|", "|5x|", "|5\n")),
            *(later(line) for line in ("\r5|", "|x|")),
            *(later_told(line) for line in ("5|", " 5|", "\r5|", "|x|", "a|", "a\n5|")),
            first_told("x|"),
            # 7.1.1: names, some with a token or a quotation as value.
            *(
                f(f"5{more}|hello|0||")
                for f in (sent, told)
                for more in (
                    ";",
                    "; ",
                    ";=a",
                    ";a=",
                    ";a= ",
                    ";a b",
                    ";a=b c",
                    ";a=b=c",
                    ";a;",
                    ";a=;b",
                    ";,",
                )
            ),
            *(
                f(f"5{more}|hello|0||")
                for f in (sent, told)
                for more in (';a="b', ';a="b"c', ';a="b" c', ';"a"', ';a=b"c"', ";a,b", ";a=b,c")
            ),
            *(
                f(f"5{more}|hello|0||")
                for f in (sent, told)
                for more in (";a;b;c;", ";a=b;c d", ";a ; b c")
            ),
            # Who finds the field, reads chunks.
            *(sent("x|", field) for field in ("Transfer-Encoding:chunked",)),
            *(sent("x|", field) for field in ("transfer-encoding\t: chunked",)),
            *(sent("x|", field) for field in ("Transfer-Encoding: CHUNKED, a",)),
            *(sent("x|", field) for field in ("Transfer-Encoding:|\tchunked",)),
            *(sent("x|", field) for field in ("A: b\rTransfer-Encoding: chunked",)),
            *(sent("x|", field) for field in (" Transfer-Encoding: chunked",)),
            sent("x|", line="POST / HTTP/1.0"),
            *(f"c000 0050 | {http(line)} 0a {CODED} 0a0a 780a" for line in ("POST / HTTP/1.1", OK)),
        ),
        (
            *(
                f(f"{size}|{'a' * int(size, 16)}|0||")
                for f in (sent, told)
                for size in ("1", "9", "a", "f", "A", "F", "1f", "0005", "10")
            ),
            *(f(f"5{end}|hello|0||") for f in (sent, told) for end in (" ", "\t", " \t ", "  ")),
            *(
                f(f"5{more}|hello|0||")
                for f in (sent, told)
                for more in (
                    ";a",
                    "; a",
                    " ;a",
                    ";a=b",
                    "; a = b",
                    ";a;b",
                    ";a=b;c",
                    ";a ; b=c ",
                    ";a=b ",
                )
            ),
            *(
                f(f"5{more}|hello|0||")
                for f in (sent, told)
                for more in (';a="b"', ';a="b c;,"', ';a=""', ';a="b" ;c', ';a="\\""', ";a;b;c;d")
            ),
            *(told(f"5{end}hello|0||") for end in ("\n", " \n", "x|", " x|", ",|", "/|", ":|")),
            *(told(f"5{end}hello|0||") for end in ("\r\r\n",)),
            *(told(f"{blank}5|hello|0||") for blank in (" ", "\t", "|", "\n", "\r", "\v", "\f")),
            *(told(f"5|hello{end}0||") for end in ("|", "\n", "| ", "||", "\n ")),
            *(
                f(f"{size}|a")
                for f in (sent, told)
                for size in ("7fffffff", "7FFFFFFF", "00000000007fffffff")
            ),
            *(
                f(f"5|hello|{end}")
                for f in (sent, told)
                for end in ("0||", "00|A: b||x", "0;a||", "0|x", "000||")
            ),
            *(
                f(begun)
                for f in (sent, told)
                for begun in (
                    "",
                    "5",
                    "5|",
                    "5|hel",
                    "5|hello",
                    "5|hello\r",
                    "5|hello|",
                    "5|hello|0",
                )
            ),
            *(first(line) for line in ("5|", "5 |", "5;a|", "0|", "")),
            *(later(line) for line in ("|5|", "|5 ;a=b|", "|0|", "\r", "|")),
            *(later_told(line) for line in ("|5|", "\n5|", "| 5|", "|5x|", "|5\n", "||5|")),
            *(first_told(line) for line in ("5|", " 5|", "|5|", "5x|", "5\n")),
            *(sent("x|", field) for field in ("Transfer-Encoding: gzip",)),
            *(sent("x|", field) for field in ("Transfer-Encodings: chunked",)),
            *(sent("x|", field) for field in ("Transfer-Encoding; chunked", "A: chunked")),
            *(sent("x|", field) for field in ("Transfer-Encoding: a, chunked",)),
            *(sent("x|", field) for field in ("Transfer-Encodinx: chunked",)),
            *(sent("x|", field) for field in ("Transfer_Encoding: chunked",)),
            *(sent("x|", field) for field in ("XTransfer-Encoding: chunked",)),
            *(sent("x|", field) for field in ("Transfer-Encoding:|chunked: a",)),
            *(sent("x|", line=line) for line in ("POST / HTTP/2.0", "HTTX/1.1 200 OK", "a")),
            f"c000 0050 | {http('POST / HTTP/1.1|Transfer-Encoding: chunked|')}",
        ),
    ),
}
