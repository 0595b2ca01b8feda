"""Runs inside a namespace: flows of every kind, each by processes that say whose it is.

Says "ready" once what is older than the sensor is open, and goes on with its input. Each line it
prints then is a flow: kind, protocol, this end, the peer's, processes any of which may be named.
Arguments: interface, addresses of both hosts, the port where the other is told whom to call, and
whether addresses are translated (see test_correlate.py).
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address

ROUNDS = 20
V4, V6 = socket.AF_INET, socket.AF_INET6
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
MPTCP = getattr(socket, "IPPROTO_MPTCP", 262)

wire, near_4, near_6, far_4, far_6, calls, is_translated = sys.argv[1:]
OPEN, CLOSED = 7000, 7009
PROTOCOLS = {STREAM: 6, DATAGRAM: 17}
End = tuple[str, int]
Act = Callable[[int], None]


def say(kind: str, protocol: int, own: End, peer: End, *pids: int) -> None:
    line = json.dumps([kind, protocol, *plain(own), *plain(peer), pids or [os.getpid()]])
    # In one piece, as others write, too.
    os.write(1, line.encode() + b"\n")


def plain(end: End) -> End:
    found = ip_address(end[0])
    return str(getattr(found, "ipv4_mapped", None) or found), end[1]


def own_end(sock: socket.socket, peer: str) -> End:
    """As the wire shows it: a socket may be on every address."""
    is_six = ip_address(plain((peer, 0))[0]).version == 6
    return near_6 if is_six else near_4, sock.getsockname()[1]


def connect(sock: socket.socket, *peer: str | int) -> None:
    with suppress(OSError):
        sock.connect(peer)


def child(act: Callable[..., None], *how: object) -> int:
    """A process that ends with its act; returns once it has."""
    pid = forked(act, *how)
    assert os.waitpid(pid, 0)[1] == 0, (act, how)
    return pid


def forked(act: Callable[..., None], *how: object) -> int:
    if pid := os.fork():
        return pid
    status = 1
    try:
        act(*how)
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


# Flows that a process for each begins. An act gets the number of its round.


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
]


# Sockets that go from one process to another before their first packet.


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


# What is accepted. The other host is told whom to call.


def called(port: int, way: str = "tcp", times: int = ROUNDS, address: str = near_4) -> None:
    with socket.create_connection((far_4, int(calls))) as line:
        line.sendall(f"{way} {address} {port} {times}\n".encode())
        assert line.recv(9) == b"done", port


def accept(kind: str, listener: socket.socket, times: int, *pids: int, port: int = 0) -> None:
    """So many, told with where they were called."""
    for _ in range(times):
        with listener.accept()[0] as end:
            own = end.getsockname()
            say(kind, 6, (own[0], port or own[1]), end.getpeername()[:2], *pids)


def listens(port: int, **how: object) -> socket.socket:
    return socket.create_server(("", port), backlog=1000, **how)


def multipath(port: int) -> socket.socket:
    listener = socket.socket(V4, STREAM, MPTCP)
    listener.bind(("", port))
    listener.listen(1000)
    return listener


def accepted_by_thread() -> None:
    how = "TCP accepted by a thread", listens(7101), ROUNDS
    thread = threading.Thread(target=accept, args=how)
    thread.start()
    called(7101)
    thread.join()


def accepted_v6() -> None:
    listener = listens(7102, family=V6)
    called(7102, address=near_6)
    accept("TCP over IPv6, accepted", listener, ROUNDS)


def accepted_mapped() -> None:
    listener = listens(7103, family=V6, dualstack_ipv6=True)
    called(7103)
    accept("TCP accepted at a mapped address", listener, ROUNDS)


def accepted_mptcp() -> None:
    listener = multipath(7104)
    called(7104)
    accept("MPTCP accepted", listener, ROUNDS)


@contextmanager
def workers(act: Callable[..., None], count: int) -> Iterator[None]:
    """Processes that accept for as long as this lasts. An act gets its number, and what it has to
    call once it is ready."""
    hear, tell = os.pipe()
    wait, go = os.pipe()

    def ready() -> None:
        os.write(tell, b"x")
        os.read(wait, 1)

    pids = [forked(act, number, ready) for number in range(count)]
    for _ in pids:
        os.read(hear, 1)
    os.write(go, b"x" * count)
    yield
    # What they have accepted they say a little later than the caller knows.
    time.sleep(0.5)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def pre_forked() -> None:
    """Who listens is known, who accepts is not: either is right."""
    listener, parent = listens(7105), os.getpid()

    def work(number: int, ready: Callable[[], None]) -> None:
        ready()
        accept("TCP accepted by a worker", listener, ROUNDS, parent, os.getpid())

    with workers(work, 4):
        called(7105)


def sharing_a_port() -> None:
    """Any of those that have it, as a packet does not tell who will accept."""
    pids = mmap.mmap(-1, 8)

    def work(number: int, ready: Callable[[], None]) -> None:
        listener = listens(7106, reuse_port=True)
        struct.pack_into("=I", pids, 4 * number, os.getpid())
        ready()
        accept("TCP accepted at a shared port", listener, ROUNDS, *struct.unpack("=2I", pids[:]))

    with workers(work, 2):
        called(7106)


def activated() -> None:
    """As systemd does it: who listened is not the program, and is gone from the socket."""
    with listens(7107) as listener:
        listener.set_inheritable(True)
        pid = forked(
            os.execv,
            sys.executable,
            [sys.executable, "-S", "-E", "-c", SERVICE, str(listener.fileno()), str(os.getpid())],
        )
    called(7107)
    assert os.waitpid(pid, 0)[1] == 0


SERVICE = f"""
import json, os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
for _ in range({ROUNDS}):
    peer = listener.accept()[1]
    flow = "TCP accepted at an inherited listener", 6, {near_4!r}, 7107, *peer
    os.write(1, json.dumps([*flow, [int(sys.argv[2]), os.getpid()]]).encode() + b"\\n")
