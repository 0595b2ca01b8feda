"""What detectors cost per connection, in batches of 10,000 that come every ten seconds, and what a
million keys take: 300 ns for all of them together, and 300 MB, are the limits.

Figures are the best of all rounds: what else runs on the machine only ever adds. Beside that of all
together stands how many times as much it is as hashing the same connections, in the same run.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from ipaddress import ip_network

import numpy as np
import pytest
from numpy.typing import NDArray
from procwire.detect.compiled_site import COMPILED
from procwire.detect.coverage import Coverage
from procwire.detect.distinct import Attempts, Distinct
from procwire.detect.fanout import FanOut
from procwire.detect.first_seen import FirstSeen
from procwire.detect.habits import Habits
from procwire.detect.ics_enterprise import IcsEnterprise
from procwire.detect.ics_neighbours import IcsNeighbours
from procwire.detect.key_map import KeyMap, combined
from procwire.detect.new_process import NewProcess
from procwire.detect.port_coverage import PortCoverage
from procwire.detect.random_walk import RandomWalk
from procwire.detect.row_hashes import row_hashes
from procwire.detect.scans import Scans
from procwire.detect.service_sweep import ServiceSweep
from procwire.detect.sightings import Sightings
from procwire.detect.surroundings import Known, Surroundings
from procwire.detect.zones import Zone, Zones
from procwire.event import Origin, Outcome
from procwire.record import CONNECTION, Attempt, Process, ProcessId
from procwire.settings import Settings
from pytest_benchmark.fixture import BenchmarkFixture

BATCH, MILLION = 10_000, 1_000_000
NOW = 1_790_000_000_000_000_000
MAPPED = np.uint64(0xFFFF << 32)
LIVE = (50, 1000, 5000)
SETTINGS = Settings()
ZONES = Zones(
    [
        Zone("office", "it", (ip_network("10.10.0.0/16"),)),
        Zone("plant", "ics", (ip_network("10.20.0.0/16"),)),
    ]
)
SCANS: dict[str, Callable[[], Scans | FanOut | RandomWalk | Coverage]] = {
    "all": lambda: Scans(origin=Origin.IMPORT),
    "fan-out": lambda: FanOut(origin=Origin.IMPORT),
    "random walk": RandomWalk,
    "coverage": Coverage,
    "port coverage": PortCoverage,
    "service sweep": ServiceSweep,
}
IN_SURROUNDINGS = {
    "ics_enterprise": lambda: IcsEnterprise(SETTINGS),
    "ics_neighbours": lambda: IcsNeighbours(SETTINGS),
    "new_process": lambda: NewProcess(SETTINGS, lambda key: NOW),
    "first_seen": lambda: FirstSeen(
        SETTINGS, Habits(), lambda key: f"/usr/bin/{key[1]}", lambda address: ""
    ),
}


def connections(processes: int, refused: int = 1) -> NDArray[np.void]:
    """Of so many processes, at two thousand hosts of two zones; `refused` in five are."""
    chance = np.random.default_rng(1)
    rows = np.zeros(BATCH, CONNECTION)
    rows["time"] = NOW + np.arange(BATCH) * 1_000_000
    rows["process"]["pid"] = chance.integers(1, processes + 1, BATCH)
    rows["process"]["started_ns"] = rows["process"]["exec_count"] = 1
    rows["src_lo"] = MAPPED | 0x0A0A0000 + rows["process"]["pid"].astype(np.uint64)
    zone = chance.choice(np.array([0x0A0A0000, 0x0A140000], np.uint64), BATCH)
    rows["dst_lo"] = MAPPED | zone + chance.integers(0, 1000, BATCH, np.uint64)
    rows["dst_port"] = chance.choice([443, 80, 445, 8080], BATCH)
    ends = [Outcome.ESTABLISHED] * (5 - refused) + [Outcome.REFUSED] * refused
    rows["outcome"] = chance.choice(ends, BATCH)
    rows["protocol"], rows["origin"], rows["family"] = 6, Origin.IMPORT, 4
    return rows


def cost(benchmark: BenchmarkFixture, update: Callable[[], object]) -> None:
    """Per connection of the batches that `update` takes, the best of all rounds."""
    update()
    benchmark(update)
    told(benchmark)


def told(benchmark: BenchmarkFixture) -> None:
    """Say what the best round took."""
    benchmark.extra_info["ns_per_connection"] = round(benchmark.stats.stats.min / BATCH * 1e9)
    print(f"\n{benchmark.name}: {benchmark.extra_info['ns_per_connection']} ns per connection")


def lookup(key: ProcessId) -> tuple[Process, tuple[Process, ...]]:
    """A process that began when the first batch did, of one of forty programs."""
    exe = f"/usr/bin/{key[1] % 40}"
    argv = (exe,)
    return Process(key, (0, 0, 0), NOW, 0, "root", exe, argv, "", None, None, None, "kernel"), ()


@pytest.mark.parametrize("processes", LIVE)
def test_all_together(benchmark: BenchmarkFixture, processes: int) -> None:
    """As other tools' records pass them, with default settings, and habits to compare with."""
    scans = Scans(origin=Origin.IMPORT)
    known = Known(Zones(()), Habits(), lambda address: "")
    surroundings = Surroundings(SETTINGS, known, lookup, COMPILED)
    rows = connections(processes)
    floor = []

    def batch() -> None:
        scans.update(rows)
        surroundings.update(rows)

    def next_batch() -> None:
        rows["time"] += 10_000_000_000
        begun = time.perf_counter()
        row_hashes(rows)
        floor.append(time.perf_counter() - begun)

    for _ in range(20):
        next_batch()
        batch()
    benchmark.pedantic(batch, setup=next_batch, rounds=200)
    told(benchmark)
    ratio = round(benchmark.stats.stats.min / min(floor), 1)
    benchmark.extra_info["hashings"] = ratio
    median = round(benchmark.stats.stats.median / BATCH * 1e9)
    print(f"{median} ns in the median; the least is {ratio} times what hashing takes")


