"""The detectors of scans beside twins that are plainly right, wherever batches end."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_walk import coverage, port_coverage, random_walk, service_sweep
from procwire.detect.coverage import Coverage
from procwire.detect.port_coverage import PortCoverage
from procwire.detect.random_walk import RandomWalk
from procwire.detect.service_hosts import SERVICES
from procwire.detect.service_sweep import ServiceSweep
from procwire.event import Outcome
from test_fanout import NETWORK, SCANNER, SECOND, START, connection, table

LOST, FOUND, REFUSED = Outcome.TIMED_OUT, Outcome.ESTABLISHED, Outcome.REFUSED


def counts(scan):
    source = int.from_bytes(scan.source.address, "big")
    return source, scan.evidence[0].value, scan.evidence[1].value


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
def test_walk_and_coverage_equal_their_twins_wherever_batches_end(steps, batch):
    plain = [(SCANNER + source, NETWORK + host, outcome) for source, host, outcome in steps]
    rows = table(
        [
            connection(START + i, host, outcome=outcome, source=source)
            for i, (source, host, outcome) in enumerate(plain)
        ]
    )
    walk, covered = RandomWalk(), Coverage()
    walked, networks = [], []
    for start in range(0, len(rows), batch):
        walked += walk.update(rows[start : start + batch])
        networks += covered.update(rows[start : start + batch])
    assert [counts(scan) for scan in walked] == [
        (source, failed, succeeded) for source, failed, succeeded in random_walk(plain)
    ]
    assert [counts(scan) for scan in networks] == [
        (source, failed, answered) for source, _, failed, answered in coverage(plain)
    ]


PORT_STEP = st.tuples(
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, 40),
    st.sampled_from([LOST, LOST, LOST, REFUSED, FOUND, Outcome.SENT, Outcome.ABORTED]),
)


@settings(max_examples=60)
@given(st.lists(PORT_STEP, max_size=300), st.integers(1, 300))
def test_port_coverage_equals_its_twin_wherever_batches_end(steps, batch):
    plain = [(SCANNER + one, NETWORK + other, *rest) for one, other, *rest in steps]
    rows = table(
        [
            connection(START + i, host, port, outcome, source)
            for i, (source, host, port, outcome) in enumerate(plain)
        ]
    )
    covered, pairs = PortCoverage(), []
    for start in range(0, len(rows), batch):
        pairs += covered.update(rows[start : start + batch])
    assert [counts(scan) for scan in pairs] == [
        (source, failed, answered) for source, _, failed, answered in port_coverage(plain)
    ]


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
