"""Runs inside a namespace: flows of every kind, each by processes that say whose it is.

Says "ready" once what is older than the sensor is open, and goes on with its input. Each line it
prints then is a flow: kind, protocol, this end, the peer's, processes any of which may be named.
Arguments: interface, addresses of both hosts, the port where the other is told whom to call, and
whether addresses are translated (see test_correlate.py).
"""

from __future__ import annotations

import socket
import sys

from flow_words import (
    DATAGRAM,
    OPEN,
    ROUNDS,
    V4,
    V6,
    child,
    far_4,
    far_6,
    own_end,
    say,
)
from flows_accepted import ACCEPTED, accept, called, listens, multipath
from flows_begun import BY_CHILDREN, inherited, passed


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
        for act in BY_CHILDREN:
            child(act, number)
    for many in (*ACCEPTED, passed):
        child(many)
    for join in (False, True):
        child(inherited, join)


if __name__ == "__main__":
    main()
