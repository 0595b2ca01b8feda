"""Scans that a program is known for at a site: told while they are learned, as a scan or, where
nobody knows who answered, as seen for the first time; kept back afterwards, and only these."""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from procwire.alert import CLOSED, GROWN, RECEIVER, scan_alert
from procwire.context import baseline, site
from procwire.context.store import MEMORY, Store
from procwire.detect.detector import FIRST_FAN_OUT, ICMP_SWEEP
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.detect.habits import APPROVED, DENIED, LEARNED, PENDING, Habit
from procwire.detect.observation import Job
from procwire.event import Origin, Outcome, Subject
from procwire.record import Attempt, Endpoint, Process
from test_alert import row
from test_baseline import HOUR, NOW, PYTHON, Run, asks

PINGER = Process(
    (1, 7, 1), (0, 0, 0), 1, 990, "monitor", "/usr/bin/fping", ("fping", "-g"), "fping",
    None, None, None, "kernel",
)  # fmt: skip
LATER, STEP = 2 * HOUR, HOUR // 120


def endpoint(text, port=None):
    return Endpoint(bytes(10) + b"\xff\xff" + bytes(map(int, text.split("."))), port)


def sweep(time, hosts=60, process=PINGER, network="10.10.3", origin=Origin.RAW, **named):
    """An alert of echo requests to so many hosts in order, from 10.10.0.5; on the wire it is seen
    that none of them answered."""
    figures = {"attempts": hosts, "hosts": hosts, "host_ports": hosts, "sequential_run": hosts}
    figures["failures"] = hosts * (origin != Origin.RAW)
    (scan,) = FanoutDetectors().update(row(attempt=Attempt.ECHO, origin=origin, **figures))
    targets = tuple(endpoint(f"{network}.{n}") for n in range(1, 9))
    ends = {"source": endpoint("10.10.0.5"), "destination": targets[-1], "targets": targets}
    known = (process, ()) if process is not None else None
    named = {"time": NOW + time, "episode": f"F-{time}"} | named
    return replace(scan_alert(scan, known, ()), **ends | named)


