"""kernel/window*.h, the text the sensor runs, compiled for this machine and held against counting.

The oracle, naive_fanout.py, is also that of the packets' fan-out: kernel and wire count alike.
"""

from __future__ import annotations

import math
import re
from itertools import count, islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_window import KERNEL, SECOND, WINDOWS, KernelFanOut, compiled
from naive_fanout import GOLDEN, NaiveFanOut, estimate, host_hash, pair_hash
from procwire.event import SAMPLE_TARGETS, Measure, Outcome
from procwire.sensor.settings import SensorSettings

NETWORK = 0xFFFF_0A00_0000
ALPHA_SCALED = 7213 * 512 * 1000 * 512 * 512 * 2**32 // (10000 * (512 * 1000 + 1079))


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("window"))


def without_truth(report):
    """The oracle's report as the kernel gives it."""
    if report is None:
        return None
    shown = {name: value for name, value in report.items() if name != "exact"}
    return shown | {"sample": shown["sample"][: shown["samples"]]}


# Small numbers, so that repeats, neighbours and full rounds of a window all happen.
steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, SECOND // 3, SECOND, 4 * SECOND, 31 * SECOND]),
        st.one_of(
            st.tuples(
                st.integers(NETWORK, NETWORK + 40) | st.integers(2**64 - 2, 2**64 + 2),
                st.sampled_from([80, 81, 82, 443]),
            ),
            st.sampled_from([Outcome.ESTABLISHED, Outcome.REFUSED, Outcome.DENIED]),
            st.sampled_from([Outcome.TIMED_OUT, Outcome.UNREACHABLE, Outcome.ABORTED]),
        ),
    ),
    max_size=120,
)


# A reported figure falls below its threshold with a bucket's turn, and rises again. What is
# aborted changes no figure, but lets a second report of the same moment be made.
FALLS_AND_RISES = [
    *((pause * SECOND, Outcome.REFUSED) for pause in (0, 0, 31, 0)),
    (0, Outcome.ABORTED),
    *((pause * SECOND, Outcome.REFUSED) for pause in (31, 0)),
]


@settings(max_examples=60)
@given(start=st.integers(1, 700 * SECOND) | st.just(10**18), steps=steps)
@example(start=10**18, steps=FALLS_AND_RISES)
def test_equals_the_oracle_step_by_step(window, start, steps):
    thresholds = (3, 5, 4, 3)
    kernel = KernelFanOut(window, thresholds=thresholds)
    oracle = NaiveFanOut(WINDOWS, thresholds)
    time = start
    for pause, what in steps:
        time += pause
        if isinstance(what, Outcome):
            expected, found = oracle.end(time, 0, what), kernel.end(time, what)
        else:
            expected, found = oracle.attempt(time, 0, *what), kernel.attempt(time, *what)
        assert found == without_truth(expected)


def test_a_long_scan_equals_the_oracle_at_every_report(window):
    """Every level a scan climbs, with repeats between, and sketches filled far enough that each
    bit of the hash tells."""
    thresholds = (3, 5, 4, 3)
    kernel = KernelFanOut(window, thresholds=thresholds)
    oracle = NaiveFanOut(WINDOWS, thresholds)
    reports = []
    for i in range(600):
        time = SECOND + i * 10_000_000
        # The first target nine times over, then ports of hosts in order and at random.
        if i < 9:
            address, port = NETWORK, 80
        elif i < 300:
            address, port = NETWORK + i, 80
        else:
            address, port = NETWORK + i * i * 7919 % 100_003, i % 5
        expected = oracle.attempt(time, 0, address, port)
        assert kernel.attempt(time, address, port) == without_truth(expected)
        if i % 3 == 0:
            expected = oracle.end(time, 0, Outcome.REFUSED)
            assert kernel.end(time, Outcome.REFUSED) == without_truth(expected)
        reports.append(expected)
    levels = {(report["measure"], report["threshold"]) for report in reports if report is not None}
    assert (Measure.FAILURES, 40) in levels


