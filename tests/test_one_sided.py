"""Captures that show one direction only: who is answered there is no scanner, and who scans is."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

import pytest
from conversations import ACK, FIN, PSH, RST, SYN, Conversations
from scan_traffic import IPV4, IPV6, ME, afar, host, names_of

Made = Callable[[Conversations, int], None]


def question(name: str, draw: Random, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    head = struct.pack(">HHHHHH", draw.randrange(1 << 16), 0, 1, 0, 0, 0)
    return head + labels + struct.pack(">BHH", 0, kind, 1)


def options(version: int, target: str, draw: Random) -> bytes:
    numbers = draw.randrange(10**6), draw.randrange(10**9)
    return (
        f"OPTIONS sip:100@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {ME[version]}:5060;"
        f"branch=z9hG4bK{numbers[0]}\r\nTo: <sip:100@{target}>\r\nCall-ID: {numbers[1]}\r\n\r\n"
    ).encode()


def resolver(t: Conversations, version: int) -> None:
    """Each name is asked of the servers of its parent and of its own, for both kinds of address."""
    draw = Random(1)
    for i in range(300):
        zone = f"{draw.choice('abcdefgh') * draw.randrange(3, 12)}{i // 4}.{draw.choice(TOP)}"
        ends = (ME[version], t.port(), afar(version, i % 5 if i % 4 < 2 else i), 53)
        t.datagram(i * 0.05, ends, question(f"www.{zone}", draw, (1, 28)[i % 2]))


TOP = ("com", "net", "org", "de", "uk")


def names_of_addresses(t: Conversations, version: int) -> None:
    """A mail server's or a log's resolver asks for the names of those who came."""
    draw = Random(2)
    for i in range(300):
        name = ".".join(str(draw.randrange(256)) for _ in range(4)) + ".in-addr.ARPA"
        ends = (ME[version], t.port(), afar(version, i % 90), 53)
        t.datagram(i * 0.05, ends, question(name, draw, 12))


def sip_proxy(t: Conversations, version: int) -> None:
    """It answers some telephones, from the port that all use, and calls others."""
    draw = Random(3)
    for i in range(300):
        ends = (ME[version], 5060, host(version, i % 60), 5060)
        answer = f"SIP/2.0 200 OK\r\nCall-ID: {i}\r\n\r\n".encode()
        t.datagram(i * 0.1, ends, answer if i % 2 else options(version, ends[2], draw))


def answers_from_port_to_port(t: Conversations, version: int) -> None:
    """Servers of protocols in which both ends use the same port, or a client a low one."""
    answers = {
        (53, 53): b"\x12\x34\x84\0" + bytes(8),
        (123, 123): b"\x24\2\6\xec" + bytes(44),
        (67, 68): b"\2\1\6\0" + bytes(240),
        (67, 67): b"\2\1\6\1" + bytes(240),
        (137, 137): b"\x12\x34\x84\0" + bytes(8),
        (547, 546): b"\7" + bytes(40),
        (1812, 1814): b"\2\7\0\x14" + bytes(16),
        (1813, 1813): b"\5\7\0\x14" + bytes(16),
    }
    for i in range(60):
        for (port, peer), message in answers.items():
            t.datagram(i * 0.3, (ME[version], port, host(version, i), peer), message)


def protected(t: Conversations, version: int) -> None:
    """What gateways and clients send with keys on which they have agreed before."""
    draw = Random(4)
    for i in range(60):
        peer = afar(version, i)
        for ends, message in (
            ((ME[version], 51820, peer, 51820), b"\4\0\0\0" + draw.randbytes(28)),
            ((ME[version], 4500, peer, 4500), b"\xc1" + draw.randbytes(100)),
            ((ME[version], 500, peer, 500), draw.randbytes(80)),
            ((ME[version], t.port(), peer, 443), b"\x43" + draw.randbytes(40)),
        ):
            t.datagram(i * 0.5, ends, message)


def begun(t: Conversations, version: int) -> None:
    """Clients of QUIC, and calls: what nobody answered would not go on."""
    draw = Random(5)
    for i in range(60):
        quic = (ME[version], t.port(), afar(version, i), 443)
        media = (ME[version], 20000 + 2 * i, afar(version, 100 + i), 10000 + 2 * i)
        t.datagram(i * 0.5, quic, b"\xc0\0\0\0\1" + draw.randbytes(1245))
        for piece in range(1, 20):
            at = i * 0.5 + piece * 0.02
            t.datagram(at, quic, b"\x40" + draw.randbytes(30 + piece))
            t.datagram(at, media, b"\x80\0" + draw.randbytes(170))


def accepted(t: Conversations, version: int) -> None:
    """Clients behind address translations, with low ports, of a server on a dynamic one."""
    for i in range(120):
        ends, at = (ME[version], 50000, afar(version, i), 2000 + 7 * i), i * 0.1
        t.segment(at, ends, SYN | ACK)
        t.segment(at + 0.02, ends, ACK, 2)
        t.segment(at + 9, ends, FIN | ACK, 2)


def accepted_before(t: Conversations, version: int) -> None:
    """The same where all connections are older than the capture."""
    for i in range(120):
        ends, at = (ME[version], 50000, afar(version, i), 2000 + 7 * i), i * 0.1
        t.segment(at, ends, ACK, 2)
        t.segment(at + 0.02, (*ends[:3], 20000 + i), FIN | ACK, 2)


@pytest.mark.parametrize("version", [IPV4, IPV6])
@pytest.mark.parametrize(
    "made",
    [
        resolver,
        names_of_addresses,
        sip_proxy,
        answers_from_port_to_port,
        protected,
        begun,
        accepted,
        accepted_before,
    ],
    ids=lambda made: made.__name__,
)
def test_who_is_answered_elsewhere_is_no_scanner(made: Made, version: int) -> None:
    traffic = Conversations()
    made(traffic, version)
    assert names_of(traffic) == {}


def open_resolvers(t: Conversations, version: int) -> None:
    """All are asked for the same name, and tell with that who they are."""
    draw = Random(6)
    for i in range(200):
        target = afar(version, i)
        name = (f"{draw.randbytes(4).hex()}.{i}.probe.example", "version.bind")[i % 2]
        t.datagram(i * 0.05, (ME[version], t.port(), target, 53), question(name, draw))


def telephones(t: Conversations, version: int) -> None:
    draw = Random(7)
    for i in range(200):
        ends = (ME[version], 5060, afar(version, i), 5060)
        t.datagram(i * 0.05, ends, options(version, ends[2], draw))


def payloads(t: Conversations, version: int) -> None:
    """Several messages for a port, and each again."""
    for i in range(200):
        for again in range(6):
            ends = (ME[version], 55555, host(version, i), 161)
            t.datagram(i * 0.02 + again // 3, ends, b"\x30" + bytes(20 + 9 * (again % 3)))


def key_exchanges(t: Conversations, version: int) -> None:
    draw = Random(8)
    for i in range(100):
        first = draw.randbytes(8) + bytes(8) + b"\x21\x20\x22\x08" + bytes(40)
        t.datagram(i * 0.05, (ME[version], 500, afar(version, i), 500), first)
        t.datagram(i * 0.05, (ME[version], 4500, afar(version, i), 4500), bytes(4) + first)


def clocks(t: Conversations, version: int) -> None:
    for i in range(100):
        t.datagram(i * 0.05, (ME[version], 123, afar(version, i), 123), b"\x23" + bytes(47))


def questions_from_the_servers_port(t: Conversations, version: int) -> None:
    """Whatever the flags say: who answers a name server is another one."""
    draw = Random(9)
    for i in range(200):
        name = f"{draw.randbytes(4).hex()}.{i}.probe.example"
        asked, answered = question(name, draw), b"\x12\x34\x84\0" + bytes(8)
        t.datagram(i * 0.05, (ME[version], 53, afar(version, i), 53), asked)
        t.datagram(i * 0.05, (ME[version], 53, host(version, i), 161), answered)


def half_open(t: Conversations, version: int) -> None:
    for i in range(200):
        ends = (ME[version], 40000, host(version, i), 22)
        t.segment(i * 0.05, ends, SYN, 7)
        t.segment(i * 0.05 + 0.02, ends, RST, 8)


def lone_acknowledgements(t: Conversations, version: int) -> None:
    for i in range(200):
        t.segment(i * 0.05, (ME[version], 40000, host(version, i % 50), 1 + i // 50), ACK, 7)


@pytest.mark.parametrize("version", [IPV4, IPV6])
@pytest.mark.parametrize(
    "made",
    [
        open_resolvers,
        telephones,
        payloads,
        key_exchanges,
        clocks,
        questions_from_the_servers_port,
        half_open,
        lone_acknowledgements,
    ],
    ids=lambda made: made.__name__,
)
def test_who_scans_is_told_although_nobody_is_seen_to_answer(made: Made, version: int) -> None:
    traffic = Conversations()
    made(traffic, version)
    assert {source for source, _ in names_of(traffic)} == {ME[version]}


@pytest.mark.parametrize("made", [resolver, begun], ids=lambda made: made.__name__)
def test_silence_tells_where_others_are_seen_to_be_answered(made: Made) -> None:
    traffic = Conversations()
    for client in range(3):
        for again in range(4):
            ends = (host(IPV4, 700 + client), 50000 + again, afar(IPV4, 900), 443)
            traffic.segment(0.1 * again, ends, SYN)
            traffic.segment(0.1 * again + 0.02, (ends[2], 443, *ends[:2]), SYN | ACK)
            traffic.segment(0.1 * again + 0.04, ends, PSH | ACK, 2, payload=b"hello")
    made(traffic, IPV4)
    assert {source for source, _ in names_of(traffic)} == {ME[IPV4]}
