"""The windows of a job, as kernel/job.bpf.h fills them from those of its processes, held against
counting: what enters, how often, and what a process takes back that is told of by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_window import SECOND, WINDOWS, KernelFanOut, compiled
from naive_fanout import estimate, host_hash, pair_hash
from procwire.event import Outcome
from test_window import NETWORK, is_within

PROCESSES = 3
FAILED = (Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.UNREACHABLE, Outcome.DENIED)
UNROUTED = 100
TOLD = "told"


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("job_window"))


class Job(KernelFanOut):
    """A job with its processes, of which none reaches a threshold by itself."""

    def __init__(self, window, processes=PROCESSES):
        super().__init__(window)
        never = (2**31,) * 4
        self.processes = [KernelFanOut(window, thresholds=never) for _ in range(processes)]
        self.shared = [self.ffi.new("struct fanout_totals *") for _ in range(processes)]

    def tries(self, time, number, address, port):
        """An attempt of a process that is not told of."""
        process = self.processes[number]
        process.attempt(time, address, port)
        self.share(time, number, process.target(address, port) if process.is_new else None)

    def ends(self, time, number, outcome):
        self.processes[number].end(time, outcome)
        self.share(time, number)

    def share(self, time, number, target=None):
        state, shared = self.processes[number].state, self.shared[number]
        target = target or self.ffi.NULL
        self.lib.probe_share(self.state, self.settings, state, shared, target, time)

    def takes_back(self, time, number):
        """The process is told of by itself."""
        start = self.ffi.new("struct fanout_totals *")
        state, shared = self.processes[number].state, self.shared[number]
        self.share(time, number)
        self.lib.probe_take_back(self.state, self.settings, state, start, shared, time)


class Counted:
    """The oracle: everything that happened, and who was told of when."""

    def __init__(self):
        self.attempts, self.outcomes, self.told = [], [], {}

    def figures(self, start):
        """All counts, hosts and pairs of a bucket that began then."""
        tried = [one for one in self.attempts if one[0] >= start]
        ended = [one[2] for one in self.outcomes if one[0] >= start and one[1] not in self.told]
        own = sum(one[1] not in self.told for one in tried)
        return (
            own,
            ended.count(Outcome.ESTABLISHED),
            ended.count(Outcome.REFUSED),
            sum(one in FAILED for one in ended),
            ended.count(UNROUTED),
            self.distinct(tried, start, own, lambda address, port: host_hash(address)),
            self.distinct(tried, start, own, pair_hash),
        )

    def distinct(self, tried, start, own, hashed):
        """All that the sketch has seen, less as many as each process had tried that was told of."""
        seen = estimate({hashed(*target) for _, _, target in tried})
        excused = sum(
            estimate({hashed(*target) for _, number, target in tried if number == who})
            for who, when in self.told.items()
            if when >= start
        )
        return min(max(seen - excused, 0), own) if excused else seen


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, SECOND // 3, SECOND, 4 * SECOND, 31 * SECOND]),
        st.integers(0, PROCESSES - 1),
        st.tuples(st.integers(NETWORK, NETWORK + 5), st.sampled_from([80, 443]))
        | st.sampled_from([Outcome.ESTABLISHED, *FAILED, UNROUTED, TOLD]),
    ),
    min_size=20,
    max_size=100,
)
HOST = (NETWORK, 80)
# What it tried goes with it, of the buckets that are not over.
LATER = 31 * SECOND
TOLD_LATE = [(0, 0, HOST), (0, 1, HOST), (LATER, 0, HOST), (0, 1, HOST), (0, 0, TOLD)]


@settings(max_examples=120)
@given(start=st.integers(1300 * SECOND, 2000 * SECOND), steps=steps)
@example(start=1300 * SECOND, steps=TOLD_LATE)
def test_a_job_counts_what_its_processes_try_that_are_not_told_of(window, start, steps):
    job, counted, time = Job(window), Counted(), start
    job.share(start, 0)
    for pause, number, what in steps:
        time += pause
        if number in counted.told:
            continue
        if what == TOLD:
            counted.told[number] = time
            job.takes_back(time, number)
        elif isinstance(what, int):
            counted.outcomes.append((time, number, what))
            job.ends(time, number, what)
        else:
            counted.attempts.append((time, number, what))
            job.tries(time, number, *what)
    # A job turns with whatever one of its processes does.
    job.lib.probe_detail(job.state, job.settings, time)
    for index in range(len(WINDOWS)):
        found = job.figures(index)
        assert (
            found.attempts,
            found.established,
            found.refused,
            found.failures,
            found.unrouted,
            found.hosts,
            found.host_ports,
        ) == counted.figures(found.window_start_ns)


def test_many_workers_of_few_hosts_each(window):
    """What none of them is told of, their job is, at the hosts that they reach together."""
    job, reports = Job(window, processes=50), []
    for n in range(500):
        number, time = n % 50, SECOND + n
        job.tries(time, number, NETWORK + 7 * n, 80)
        job.ends(time, number, Outcome.REFUSED)
        job.lib.probe_look(job.state, job.settings, job.crossing)
        reports.append(job.report(time))
    levels = [report["threshold"] for report in reports if report is not None]
    assert levels.count(25) == len(WINDOWS)
    figures = job.figures(0)
    assert (figures.attempts, figures.refused) == (500, 500)
    assert is_within(5, figures.hosts, 500)


def test_counts_that_come_later_are_complete(window):
    """A busy process shares targets as they are new, and counts once for many attempts."""
    job = Job(window)
    process = job.processes[0]
    for n in range(1000):
        process.attempt(SECOND + n, NETWORK + n % 5, 80)
        if process.is_new:
            job.share(SECOND + n, 0, process.target(NETWORK + n % 5, 80))
        process.end(SECOND + n, Outcome.ESTABLISHED)
    assert (job.figures(0).attempts, job.figures(0).hosts) == (5, 5)
    job.share(2 * SECOND, 0)
    figures = job.figures(0)
    assert (figures.attempts, figures.established, figures.hosts) == (1000, 1000, 5)


def test_what_was_told_of_by_itself_for_long_does_not_make_a_job(window):
    """Many scanners, one after the other: what is left of their sketches is what is tried now."""
    job = Job(window, processes=60)
    for number in range(59):
        for n in range(24):
            job.tries(SECOND, number, NETWORK + 100 * number + n, 80)
        job.takes_back(SECOND, number)
    for n in range(3):
        job.tries(SECOND, 59, NETWORK + 9999 + n, 80)
    figures = job.figures(0)
    assert figures.attempts == 3
    assert figures.hosts <= 3


COUNTS = ("attempts", "established", "refused", "failures", "unrouted")


def counts_of(totals):
    return {name: getattr(totals, name) for name in COUNTS}


def test_what_two_threads_give_at_the_same_instant_is_given_back_by_the_next(window):
    job = Job(window, 1)
    (process,), (shared,) = job.processes, job.shared
    job.tries(SECOND, 0, NETWORK, 80)
    before = counts_of(shared)
    process.attempt(SECOND, NETWORK + 1, 80)
    process.end(SECOND, Outcome.REFUSED)
    # The other thread has read what was given before this one gives.
    late = job.ffi.new("struct fanout_totals *", before)
    for known in (shared, late):
        job.lib.probe_share(job.state, job.settings, process.state, known, job.ffi.NULL, SECOND)
    for name in COUNTS:
        more = getattr(late, name) - before[name]
        setattr(shared, name, getattr(shared, name) + more)
    assert job.state.totals.attempts == process.state.totals.attempts + 1
    assert job.state.totals.refused == process.state.totals.refused + 1
    job.share(SECOND, 0)
    assert counts_of(job.state.totals) == counts_of(process.state.totals) == counts_of(shared)


def test_threads_that_share_all_the_time_lose_and_double_nothing(window):
    job, each, threads = Job(window, 1), 2_000_000, 3
    (process,), (shared,) = job.processes, job.shared
    with ThreadPoolExecutor(threads) as pool:
        # Calls of C let go of the interpreter's lock.
        whose = (job.state, process.state, shared, each)
        for running in [pool.submit(job.lib.probe_attempts_shared, *whose) for _ in range(threads)]:
            running.result()
    job.share(SECOND, 0)
    wanted = dict.fromkeys(COUNTS, 0) | dict.fromkeys(
        ("attempts", "refused", "failures"), threads * each
    )
    assert counts_of(process.state.totals) == wanted
    assert counts_of(job.state.totals) == counts_of(shared) == wanted


@given(st.integers(1, 2**33), st.integers(1, 2**33))
def test_a_program_of_a_job_that_lasts_has_no_fewer_attempts_than_before(window, before, more):
    assert window.lib.probe_program(before, more) == min(min(before, 2**32 - 1) + more, 2**32 - 1)
