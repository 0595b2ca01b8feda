"""What each protocol's peers say to each other on a connection, and which messages that is."""

from __future__ import annotations

import struct

HTTP = 5000, 80
BAD_LINE = b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NAME = b"\3www\7example\3org\0"


def dns(name):
    message = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + name + b"\0\1\0\1"
    return struct.pack(">H", len(message)) + message


SHORT_DNS = struct.pack(">5H", 8, 7, 0x0100, 1, 0)


def modbus(body):
    return struct.pack(">HHHB", 1, 0, len(body) + 1, 17) + body


def smb(body):
    return struct.pack(">I", len(body)) + body


def packet(message, padding=0):
    """Of SSH, before encryption."""
    padding = padding or 4 + -(9 + len(message)) % 8
    return struct.pack(">IB", 1 + len(message) + padding, padding) + message + bytes(padding)


ECHO = b"\xfeSMB\x40\0" + bytes(6) + b"\x0d\0" + bytes(50) + b"\4\0\0\0"


# Ports, messages, the last of which may leave nothing to go on from, and what they break together.
CONVERSATIONS = {
    "http": (
        (5000, 80),
        [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            BAD_LINE,
            POST + b"Content-Length: 40\r\n\r\n" + BAD_LINE.ljust(40, b"."),
            POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
            BAD_LINE,
            POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nX\r\n",
        ],
        {"http.request_line_bad": 2, "http.chunk_bad": 1},
    ),
    "requests with other blanks": (
        HTTP,
        [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"PUT\t/\tHTTP/1.1\r\nHost: a b\r\n\r\n",
            b"\t\x0bOPTIONS\x0c/ HTTP/1.1\r\nHost: a\r\nFoo Bar: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
        {"http.request_line_bad": 3, "http.host_bad": 1, "http.field_syntax": 1},
    ),
    "chunks of requests": (
        HTTP,
        [
            CHUNKS + b'5\r\nhello\r\n5 ;a="b"\r\nhello\r\n0\r\nA: b\r\n\r\n',
            CHUNKS + b"0x0\r\n\r\n",
            CHUNKS + b"5\nhello\r\n 5\r\nhello\n0\r\n\r\n",
            CHUNKS + b"5\r\nhello\r\n\r\n0\r\n\r\n",
            CHUNKS + b"\r\n\r\n\r\n0\r\n\r\n",
            CHUNKS + b"\r\n0\r\n\r\n",
            CHUNKS + b"5\r\nhello00\r\n\r\n",
            BAD_LINE,
        ],
        {"http.chunk_bad": 8, "http.request_line_bad": 1},
    ),
    "chunks of responses": (
        HTTP[::-1],
        [
            ANSWERED + b"0x0\r\n\r\n",
            ANSWERED + b"5\nhello\r\n 5\r\nhello\n0\r\n\r\n",
            ANSWERED + b'"5\r\n',
        ],
        {"http.chunk_bad": 1},
    ),
    "folded codings": (
        HTTP[::-1],
        [ANSWERED.replace(b": ", b":\r\n ") + b"5;a\r\nhello\r\n5;a b\r\nhello\r\n0\r\n\r\n"],
        {"http.chunk_bad": 1},
    ),
    # Whether the CR LF belongs to what was said to be five bytes, readers do not agree about.
    "where a bare LF leads": (
        HTTP[::-1],
        [ANSWERED + b"5\n\r\nhello\r\n0\r\n\r\n"],
        {},
    ),
    "zeros and what overflows": (
        HTTP,
        [
            CHUNKS + b"000000000005\r\nhello\r\n00000000000000000000\r\n\r\n",
            CHUNKS + b"80000000\r\n",
        ],
        {"http.chunk_bad": 1},
    ),
    "trailers of requests": (
        HTTP,
        [
            CHUNKS + b"0\r\nA: b\r\nfoobar\r\n\r\n",
            CHUNKS + b"0\r\nA: b\r\n\r\n",
            CHUNKS + b"0\r\n A: b\r\n\r\n",
            CHUNKS + b"0\r\n\n",
            BAD_LINE,
            CHUNKS + b"0\r\nA\r\n",
        ],
        {"http.field_syntax": 3, "http.request_line_bad": 1},
    ),
    "trailers of responses": (
        HTTP[::-1],
        [
            ANSWERED + b"0\r\nfoobar\r\n\r\n",
            ANSWERED + b"0\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
        ],
        {"http.field_syntax": 1},
    ),
    "any method": (
        (5000, 3000),
        [
            POST + b"\r\n",
            b"MKCOL /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GRAB /x HTTP/1.1\r\nHost: b\r\nHost: a\r\n\r\n",
            b"an-y /x HTTP/1.1\r\nHost: a\r\n\r\n",
            BAD_LINE,
            b"no request\r\n\r\n",
        ],
        {"http.request_line_bad": 2, "http.host_bad": 1},
    ),
    "dns": (
        (5000, 53),
        [dns(NAME), dns(b"\xc0\x0c"), SHORT_DNS, dns(NAME), dns(b"\3www\xc0\x0e")],
        {"dns.compression_abuse": 2, "dns.malformed": 1},
    ),
    "modbus": (
        (5000, 502),
        [modbus(b"\3\0\0\0\1"), modbus(b"\3\0\0\0\0"), modbus(b"\3\0\0\0\x7f\7")],
        {"modbus.bad_length": 1},
    ),
    "tls": (
        (5000, 443),
        [
            bytes.fromhex("16 0301 002d 01 000029 0303") + bytes(32) + b"\0\0\2\x13\1\1\0",
            bytes.fromhex("16 0301 002d 01 000029 0303") + bytes(32) + b"\x21\0\2\x13\1\1\0",
            b"\x17\3\3\0\x20" + bytes(32),
            bytes.fromhex("18 0302 0003 01 4000"),
            b"\x17\3\3\xff\xff" + bytes(9),
        ],
        {"tls.handshake_bad": 1, "tls.heartbeat_abuse": 1, "tls.record_bad": 1},
    ),
    "smb": (
        (5000, 445),
        [
            smb(ECHO),
            smb(ECHO[:-4] + b"\6\0\0\0"),
            b"\x85\0\0\0",
            smb(b"\xfdSMB" + bytes(48) + smb(b"\xfeSMB")),
            smb(b"\xfdSMB" + bytes(40)),
        ],
        {"smb.malformed": 2},
    ),
    "netbios": (
        (139, 5000),
        [b"\x82\0\0\0", smb(ECHO), smb(b"\xfdSMB" + bytes(40))],
        {"smb.malformed": 1},
    ),
    "ssh": (
        (22, 5000),
        [
            b"Welcome to a server\r\nof SSH\n",
            b"SSH-2.0-Open\0SSH\r\n",
            packet(b"\x14" + bytes(300)),
            packet(b"\x1e" + bytes(20), padding=2),
            packet(b"\x5a\0\0\0\7session"),
            packet(b"\x15"),
            b"SSH-2.0-\r\n" + packet(b"\x5a"),
        ],
        {"ssh.banner_bad": 1, "ssh.packet_len": 1, "ssh.message_early": 1},
    ),
    "smtp": (
        (5000, 25),
        [
            b"EHLO a\r\nMAIL FROM:<a@b>\r\n",
            b"RCPT TO:<c@d>\n",
            b"BDAT 8 LAST\r\nRSET\nabc",
            b"NOOP\r\n",
            b"QUIT\n",
        ],
        {"smtp.line_bad": 2},
    ),
    "replies": (
        (25, 5000),
        [b"220 a\r\n", b"250-a\r\n250-b\r\n250 c\r\n", b"250-a\r\n350 b\r\n", b"250 d\n"],
        {"smtp.line_bad": 2},
    ),
}