@pytest.fixture
def run():
    """A site on which a pinger was seen while it was learned."""
    with Store(MEMORY) as store:
        run = Run(store)
        run.passes(0, HOUR // 2)
        (notice,) = run.site.admit([sweep(HOUR // 4)])
        assert (notice.check, notice.severity) == (FIRST_FAN_OUT, FIRST_FAN_OUT.severity)
        assert run.site.admit([sweep(HOUR // 3)]) == [], "once"
        run.passes(HOUR // 2, HOUR)
        yield run


def told(run, alert):
    return bool(run.site.admit([alert]))


GRAVER = {
    "nobody answered": {"origin": Origin.WIRE},
    "an interpreter without a script": {
        "process": changed(PINGER, exe=PYTHON, argv=("python3", "-c", "x"))
    },
    "a program that is not known": {"process": changed(PINGER, exe="")},
    "a known scanner": {"process": changed(PINGER, exe="/usr/bin/nmap")},
    "into another zone": {"network": "10.20.3"},
}


@pytest.mark.parametrize("graver", GRAVER.values(), ids=GRAVER)
def test_what_more_is_known_of_is_told_as_a_scan_while_it_is_learned(graver):
    with Store(MEMORY) as store:
        run = Run(store)
        run.passes(0, HOUR // 2)
        for time in (HOUR // 4, HOUR // 3):
            (alert,) = run.site.admit([sweep(time, **graver)], {"nmap"})
            assert (alert.check, alert.severity <= ICMP_SWEEP.severity) == (ICMP_SWEEP, True)


def test_what_is_learned_is_told_again_when_there_is_ten_times_as_much_of_it():
    """An episode goes on, and ends, as what it was told as at first."""
    with Store(MEMORY) as store:
        run = Run(store)
        run.passes(0, HOUR // 2)
        small = sweep(HOUR // 4)
        states = [small, replace(sweep(HOUR // 4, hosts=99), state=GROWN)]
        states += [replace(sweep(HOUR // 4, hosts=600), state=GROWN), replace(small, state=CLOSED)]
        found = [[alert.check for alert in run.site.admit([state])] for state in states]
        assert found == [[FIRST_FAN_OUT]] * 4
        again = [sweep(HOUR // 3, hosts=n, episode=f"F-{n}") for n in (99, 600, 6000)]
        found = [[alert.check for alert in run.site.admit([state])] for state in again]
    assert found == [[], [], [FIRST_FAN_OUT]]


def test_what_was_learned_is_kept_back_and_counted(run):
    assert not told(run, sweep(LATER))
    assert not told(run, sweep(LATER + 1, hosts=99, network="10.10.77"))
    assert run.site.counters()["context.habitual"] == 3
    run.site.save()
    (habit,) = [one for one in baseline.known(run.store) if one.habit.kind == "fan-out"]
    assert (habit.state, habit.count) == (LEARNED, 4)
    assert habit.habit == Habit(
        "fan-out",
        "",
        "office",
        "/usr/bin/fping",
        service="scan.icmp_sweep",
        peer="office",
        user="monitor",
        targets=100,
    )
    again = Run(run.store)
    again.passes(3 * HOUR, HOUR // 60)
    assert not told(again, sweep(4 * HOUR)), "after a start, too"


def test_episodes_that_are_kept_back_and_never_end_are_forgotten(run, monkeypatch):
    monkeypatch.setattr(site, "_MOST_HABITUAL", 3)
    scans = [sweep(LATER + n) for n in range(9)]
    assert not any(told(run, scan) for scan in scans)
    ends = [replace(scan, state=CLOSED) for scan in scans]
    assert [told(run, end) for end in ends] == 6 * [True] + 3 * [False]


@settings(max_examples=15)
@given(batch=st.integers(1, 40), after=st.integers(0, 89))
def test_when_learning_ends_does_not_depend_on_batches(batch, after):
    """A packet every half minute, and a sweep so many of these later, twice."""
    with Store(MEMORY) as store:
        run = Run(store)
        rows = [asks(0, after=n * STEP, dst_port=0, outcome=Outcome.REFUSED) for n in range(250)]
        run.sees(*rows[:20])
        run.site.admit([sweep(19 * STEP, origin=Origin.WIRE)])
        found = []
        for start in range(20, len(rows), batch):
            run.sees(*rows[start : start + batch])
            for number in range(start, min(start + batch, len(rows))):
                if number in (60 + after, 150):
                    found.append(told(run, sweep(number * STEP, origin=Origin.WIRE)))
    # An hour of half minutes is 120 of them; the first is learned, too.
    assert found == sorted([60 + after < 120, False], reverse=True)


OTHERS = {
    "by another user": {"process": changed(PINGER, user="www-data")},
    "by another program": {"process": changed(PINGER, exe="/tmp/fping")},
    "by an interpreter": {"process": changed(PINGER, exe=PYTHON, argv=("python3", "-c", "x"))},
    "by nobody known": {"process": None},
    "by somebody inferred": {"process": changed(PINGER, attribution="inferred")},
    "into another zone": {"network": "10.20.3"},
    "of ten times as many": {"hosts": 300},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_is_not_the_same_is_told(run, other):
    assert told(run, sweep(LATER, **other))
    assert told(run, sweep(LATER + 1, **other)), "and nobody has approved it"


def test_nothing_becomes_usual_by_coming_again(run):
    new = changed(PINGER, exe="/opt/pinger")
    assert all(told(run, sweep(LATER + n, process=new)) for n in range(50))
    run.site.save()
    (waiting,) = baseline.known(run.store, (PENDING,))
    assert (waiting.habit.program, waiting.count) == ("/opt/pinger", 50)
    baseline.decide(run.store, [waiting.id], APPROVED, "ann")
    approved = Run(run.store)
    approved.passes(3 * HOUR, HOUR // 60)
    assert not told(approved, sweep(4 * HOUR, process=new))


def test_what_is_denied_is_told_though_more_of_it_was_learned(run):
    assert not told(run, sweep(LATER))
    run.site.save()
    (habit,) = [one for one in baseline.known(run.store) if one.habit.kind == "fan-out"]
    baseline.decide(run.store, [habit.id], DENIED, "ann")
    denied = Run(run.store)
    denied.passes(3 * HOUR, HOUR // 60)
    assert told(denied, sweep(4 * HOUR))


def test_an_episode_ends_as_it_was_told(run):
    quiet = sweep(LATER)
    assert not told(run, quiet)
    assert not told(run, replace(quiet, state=CLOSED))
    assert not told(run, quiet)
    assert told(run, replace(sweep(LATER, hosts=400), state=GROWN)), "beyond what is usual"
    assert told(run, replace(quiet, state=CLOSED))


def test_a_known_scanner_has_no_habits(run):
    assert run.site.admit([sweep(LATER, origin=Origin.WIRE)], {"fping"})
    assert not told(run, sweep(LATER))


def test_a_job_and_who_received_have_no_habits(run):
    job = Job(Subject.SESSION, 9, ())
    assert told(run, sweep(LATER, job=job))
    assert told(run, sweep(LATER + 1, role=RECEIVER))
