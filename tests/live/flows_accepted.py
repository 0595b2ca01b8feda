"""Flows that this host accepts. The other host is told whom to call."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flow_words import (
    DATAGRAM,
    MPTCP,
    ROUNDS,
    STREAM,
    V4,
    V6,
    calls,
    far_4,
    forked,
    is_translated,
    near_4,
    near_6,
    say,
)


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


def redirected() -> None:
    """Where this host translates its own end."""
    listener = listens(7108)
    called(8108)
    accept("TCP accepted, redirected", listener, ROUNDS, port=8108)


ACCEPTED = [
    accepted_by_thread,
    accepted_v6,
    accepted_mapped,
    accepted_mptcp,
    pre_forked,
    sharing_a_port,
    activated,
    served,
    *[redirected] * int(is_translated),
]
