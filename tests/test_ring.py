"""Packets of several rings come out in the order of their times, each once, whatever the order in
which blocks become ready, and alerts are those of one ring."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_ring import KernelRing
from procwire import examples
from procwire.capture import ring
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.ring import Rings
from procwire.rules import packet_rules
from procwire.runs.analysis import Analysis
from procwire.runs.pipeline import alerts_of
from procwire.settings import Settings

START = 1_800_000_000 * 10**9
DAY = 86_400 * 10**9


@pytest.fixture(scope="module", autouse=True)
def small_rings() -> Iterator[None]:
    """So small that they fill and turn over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "BLOCK_SIZE", 1 << 11)
        patch.setattr(ring, "BLOCKS", 6)
        patch.setattr(ring, "RING_SIZE", 6 << 11)
        patch.setattr(ring, "BATCH_BLOCKS", 4)
        yield


class Interface:
    """Rings with their kernel, and a program that now and then takes what is ready."""

    def __init__(self, count: int, source: Random) -> None:
        memory = np.zeros(count * ring.RING_SIZE, np.uint8)
        self._source = source
        self.kernel = [KernelRing(memory, base) for base in range(0, memory.size, ring.RING_SIZE)]
        self.rings = Rings(memory, ETHERNET)
        self.taken: list[tuple[int, bytes]] = []

    def receive(self, time: int, flow: int, content: bytes) -> bool:
        """A packet of a flow, then what may happen at any time."""
        stored = self.kernel[flow % len(self.kernel)].receive(time, content)
        if self._source.random() < 0.2:
            self._source.choice(self.kernel).retire()
        if self._source.random() < 0.3:
            self.take()
        return stored

    def take(self) -> int:
        """Blocks that were ready; they are used, and given back."""
        ready = self.rings.ready()
        for batch in self.rings.batches():
            assert batch.first == len(self.taken) + 1
            self.taken += packets_of(batch)
            self.rings.release()
        return ready

    def drain(self) -> None:
        """The end: all timers are up."""
        for one in self.kernel:
            one.retire()
        for _ in range(3):
            self.take()
        assert not self.take()
        assert all(one.is_empty() for one in self.kernel)


def packets_of(batch: PacketBatch) -> list[tuple[int, bytes]]:
    ends = batch.start + batch.captured
    return [
        (time, batch.data[start:end].tobytes())
        for time, start, end in zip(batch.time.tolist(), batch.start, ends, strict=True)
    ]


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_packets_come_in_the_order_of_their_times_and_each_once(seed: int, count: int) -> None:
    source = Random(seed)
    interface, sent, time = Interface(count, source), [], START
    for number in range(400):
        time += source.choice((1, 1000, 10**7))
        content = number.to_bytes(4, "big") + bytes(source.choice((10, 60, 700, 1500)))
        if interface.receive(time, source.randrange(100), content):
            sent.append((time, content))
    interface.drain()
    assert interface.taken == sent
    assert len(sent) + sum(one.dropped for one in interface.kernel) == 400
    assert interface.rings.received() == len(sent)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from((-DAY, DAY, -1000)))
def test_a_clock_that_jumps_stops_nothing_and_turns_no_ring_round(seed: int, jump: int) -> None:
    source = Random(seed)
    interface, sent, time = Interface(3, source), [[], [], []], START
    for number in range(300):
        time += 1000 + jump * (number % 100 == 99)
        flow, content = source.randrange(3), number.to_bytes(4, "big") + bytes(200)
        if interface.receive(time, flow, content):
            sent[flow].append((time, content))
    interface.drain()
    for of_ring in sent:
        assert [one for one in interface.taken if one in set(of_ring)] == of_ring
    assert len(interface.taken) == sum(map(len, sent))


def test_a_full_ring_loses_its_own_packets_and_holds_up_no_other() -> None:
    interface = Interface(2, Random(0))
    one, other = interface.kernel
    for number in range(100):
        one.receive(START + number, bytes(700))
    for number in range(3):
        other.receive(START + 1000 + number, bytes(100))
    assert one.dropped == 100 - 2 * ring.BLOCKS and not other.dropped
    other.retire()
    interface.take()
    assert len(interface.taken) == 2 * ring.BLOCKS + 3
    # Of a block that is the kernel's again, and not opened yet, nothing is waited for.
    interface.take()
    one.retire()
    other.receive(START + 5000, bytes(100))
    other.retire()
    interface.take()
    assert len(interface.taken) == 2 * ring.BLOCKS + 4


def test_what_others_may_still_be_earlier_than_waits_for_them() -> None:
    interface = Interface(2, Random(0))
    one, other = interface.kernel
    other.receive(START + 1, b"earlier")
    one.receive(START + 2, b"later")
    one.retire()
    assert interface.take() == 1 and interface.taken == []
    other.receive(START + 3, b"last")
    one.receive(START + 4, b"under way")
    other.retire()
    assert interface.take() == 2
    assert [content for _, content in interface.taken] == [b"earlier", b"later"]
    one.retire()
    interface.take()
    assert [content for _, content in interface.taken[2:]] == [b"last", b"under way"]


def test_alerts_are_those_of_one_ring_and_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "BLOCK_SIZE", 1 << 16)
    monkeypatch.setattr(ring, "BLOCKS", 64)
    monkeypatch.setattr(ring, "RING_SIZE", 64 << 16)
    frames = [frame for frame in 2 * examples.frames(packet_rules()) if len(frame) < 60_000]

    def alerts(count: int, workers: int) -> list:
        source, analysis, told = Random(count), Analysis(Settings()), []
        interface = Interface(count, source)

        def take() -> None:
            interface.rings.ready()
            for _, raised in alerts_of(analysis, interface.rings.batches(), workers):
                interface.rings.release()
                told.extend(raised)

        interface.take = take
        for number, frame in enumerate(frames):
            assert interface.receive(START + number * 10**6, source.randrange(9), frame)
        for one in interface.kernel:
            one.retire()
        take()
        take()
        return told + analysis.finish()

    wanted = alerts(1, 1)
    assert len(wanted) > len(packet_rules()) // 2
    for count, workers in ((1, 3), (2, 1), (2, 2), (4, 3)):
        assert alerts(count, workers) == wanted
