"""What reading a capture costs: indexing its packets, and decoding them."""

from __future__ import annotations

from pathlib import Path

import pytest
from captures import ethernet_capture
from procwire.capture.open import read_capture
from procwire.decode.frame import decode
from pytest_benchmark.fixture import BenchmarkFixture

PACKETS = 1_000_000


@pytest.fixture(scope="module")
def capture() -> Path:
    return ethernet_capture(PACKETS)


def index(path: Path) -> int:
    return sum(batch.start.size for batch in read_capture(path))


def index_and_decode(path: Path) -> int:
    return sum(decode(batch).packets.network.size for batch in read_capture(path))


@pytest.mark.parametrize("step", [index, index_and_decode])
def test_packets_per_second(benchmark: BenchmarkFixture, capture: Path, step) -> None:
    assert step(capture) == PACKETS
    benchmark(step, capture)
    benchmark.extra_info["packets_per_second"] = round(PACKETS / benchmark.stats.stats.median)
