"""The compiled rules on ordinary traffic, and on packets that all break one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from captures import ethernet_capture
from procwire import examples
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.columns import Decoded
from procwire.decode.frame import decode
from procwire.judging.evaluate import evaluate
from procwire.rules import packet_rules

PACKETS = 200_000


def broken(count: int) -> PacketBatch:
    """`count` packets, each of which breaks the rule whose turn it is."""
    frames = examples.frames(itertools.islice(itertools.cycle(packet_rules()), count))
    sizes = np.array([len(frame) for frame in frames], np.int32)
    data = np.frombuffer(b"".join(frames), np.uint8)
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    link = np.full(count, ETHERNET, np.uint16)
    times, cut = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    return PacketBatch(data, starts, sizes, sizes, times, link, cut, 1)


@pytest.fixture(scope="module")
def ordinary() -> list[tuple[PacketBatch, Decoded]]:
    return [(batch, decode(batch)) for batch in read_capture(ethernet_capture(PACKETS))]


def test_ordinary_packets(benchmark, ordinary: list[tuple[PacketBatch, Decoded]]) -> None:
    found = benchmark(lambda: sum(len(evaluate(*pair)) for pair in ordinary))
    assert found < PACKETS // 20


def test_broken_packets(benchmark) -> None:
    batch = broken(PACKETS)
    decoded = decode(batch)
    assert len(benchmark(evaluate, batch, decoded)) >= PACKETS