def test_only_a_reported_process_ends_with_totals(window):
    kernel = KernelFanOut(window)
    for i in range(19):
        kernel.attempt(SECOND + i, NETWORK + i, 80)
    assert not kernel.final(2 * SECOND)
    for i in range(19, 60):
        kernel.attempt(SECOND + i, NETWORK + i, 80)
        kernel.end(SECOND + i, Outcome.REFUSED)
    assert kernel.final(2 * SECOND)
    told = kernel.crossing
    assert (told.measure, told.attempts, told.refused, told.first_ns) == (0, 60, 41, SECOND)
    assert told.window_ns == WINDOWS[-1]
    assert not kernel.final(3000 * SECOND)


def test_estimates_equal_the_oracle(window):
    targets = [(NETWORK + i * 7919 % 65_521 << i % 60, i % 1000) for i in range(3000)]
    kernel = KernelFanOut(window)
    for address, port in targets:
        kernel.attempt(SECOND, address, port)
    figures = kernel.figures(1)
    assert figures.hosts == estimate({host_hash(host) for host, _ in targets})
    assert figures.host_ports == estimate({pair_hash(*pair) for pair in targets})


# 1.04 / sqrt(512), as subject.bpf.h states it.
STANDARD_ERROR = 0.046


def is_within(errors, figure, exact):
    """Whether an estimate is within so many standard errors; small sets are off by a few."""
    return abs(figure - exact) <= max(4, errors * STANDARD_ERROR * exact)


@settings(max_examples=60)
@given(
    size=st.floats(0, 5),
    start=st.integers(0, 2**128 - 1),
    stride=st.integers(0, 2**63 - 1).map(lambda half: 2 * half + 1),
)
def test_as_many_hosts_are_estimated_as_there_are(window, size, start, stride):
    """One to a hundred thousand, any stride apart: an odd one comes to no address twice."""
    kernel, count = KernelFanOut(window), round(10**size)
    kernel.sweep(SECOND, start, stride, count)
    figures = kernel.figures(2)
    assert (figures.attempts, figures.refused) == (count, count)
    assert figures.sequential_run == count
    assert is_within(5, figures.hosts, count)
    assert is_within(5, figures.host_ports, count)


def test_estimates_scatter_as_stated(window):
    """Over many sets of a size the error has the standard deviation that is stated, and no bias."""
    count, errors = 20_000, []
    for trial in range(60):
        kernel = KernelFanOut(window)
        kernel.sweep(SECOND, trial << 100, 2 * trial + 1, count)
        errors.append(kernel.figures(2).hosts / count - 1)
    deviation = math.sqrt(sum(error**2 for error in errors) / len(errors))
    assert 0.6 * STANDARD_ERROR < deviation < 1.4 * STANDARD_ERROR
    assert abs(sum(errors) / len(errors)) < 0.4 * STANDARD_ERROR


@pytest.mark.parametrize("pause", [1000, 3_000_000], ids=["in a second", "in fifty minutes"])
def test_a_million_connects_are_fewer_than_a_hundred_events(window, pause):
    kernel = KernelFanOut(window)
    assert 10 < kernel.sweep(SECOND, NETWORK, 1, 10**6, pause) < 100


@settings(max_examples=30)
@given(
    targets=st.sets(
        st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 65535)), min_size=1, max_size=300
    )
)
def test_any_addresses_are_told_apart_within_five_errors(window, targets):
    kernel = KernelFanOut(window)
    for address, port in targets:
        kernel.attempt(SECOND, address, port)
        kernel.attempt(SECOND, address, port)
    figures = kernel.figures(0)
    pairs, hosts = len(targets), len({address for address, _ in targets})
    allowed = 5 * 1.04 / math.sqrt(512)
    assert figures.attempts == 2 * pairs
    assert abs(figures.host_ports - pairs) <= max(4, allowed * pairs)
    assert abs(figures.hosts - hosts) <= max(4, allowed * hosts)


