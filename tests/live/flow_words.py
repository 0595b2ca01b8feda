"""What the flows of flow_kinds.py have in common: who and where they are, and how one is told."""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
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
