"""Flows that this host begins, most by a process for each: an act gets the number of its round."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading

from flow_words import (
    CLOSED,
    DATAGRAM,
    MPTCP,
    OPEN,
    PROTOCOLS,
    ROUNDS,
    STREAM,
    V4,
    V6,
    Act,
    End,
    child,
    connect,
    far_4,
    far_6,
    is_translated,
    near_4,
    own_end,
    say,
    wire,
)


def begins(kind: str, family: int, way: int, address: str, port: int, protocol: int = 0) -> Act:
    """One that connects, and of datagrams sends."""

    def act(number: int) -> None:
        sock = socket.socket(family, way, protocol)
        connect(sock, address, port)
        if way == DATAGRAM:
            sock.send(b"x")
        say(kind, PROTOCOLS[way], own_end(sock, address), (address, port))

    return act


def sends(kind: str, family: int, address: str, bound: bool = False) -> Act:
    """One that is not connected. bound: to a port that the child before it had, too."""

    def act(number: int) -> None:
        peer = address, 7300 + number
        sock = socket.socket(family, DATAGRAM)
        if bound:
            sock.bind(("", 20999))
        sock.sendto(b"x", peer)
        say(kind, 17, own_end(sock, address), peer)

    return act


def reconnects(number: int) -> None:
    """As resolvers do, and at last to whom it will."""
    sock = socket.socket(V4, DATAGRAM)
    kind = "UDP connected to one after the other"
    for port in (7301, 7302):
        sock.connect((far_4, port))
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        sock.send(b"x")
        say(kind, 17, own_end(sock, far_4), (far_4, port))


def reuses(number: int) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", 20998))
    connect(sock, far_4, 7300 + number)
    say("TCP, a port used again at once", 6, (near_4, 20998), (far_4, 7300 + number))


def by_thread(number: int) -> None:
    sock = socket.socket()
    thread = threading.Thread(target=connect, args=(sock, far_4, OPEN))
    thread.start()
    thread.join()
    say("TCP by a thread", 6, own_end(sock, far_4), (far_4, OPEN))


def executed(number: int) -> None:
    say("TCP of a program just executed", 6, (near_4, 22000 + number), (far_4, OPEN))
    script = (
        f"import socket; socket.create_connection(({far_4!r}, {OPEN}),"
        f" source_address=({near_4!r}, {22000 + number}))"
    )
    os.execv(sys.executable, [sys.executable, "-S", "-E", "-c", script])


def other_address(number: int) -> str:
    """Of the peer, which has as many as rounds."""
    return f"10.98.0.{100 + number}"


def echo(number: int, protocol: int = 1) -> bytes:
    head = struct.pack(">BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, number)
    total = sum(struct.unpack(">4H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:2] + struct.pack(">H", ~total & 0xFFFF) + head[4:]


def pings(number: int) -> None:
    sock = socket.socket(V4, DATAGRAM, socket.IPPROTO_ICMP)
    sock.sendto(echo(number), (other_address(number), 0))
    say("echo by a ping socket", 1, (near_4, 0), (other_address(number), 0))


def echoes(number: int) -> None:
    address = other_address(ROUNDS + number)
    sock = socket.socket(V4, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.sendto(echo(number), (address, 0))
    say("echo by a raw socket", 1, (near_4, 0), (address, 0))


def writes(number: int) -> None:
    port = 20000 + number
    sock = socket.socket(V4, socket.SOCK_RAW, 6)
    for target in range(8000, 8003):
        packet = struct.pack(">HHIIBBHHH", port, target, 1, 0, 0x50, 2, 1024, 0, 0)
        sock.sendto(packet, (far_4, 0))
        say("TCP by a raw socket", 6, (near_4, port), (far_4, target))


def frames(number: int) -> None:
    port = 21000 + number
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((wire, 0))
    header = bytes.fromhex("020000009802 020000009801 0800 4500001d00010000 4011 0000")
    ends = socket.inet_aton(near_4) + socket.inet_aton(far_4)
    sock.send(header + ends + struct.pack(">HHHH", port, 7004, 9, 0) + b"x")
    say("UDP by AF_PACKET", 17, (near_4, port), (far_4, 7004))


def multicasts(number: int) -> None:
    sock = socket.socket(V4, DATAGRAM)
    peer = f"239.98.0.{number}", 5353
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(near_4))
    sock.sendto(b"x", peer)
    say("UDP to a group", 17, own_end(sock, peer[0]), peer)


def sent_elsewhere(number: int) -> None:
    """Where this host translates the other's end."""
    sock = socket.socket()
    connect(sock, far_4, 7800)
    say("TCP translated on its way out", 6, own_end(sock, far_4), (far_4, OPEN))


MAPPED = f"::ffff:{far_4}"
BY_CHILDREN = [
    begins("TCP answered", V4, STREAM, far_4, OPEN),
    begins("TCP refused", V4, STREAM, far_4, CLOSED),
    begins("TCP over IPv6, answered", V6, STREAM, far_6, OPEN),
    begins("TCP over IPv6, refused", V6, STREAM, far_6, CLOSED),
    begins("TCP to a mapped address", V6, STREAM, MAPPED, OPEN),
    begins("MPTCP", V4, STREAM, far_4, OPEN, MPTCP),
    begins("UDP connected", V4, DATAGRAM, far_4, 7003),
    begins("UDP over IPv6, connected", V6, DATAGRAM, far_6, 7003),
    begins("UDP to a mapped address, connected", V6, DATAGRAM, MAPPED, 7003),
    reconnects,
    sends("UDP", V4, far_4),
    sends("UDP over IPv6", V6, far_6),
    sends("UDP to a mapped address", V6, MAPPED),
    sends("UDP from a port used again at once", V4, far_4, bound=True),
    multicasts,
    reuses,
    by_thread,
    executed,
    pings,
    echoes,
    writes,
    frames,
    *[sent_elsewhere] * int(is_translated),
]


def inherited(join: bool) -> None:
    """The child sends with its parent's; of one with a peer nobody asks who sends."""
    kind = "UDP inherited, connected" if join else "UDP inherited"
    for number in range(ROUNDS):
        sock, peer = socket.socket(V4, DATAGRAM), (far_4, 7400 + number)
        if join:
            sock.connect(peer)
        pid = child(sock.send, b"x") if join else child(sock.sendto, b"x", peer)
        say(kind, 17, own_end(sock, far_4), peer, pid, *[os.getpid()] * join)


def passed() -> None:
    def receive(end: socket.socket, peer: End) -> None:
        with socket.socket(fileno=socket.recv_fds(end, 1, 1)[1][0]) as mine:
            mine.sendto(b"x", peer)
            say("UDP passed to another process", 17, own_end(mine, far_4), peer)

    for number in range(ROUNDS):
        here, there = socket.socketpair(socket.AF_UNIX)
        with socket.socket(V4, DATAGRAM) as sock:
            socket.send_fds(here, [b"x"], [sock.fileno()])
        child(receive, there, (far_4, 7500 + number))