"""


def served() -> None:
    sock = socket.socket(V4, DATAGRAM)
    sock.bind(("", 7109))
    called(7109, "udp")
    for _ in range(ROUNDS):
        say("UDP served", 17, (near_4, 7109), sock.recvfrom(9)[1])


# Where this host translates its own ends of them.


def redirected() -> None:
    listener = listens(7108)
    called(8108)
    accept("TCP accepted, redirected", listener, ROUNDS, port=8108)


def sent_elsewhere(number: int) -> None:
    sock = socket.socket()
    connect(sock, far_4, 7800)
    say("TCP translated on its way out", 6, own_end(sock, far_4), (far_4, OPEN))


def of_the_older() -> None:
    """Waits for input in between, and then they send or are called."""
    kind, accepted = "older than the sensor", "accepted, older than the sensor"
    stream = socket.create_connection((far_4, OPEN))
    free, joined = socket.socket(V4, DATAGRAM), socket.socket(V6, DATAGRAM)
    free.bind(("", 0))
    joined.connect((far_6, 7001))
    listener, paths = listens(7100), multipath(7110)
    print("ready", flush=True)
    sys.stdin.readline()
    for sock, protocol, peer in (
        (stream, 6, (far_4, OPEN)),
        (free, 17, (far_4, 7002)),
        (joined, 17, (far_6, 7001)),
    ):
        sock.sendto(b"x", peer) if sock is free else sock.send(b"x")
        say(kind, protocol, own_end(sock, peer[0]), peer)
    called(7100, times=3)
    accept(accepted, listener, 3)
    called(7110, times=3)
    accept(accepted, paths, 3)


def main() -> None:
    of_the_older()
    for number in range(ROUNDS):
        for act in [*BY_CHILDREN, *[sent_elsewhere] * int(is_translated)]:
            child(act, number)
    for many in (
        *(accepted_by_thread, accepted_v6, accepted_mapped, accepted_mptcp),
        *(pre_forked, sharing_a_port, activated, served, passed),
        *[redirected] * int(is_translated),
    ):
        child(many)
    for join in (False, True):
        child(inherited, join)


if __name__ == "__main__":
    main()