def test_targets_whose_hashes_were_chosen_to_be_one_are_told_apart_by_another_seed(window):
    addresses = (NETWORK + number for number in count())
    chosen = list(islice((one for one in addresses if host_hash(one) % 512 == 7), 200))
    told = {}
    for seed in GOLDEN, 1, 2**64 - 1:
        process = KernelFanOut(window, seed=seed)
        for address in chosen:
            process.attempt(SECOND, address, 80)
        told[seed] = process.figures(0).hosts
    assert told.pop(GOLDEN) == 1
    assert all(abs(hosts - len(chosen)) <= 0.2 * len(chosen) for hosts in told.values())
    seeds = {int(SensorSettings().row()["hash_seed"][0]) for _ in range(4)}
    assert len(seeds) == 4


def test_a_figure_covers_half_to_a_whole_window(window):
    """One attempt each second: between half a window's and a whole window's are reported."""
    kernel = KernelFanOut(window)
    counts = []
    for second in range(1, 60):
        kernel.attempt(second * SECOND, NETWORK, 80)
        counts.append(kernel.figures(0).attempts)
    assert all(5 <= count <= 10 for count in counts[10:])


def test_a_machine_booted_seconds_ago_counts_like_any(window):
    """The second bucket's grid start lies before time zero."""
    kernel = KernelFanOut(window)
    for i in range(30):
        kernel.attempt(SECOND + i, NETWORK + i, 80)
    for index in range(len(WINDOWS)):
        assert kernel.figures(index).attempts == 30


def test_details_are_limited_per_longest_window(window):
    kernel = KernelFanOut(window, detail_limit=4)
    assert [kernel.detail(SECOND) for _ in range(6)] == [1, 1, 1, 1, 0, 0]
    assert not kernel.detail(290 * SECOND)
    assert kernel.detail(301 * SECOND)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_run_crosses_the_middle_of_an_ipv6_address(window, direction):
    kernel = KernelFanOut(window)
    for i in range(-3, 4):
        kernel.attempt(SECOND, (0xFD00 << 112) + 2**64 + direction * i, 80)
    assert kernel.figures(0).sequential_run == 7


def test_what_a_child_did_counts_for_its_parent(window):
    """A loop that makes a process for each probe: the parent crosses when its children did."""
    parent, reports = KernelFanOut(window), []
    for i in range(40):
        child = KernelFanOut(window)
        child.attempt(SECOND + i, NETWORK + i, 80)
        child.end(SECOND + i, Outcome.REFUSED)
        reports.append(parent.inherit(SECOND + i, child))
    told = [report for report in reports if report is not None]
    assert {report["measure"] for report in told} == {Measure.HOSTS, Measure.SEQUENTIAL_RUN}
    figures = parent.figures(0)
    assert (figures.attempts, figures.by_children, figures.refused) == (40, 40, 40)
    assert figures.sequential_run == 40
    assert abs(figures.hosts - 40) <= 3


def test_of_a_busy_child_its_parent_learns_the_latest_targets(window):
    parent, child = KernelFanOut(window), KernelFanOut(window)
    for i in range(20):
        child.attempt(SECOND + i, NETWORK + i, 80)
    parent.inherit(2 * SECOND, child)
    figures = parent.figures(0)
    assert (figures.attempts, figures.hosts, figures.sequential_run) == (20, SAMPLE_TARGETS, 8)


def test_linear_counting_table_is_the_formula():
    text = (KERNEL / "linear_count.h").read_text()
    body = re.search(r"linear_count\[.*?\{(.*?)\}", text, re.DOTALL)
    numbers = [int(number) for number in re.findall(r"\d+", body.group(1))]
    assert numbers[1:] == [round(512 * math.log(512 / zeros)) for zeros in range(1, 513)]
    assert int(re.search(r"DISTINCT_SCALE (\d+)ULL", text).group(1)) == ALPHA_SCALED
