"""Live capture on a veth pair of the test's own: every frame sent is seen, as it was sent."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from procwire.capture.live import LiveCapture
from procwire.capture.ring import RING_SIZE
from procwire.decode.frame import decode
from procwire.errors import UsageError
from pyroute2 import IPRoute

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to open packet sockets"),
]
SEND, SEE = "pwtest-send", "pwtest-see"
FRAMES = 5000


@pytest.fixture
def pair() -> Iterator[None]:
    # What one processor sends is received in that order.
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    with IPRoute() as route:
        route.link("add", ifname=SEND, kind="veth", peer=SEE)
        for name in (SEND, SEE):
            route.link("set", index=route.link_lookup(ifname=name)[0], state="up")
        try:
            yield
        finally:
            route.link("del", index=route.link_lookup(ifname=SEND)[0])
            os.sched_setaffinity(0, allowed)


def frame(number: int) -> bytes:
    # A local experimental ethertype: no stack answers it.
    addresses = bytes.fromhex("0200 0000 0002 0200 0000 0001 88b5")
    return addresses + struct.pack(">I", number) + b"x" * (number % 1400)


def test_every_frame_is_seen_in_order_and_whole(pair: None) -> None:
    capture = LiveCapture(SEE)
    seen: list[bytes] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((SEND, 0))
        for number in range(FRAMES):
            sender.send(frame(number))
    deadline = time.monotonic() + 10
    before = time.time_ns() - 60 * 10**9
    while len(seen) < FRAMES and time.monotonic() < deadline:
        capture.ready()
        for batch in capture.batches():
            assert decode(batch).packets.network.shape == batch.start.shape
            assert np.all(batch.time > before)
            for start, captured, length in zip(
                batch.start, batch.captured, batch.length, strict=True
            ):
                assert captured == length
                found = batch.data[start : start + captured].tobytes()
                if found[12:14] == b"\x88\xb5":
                    seen.append(found)
            capture.release()
        time.sleep(0.01)
    assert capture.dropped() == 0
    capture.close()
    assert seen == [frame(number) for number in range(FRAMES)]


def datagram(number: int, flows: int) -> bytes:
    """To a port that says its flow, in a frame that no host takes for its own."""
    header = bytes.fromhex("0200 0000 0002 0200 0000 0001 0800 4500 0020 0001 0000 4011 0000")
    ports = struct.pack(">HHHH", 40000 + number % flows, 9, 12, 0)
    return header + bytes((192, 0, 2, 1, 192, 0, 2, 2)) + ports + struct.pack(">I", number)


def test_rings_share_packets_by_flow_and_keep_one_order(pair: None) -> None:
    capture = LiveCapture(SEE, "udp port 9", rings=3)
    assert capture.rings == 3
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((SEND, 0))
        for number in range(FRAMES):
            sender.send(datagram(number, 200))
    seen: list[bytes] = []
    ring_of: dict[bytes, set[int]] = {}
    deadline = time.monotonic() + 10
    while len(seen) < FRAMES and time.monotonic() < deadline:
        capture.ready()
        for batch in capture.batches():
            assert (np.diff(batch.time) >= 0).all()
            for start in batch.start.tolist():
                found = batch.data[start : start + 46].tobytes()
                ring_of.setdefault(found[34:36], set()).add(start // RING_SIZE)
                seen.append(found)
            capture.release()
        time.sleep(0.01)
    assert capture.dropped() == 0
    capture.close()
    assert seen == [datagram(number, 200) for number in range(FRAMES)]
    assert all(len(rings) == 1 for rings in ring_of.values())
    assert set.union(*ring_of.values()) == {0, 1, 2}


@pytest.mark.parametrize(("rings", "sent"), [(1, 16000), (2, 30000)])
def test_what_finds_no_room_is_dropped_and_counted(pair: None, rings: int, sent: int) -> None:
    # All of one flow: where there are two rings it goes into both.
    capture = LiveCapture(SEE, "ether proto 0x88b5", rings)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((SEND, 0))
        for _ in range(sent):
            sender.send(frame(1399))
    # Nobody has read, and the ring is full.
    assert 0 < capture.dropped() < sent
    deadline = time.monotonic() + 10
    while capture.received() + capture.dropped() < sent and time.monotonic() < deadline:
        capture.ready()
        for _ in capture.batches():
            capture.release()
        time.sleep(0.01)
    assert capture.received() + capture.dropped() == sent
    capture.close()


def test_a_filter_selects_before_anything_is_counted(pair: None) -> None:
    capture = LiveCapture(SEE, "ether[14:4] = 7 or ether[14:4] = 9")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((SEND, 0))
        for number in range(20):
            sender.send(frame(number))
    deadline = time.monotonic() + 10
    while capture.received() < 2 and time.monotonic() < deadline:
        capture.ready()
        for _ in capture.batches():
            capture.release()
        time.sleep(0.01)
    assert capture.received() == 2
    capture.close()


def test_only_a_block_that_is_ready_ends_a_wait(pair: None) -> None:
    said: list[str] = []
    capture = LiveCapture(SEE, "ether proto 0x88b5", rings=2, tell=said.append)
    wakes = select.poll()
    wakes.register(capture.fileno(), select.POLLIN)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((SEND, 0))
        sender.send(frame(1))
    assert wakes.poll(10_000)
    capture.ready()
    for _ in capture.batches():
        capture.release()
    assert capture.received() == 1
    assert not wakes.poll(0)
    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname=SEE)[0], state="down")
    assert capture.stopped() == 0
    assert wakes.poll(10_000)
    assert capture.ready() == 0
    assert not wakes.poll(0)
    assert capture.stopped() == 1
    assert [f"interface {SEE} went down" in line for line in said] == [True]
    capture.close()


def test_what_is_closed_captures_nothing_any_more(pair: None) -> None:
    before = packet_sockets()
    capture = LiveCapture(SEE, rings=2)
    assert packet_sockets() == before + 2
    capture.close()
    assert packet_sockets() == before


def packet_sockets() -> int:
    """How many there are in this network namespace, proc(5)."""
    return len(Path("/proc/net/packet").read_text().splitlines())


def test_an_unknown_interface_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there are .*lo"):
        LiveCapture("no-such-if")
