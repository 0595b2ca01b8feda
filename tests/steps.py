"""Counts the lines of procwire that run for packets made to be costly, at one size and at twice it.

    NUMBA_DISABLE_JIT=1 .venv/bin/python tests/steps.py

Prints a JSON object: case -> [lines at the size, lines at twice the size].
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import procwire
from digest import SETTINGS
from procwire.capture.batch import IPV4, IPV6
from procwire.runs.analysis import Analysis
from test_hostile_packets import batch_of

HOME = str(Path(procwire.__file__).parent)
Packet = tuple[bytes, int, int]


def ipv4(protocol: int, body: bytes, place: int = 0) -> Packet:
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 7, place, 64, protocol, 0)
    data = header + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + body
    return data, len(data), IPV4


def ipv6(following: int, body: bytes) -> Packet:
    source, destination = b"\x20\1\r\xb8" + bytes(11) + b"\1", b"\x20\1\r\xb8" + bytes(11) + b"\2"
    data = struct.pack(">IHBB", 6 << 28, len(body), following, 64) + source + destination + body
    return data, len(data), IPV6


def udp(port: int, payload: bytes) -> Packet:
    return ipv4(17, struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload)


def tcp(seq: int, payload: bytes, options: bytes = b"", port: int = 80) -> Packet:
    offset = (5 + len(options) // 4) << 4
    header = struct.pack(">HHIIBBHHH", 40000, port, seq, 1, offset, 0x18, 1024, 0, 0)
    return ipv4(6, header + options + payload)


def fragments(count: int) -> list[Packet]:
    """All but the first of a datagram, the last ones first."""
    return [ipv4(17, bytes(8), 0x2000 | place) for place in range(count, 0, -1)]


def overlapping(count: int) -> list[Packet]:
    return [ipv4(17, bytes(512), 0x2000 | place) for place in range(1, count + 1)]


def pointers(count: int) -> list[Packet]:
    """Each name of a DNS message is a pointer to the first."""
    names = b"\1a\0\0\1\0\1" + (count - 1) * b"\xc0\x0c\0\1\0\1"
    return [udp(53, struct.pack(">6H", 1, 0x100, count, 0, 0, 0) + names)]


def chain(count: int) -> list[Packet]:
    """Each name of a DNS message is a pointer to the one before. The names behind the 255th are not
    announced."""
    names = b"\1a\0\0\1\0\1"
    for number in range(count - 1):
        before = 12 if number == 0 else 19 + 6 * (number - 1)
        names += struct.pack(">H", 0xC000 | before) + b"\0\1\0\1"
    return [udp(53, struct.pack(">6H", 1, 0x100, min(count, 255), 0, 0, 0) + names)]


def pointers_to_long(count: int) -> list[Packet]:
    """Each name of a DNS message is a pointer to one of as many labels as a name can have."""
    names = b"\1a" * 127 + b"\0\0\1\0\1" + (count - 1) * b"\xc0\x0c\0\1\0\1"
    return [udp(53, struct.pack(">6H", 1, 0x100, count, 0, 0, 0) + names)]


def labels(count: int) -> list[Packet]:
    return [udp(53, struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + b"\1a" * count + b"\0\0\1\0\1")]


def extensions(count: int) -> list[Packet]:
    return [ipv6(60, bytes([60, 0, 1, 4, 0, 0, 0, 0]) * count + bytes([59, 0]) + bytes(6))]


def padding(count: int) -> list[Packet]:
    """Options of one byte each."""
    size = min(count, 255)
    return [ipv6(0, bytes([59, size]) + bytes(6 + 8 * size))]


def segments(count: int) -> list[Packet]:
    """Out of order, so that none can be delivered."""
    return [tcp(10_000 - 8 * place, b"GET / HT") for place in range(count)]


def single_bytes(count: int) -> list[Packet]:
    """The head of a message, each byte in a segment of its own."""
    head = b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * count
    return [tcp(1 + place, head[place : place + 1]) for place in range(len(head))]


def unfinished_line(count: int) -> list[Packet]:
    """A request line of a method that is not known before the line ends, which it does not."""
    line = b"FOO /" + b"a" * count
    return [tcp(1 + place, line[place : place + 1]) for place in range(len(line))]


def sent_again(count: int) -> list[Packet]:
    """Segments that bring one byte each and send all the others again."""
    return [tcp(1 + place, bytes(200)) for place in range(count)]


def gaps(count: int) -> list[Packet]:
    """Segments before each of which one byte is missing."""
    return [tcp(1 + 9 * place, b"GET / HT") for place in range(count)]


def fields(count: int) -> list[Packet]:
    return [tcp(1, b"GET / HTTP/1.1\r\n" + b"a:\r\n" * count + b"\r\n")]


def neighbours(count: int) -> list[Packet]:
    """Different flows, for tables that are too small for them."""
    return [udp(1024 + place, b"x") for place in range(count)]


# Case -> the packets of a size, and the size.
CASES: dict[str, tuple[Callable[[int], list[Packet]], int]] = {
    "fragments backwards": (fragments, 400),
    "fragments that overlap": (overlapping, 100),
    "DNS pointers": (pointers, 100),
    "DNS chains": (chain, 60),
    "DNS chains, longer ones": (chain, 127),
    "DNS chains beyond the limit": (chain, 255),
    "DNS pointers to a long name": (pointers_to_long, 120),
    "DNS labels": (labels, 400),
    "IPv6 extension headers": (extensions, 80),
    "IPv6 options": (padding, 100),
    "TCP segments backwards": (segments, 200),
    "TCP segments of one byte": (single_bytes, 40),
    "TCP segments of one byte of a line": (unfinished_line, 400),
    "TCP segments that overlap": (sent_again, 60),
    "TCP segments behind gaps": (gaps, 200),
    "HTTP fields": (fields, 150),
    "flows": (neighbours, 100),
}


def lines(packets: list[Packet]) -> int:
    """Lines of the package that run while the packets are analysed."""
    analysis, batch, counted = Analysis(SETTINGS), batch_of(packets), 0

    def line(frame: Any, event: str, argument: Any) -> Any:
        nonlocal counted
        counted += event == "line"
        return line

    def called(frame: Any, event: str, argument: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(HOME) else None

    sys.settrace(called)
    analysis.packets(batch)
    sys.settrace(None)
    return counted


if __name__ == "__main__":
    if not numba.config.DISABLE_JIT:
        sys.exit("set NUMBA_DISABLE_JIT=1: what is compiled runs no lines")
    costs = {
        name: [lines(made(size)), lines(made(2 * size))] for name, (made, size) in CASES.items()
    }
    print(json.dumps(costs))