@pytest.mark.parametrize("processes", LIVE)
@pytest.mark.parametrize("name", SCANS)
def test_scans(benchmark: BenchmarkFixture, name: str, processes: int) -> None:
    detector, rows = SCANS[name](), connections(processes)

    def batch() -> None:
        rows["time"] += 10_000_000_000
        detector.update(rows)

    cost(benchmark, batch)


@pytest.mark.parametrize("processes", LIVE)
@pytest.mark.parametrize("name", IN_SURROUNDINGS)
def test_surroundings(benchmark: BenchmarkFixture, name: str, processes: int) -> None:
    detector, rows = IN_SURROUNDINGS[name](), connections(processes, refused=3)
    rows["kind"][::10] = Attempt.NEIGHBOUR
    cost(benchmark, lambda: detector.update(Sightings(rows, ZONES)))


def test_a_million_keys(benchmark: BenchmarkFixture) -> None:
    keys = combined(np.arange(MILLION))
    known = KeyMap(2 * MILLION)
    for part in np.split(keys, MILLION // BATCH):
        known.enter(part)
    part = keys[np.random.default_rng(7).integers(0, MILLION, BATCH)]
    cost(benchmark, lambda: known.enter(part))


def test_memory_of_a_million_windows(benchmark: BenchmarkFixture) -> None:
    """A million subjects with a target each, in both buckets of a window."""

    def filled() -> int:
        tracemalloc.start()
        distinct = Distinct(600_000_000_000, 2 * MILLION)
        numbers = np.arange(MILLION, dtype=np.uint64)
        port = np.zeros(BATCH, np.uint16)
        time = np.full(BATCH, NOW)
        for part in np.split(numbers, MILLION // BATCH):
            subject = combined(part)
            distinct.update(Attempts(time, subject, subject, part, part, port), 3)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    held = benchmark.pedantic(filled, rounds=1)
    print(f"\na million subjects in both buckets: {held / 1e6:.0f} MB")
