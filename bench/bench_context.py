"""What detectors that know the site cost per connection, in batches of 10,000, and what a million
keys take: 300 ns and 300 MB are the limits."""

from __future__ import annotations

import tracemalloc
from ipaddress import ip_network

import numpy as np
import pytest
from procwire.detect.distinct import Attempts, Distinct
from procwire.detect.first_seen import FirstSeen
from procwire.detect.habits import Habits
from procwire.detect.ics_enterprise import IcsEnterprise
from procwire.detect.ics_neighbours import IcsNeighbours
from procwire.detect.key_map import KeyMap, combined
from procwire.detect.new_process import NewProcess
from procwire.detect.sightings import Sightings, sight
from procwire.detect.zones import Zone, Zones
from procwire.event import Origin, Outcome
from procwire.record import CONNECTION, Attempt
from procwire.settings import Settings

BATCH, MILLION = 10_000, 1_000_000
NOW = 1_790_000_000_000_000_000
MAPPED = np.uint64(0xFFFF << 32)
SETTINGS = Settings()
ZONES = Zones(
    [
        Zone("office", "it", (ip_network("10.10.0.0/16"),)),
        Zone("plant", "ics", (ip_network("10.20.0.0/16"),)),
    ]
)


def connections(mixed: np.random.Generator) -> np.ndarray:
    """A batch of 200 processes' connections within and between two zones."""
    rows = np.zeros(BATCH, CONNECTION)
    rows["time"] = NOW + np.arange(BATCH) * 1_000_000
    rows["process"]["pid"] = mixed.integers(1, 200, BATCH)
    rows["process"]["started_ns"] = rows["process"]["exec_count"] = 1
    rows["src_lo"] = MAPPED | np.uint64(0x0A0A0005)
    zone = mixed.choice(np.array([0x0A0A0000, 0x0A140000], np.uint64), BATCH)
    rows["dst_lo"] = MAPPED | zone | mixed.integers(0, 1000, BATCH).astype(np.uint64)
    rows["dst_port"] = mixed.choice([22, 53, 80, 443, 502, 8080, 40000], BATCH)
    rows["protocol"], rows["origin"], rows["family"] = 6, Origin.CONNECT, 4
    rows["kind"] = mixed.choice([Attempt.CONNECT, Attempt.NEIGHBOUR], BATCH, p=[0.9, 0.1])
    ends = [Outcome.ESTABLISHED, Outcome.REFUSED, Outcome.TIMED_OUT]
    rows["outcome"] = mixed.choice(ends, BATCH)
    return rows


@pytest.fixture(scope="module")
def seen() -> Sightings:
    return sight(connections(np.random.default_rng(7)), ZONES)


DETECTORS = {
    "ics_enterprise": lambda: IcsEnterprise(SETTINGS),
    "ics_neighbours": lambda: IcsNeighbours(SETTINGS),
    "new_process": lambda: NewProcess(SETTINGS, lambda key: NOW),
    "first_seen": lambda: FirstSeen(
        SETTINGS, Habits(), lambda key: f"/usr/bin/{key[1]}", lambda address: ""
    ),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector(benchmark, seen: Sightings, name: str) -> None:
    detector = DETECTORS[name]()
    detector.update(seen)
    benchmark(detector.update, seen)
    benchmark.extra_info["ns_per_connection"] = benchmark.stats.stats.min * 1e9 / BATCH
    print(f"\n{name}: {benchmark.extra_info['ns_per_connection']:.0f} ns per connection")


def test_zones_and_services(benchmark, seen: Sightings) -> None:
    benchmark(sight, seen.rows, ZONES)
    print(f"\nsight: {benchmark.stats.stats.min * 1e9 / BATCH:.0f} ns per connection")


def test_a_million_keys(benchmark) -> None:
    keys = combined(np.arange(MILLION))
    known = KeyMap(2 * MILLION)
    for part in np.split(keys, MILLION // BATCH):
        known.enter(part)
    part = keys[np.random.default_rng(7).integers(0, MILLION, BATCH)]
    benchmark(known.enter, part)
    print(f"\na key among a million: {benchmark.stats.stats.min * 1e9 / BATCH:.0f} ns")


def test_memory_of_a_million_windows(benchmark) -> None:
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
