"""The detectors of scans beside twins that are plainly right, wherever batches end."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_slots import NaiveSlots
from naive_walk import covered, random_walk, service_sweep
from procwire.config import load
from procwire.detect.coverage import Coverage
from procwire.detect.port_coverage import PortCoverage
from procwire.detect.random_walk import RandomWalk
from procwire.detect.row_hashes import row_hashes
from procwire.detect.service_hosts import SERVICES
from procwire.detect.service_sweep import ServiceSweep
from procwire.event import Outcome
from test_fanout import NETWORK, SCANNER, SECOND, START, V6_EDGE, connection, table

LOST, FOUND, REFUSED = Outcome.TIMED_OUT, Outcome.ESTABLISHED, Outcome.REFUSED


def number(endpoint):
    """Its address."""
    return int.from_bytes(endpoint.address, "big")


def counts(scan):
    return number(scan.source), scan.evidence[0].value, scan.evidence[1].value


# Hosts of one network, and of networks of their own, IPv4's and IPv6's.
HOST = st.one_of(
    st.integers(0, 40),
    st.integers(0, 30).map(lambda number: number << 16),
    st.integers(1, 30).map(lambda number: number << 96),
)
STEP = st.tuples(
    st.integers(0, 1),
    HOST,
    st.sampled_from([LOST, LOST, LOST, REFUSED, FOUND, Outcome.PENDING, Outcome.ABORTED]),
)


@settings(max_examples=60)
@given(st.lists(STEP, max_size=200), st.integers(1, 200))
def test_a_walk_equals_its_twin_wherever_batches_end(steps, batch):
    plain = [(SCANNER + source, NETWORK + host, outcome) for source, host, outcome in steps]
    rows = table(
        [
            connection(START + i, host, outcome=outcome, source=source)
            for i, (source, host, outcome) in enumerate(plain)
        ]
    )
    walk, walked = RandomWalk(), []
    for start in range(0, len(rows), batch):
        walked += walk.update(rows[start : start + batch])
    assert [counts(scan) for scan in walked] == [
        (source, failed, succeeded) for source, failed, succeeded in random_walk(plain)
    ]


# Small tables, of which the last slot's neighbour is the first, and thresholds that are soon met.
CROWDED = [
    *("coverage.networks=9", "coverage.hosts=3", "coverage.memory_s=3600"),
    *("port_coverage.pairs=9", "port_coverage.ports=3", "port_coverage.memory_s=86400"),
]
ROOMY = ["coverage.hosts=3", "port_coverage.ports=3"]
# Seconds: at once, within and beyond what is remembered, and clocks that are set.
PAUSE = st.sampled_from([0] * 12 + [1, 3600, 3601, 86_400, 86_401, -1, -3601, -86_400])
# Both sides of a network's edges, of IPv4 and of IPv6.
TARGET = st.tuples(
    st.sampled_from([NETWORK - NETWORK % 256, V6_EDGE, (1 << 128) - 512]), st.integers(0, 300)
)
ENDS = st.sampled_from([LOST, LOST, LOST, REFUSED, FOUND, Outcome.SENT, Outcome.ABORTED])
CONTACT = st.tuples(PAUSE, st.integers(0, 3), TARGET, ENDS)


def in_time(steps):
    """The steps with times for pauses."""
    times = accumulate((step[0] * SECOND for step in steps), initial=START)
    return [(time, *step[1:]) for time, step in zip(times, steps, strict=False)]


def told(detector, rows, batch):
    """What batches of rows show."""
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    return [scan for part in parts for scan in detector.update(part)]


def figures(scan, key):
    """An observation as `covered` has it."""
    return scan.time, key, scan.evidence[0].value, scan.evidence[1].value, scan.first


@settings(max_examples=100)
@given(st.lists(CONTACT, max_size=200), st.integers(1, 200), st.sampled_from([CROWDED, ROOMY]))
def test_coverage_equals_its_twin_in_crowds_and_when_clocks_jump(steps, batch, chosen):
    plain = [
        (time, SCANNER + source, (network + host) % 2**128, outcome)
        for time, source, (network, host), outcome in in_time(steps)
    ]
    rows = table([connection(time, to, 80, end, source) for time, source, to, end in plain])
    names = row_hashes(rows)["network"].tolist()
    limits = load(overrides=chosen)
    ends = [
        (time, (source, to >> 8), name, to, end == FOUND)
        for (time, source, to, end), name in zip(plain, names, strict=True)
        if end not in (Outcome.SENT, Outcome.ABORTED)
    ]
    detector, slots = Coverage(limits), NaiveSlots(limits.coverage.networks)
    scans = told(detector, rows, batch)
    keys = [(number(one.source), number(one.last_target) >> 8) for one in scans]
    expected = list(covered(ends, slots, limits.coverage.memory_ns, 3))
    assert [figures(*pair) for pair in zip(scans, keys, strict=True)] == expected
    assert detector.counters() == {"evicted": slots.given_way}


PORT = st.one_of(st.integers(0, 40), st.sampled_from([1023, 1024, 1025, 2047, 65534, 65535]))
PORT_CONTACT = st.tuples(PAUSE, st.integers(0, 4), TARGET, PORT, ENDS)


@settings(max_examples=100)
@given(st.lists(PORT_CONTACT, max_size=300), st.integers(1, 300), st.sampled_from([CROWDED, ROOMY]))
def test_port_coverage_equals_its_twin_in_crowds_and_when_clocks_jump(steps, batch, chosen):
    plain = [
        (time, SCANNER + source, network + host % 2, port, outcome)
        for time, source, (network, host), port, outcome in in_time(steps)
    ]
    rows = table([connection(time, to, port, end, source) for time, source, to, port, end in plain])
    names = row_hashes(rows)["pair"].tolist()
    limits = load(overrides=chosen)
    ends = [
        # A bit for all ports that leave the same rest.
        (time, (source, to), name, port % 1024, end == FOUND)
        for (time, source, to, port, end), name in zip(plain, names, strict=True)
        if end not in (Outcome.SENT, Outcome.ABORTED)
    ]
    detector, slots = PortCoverage(limits), NaiveSlots(limits.port_coverage.pairs)
    scans = told(detector, rows, batch)
    keys = [(number(one.source), number(one.last_target)) for one in scans]
    memory = limits.port_coverage.memory_ns
    expected = list(covered(ends, slots, memory, 3, begins_failing=True))
    assert [figures(*pair) for pair in zip(scans, keys, strict=True)] == expected
    assert detector.counters() == {"evicted": slots.given_way}


def test_what_answers_before_the_first_failure_counts_for_no_pair():
    """Nor does it where an earlier failure is forgotten."""
    day = 25 * 3600 * SECOND
    answered = [connection(START + day + i, NETWORK, i, FOUND) for i in range(20)]
    failed = [connection(START + day + i, NETWORK, 100 + i, LOST) for i in range(20, 36)]
    earlier = [connection(START, NETWORK, 99, LOST)]
    for rows in (answered + failed, earlier + answered + failed):
        (scan,) = told(PortCoverage(), table(rows), 100)
        assert (scan.figure, scan.attempts, scan.first) == (16, 16, START + day + 20)


def test_coverage_is_told_again_at_tenfold():
    rows = table([connection(START + i, NETWORK + i % 256, outcome=LOST) for i in range(600)])
    assert [scan.figure for scan in told(Coverage(), rows, 100)] == [16, 160]
    hosts = [connection(START + i, NETWORK, i % 65_536, LOST) for i in range(70_000)]
    assert [scan.figure for scan in told(PortCoverage(), table(hosts), 5000)] == [16, 160]


TRY = st.tuples(
    st.integers(0, 1),
    st.integers(0, 40),
    st.sampled_from([22, 22, 135, 445, 445, 139, 3389, 80]),
    st.integers(0, 4),
    st.sampled_from([0, 0, 3, 25]),
)


@settings(max_examples=60)
@given(st.lists(TRY, max_size=200), st.integers(1, 200))
def test_service_sweep_equals_its_twin_wherever_batches_end(steps, batch):
    time, plain = START, []
    for source, host, port, seconds, needed in steps:
        time += seconds * SECOND
        plain.append((SCANNER + source, NETWORK + host, port, time, needed))
    rows = table(
        [connection(time, host, port, source=source) for source, host, port, time, _ in plain]
    )
    sizes = np.array([needed for *_, needed in plain], np.int64)
    swept, told = ServiceSweep(), []
    for start in range(0, len(rows), batch):
        told += swept.update(rows[start : start + batch], sizes[start : start + batch])
    assert [(scan.time, scan.figure) for scan in told] == list(service_sweep(plain, SERVICES))
