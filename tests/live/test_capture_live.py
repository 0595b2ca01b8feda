"""Live capture on a veth pair of the test's own: every frame sent is seen, as it was sent."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest
from procwire.capture.live import LiveCapture
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
    with IPRoute() as route:
        route.link("add", ifname=SEND, kind="veth", peer=SEE)
        for name in (SEND, SEE):
            route.link("set", index=route.link_lookup(ifname=name)[0], state="up")
        try:
            yield
        finally:
            route.link("del", index=route.link_lookup(ifname=SEND)[0])


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
        for batch in capture.batches(capture.ready()):
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


def test_what_finds_no_room_is_dropped_and_counted(pair: None) -> None:
    capture = LiveCapture(SEE, "ether proto 0x88b5")
    sent = 16000
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((SEND, 0))
        for _ in range(sent):
            sender.send(frame(1399))
    # Nobody has read, and the ring is full.
    assert 0 < capture.dropped() < sent
    deadline = time.monotonic() + 10
    while capture.received() + capture.dropped() < sent and time.monotonic() < deadline:
        for _ in capture.batches(capture.ready()):
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
        for _ in capture.batches(capture.ready()):
            capture.release()
        time.sleep(0.01)
    assert capture.received() == 2
    capture.close()


def test_only_a_block_that_is_ready_ends_a_wait(pair: None) -> None:
    capture = LiveCapture(SEE, "ether proto 0x88b5")
    wakes = select.poll()
    wakes.register(capture.fileno(), select.POLLIN)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((SEND, 0))
        sender.send(frame(1))
    assert wakes.poll(10_000)
    for _ in capture.batches(capture.ready()):
        capture.release()
    assert capture.received() == 1
    assert not wakes.poll(0)
    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname=SEE)[0], state="down")
    assert wakes.poll(10_000)
    assert capture.ready() == 0
    assert not wakes.poll(0)
    capture.close()


def test_an_unknown_interface_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there are .*lo"):
        LiveCapture("no-such-if")
