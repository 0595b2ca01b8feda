"""The wall clock is set by a day while processes are watched: no alert is lost, and none is told
twice."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from mixed_runs import Mixture
from procwire.event import CONNECTION_EVENT, FANOUT_EVENT, Origin, Outcome
from procwire.record import Process
from procwire.runs.process_analysis import ProcessAnalysis
from procwire.runs.recorded import Recording
from procwire.runs.recording import Turn
from procwire.settings import Settings
from recorded_runs import watched as watched_live

SECOND = 1_000_000_000
DAY = 86400 * SECOND
START = 1_790_000_000 * SECOND
KEY = (77 * SECOND, 4711, 2)
YOUNG = Process(
    KEY, (1, 1, 1), START, 33, "www-data", "/tmp/x9", ("x9",), "x9", "/", None, None, "kernel"
)


def watched(started: int = START) -> ProcessAnalysis:
    return ProcessAnalysis(Settings(), lambda key: (replace(YOUNG, started=started), []))


def fan_out(time: int, hosts: int) -> np.ndarray:
    """What the kernel tells of a process that so many hosts do not answer."""
    row = np.zeros(1, FANOUT_EVENT)
    row["time_ns"], row["window_ns"], row["process"] = time, 60 * SECOND, KEY
    row["window_start_ns"] = row["first_ns"] = time - SECOND
    row["attempts"] = row["hosts"] = row["host_ports"] = row["failures"] = hosts
    row["origin"], row["samples"] = Origin.CONNECT, 1
    for name in ("first", "last", "sample"):
        row[name]["port"], row[name]["protocol"] = 445, 6
    return row


def failures(time: int) -> np.ndarray:
    """As many hosts that cannot be reached as a new process may not look for."""
    rows = np.zeros(12, CONNECTION_EVENT)
    rows["time_ns"], rows["process"] = time + np.arange(12) * 1_000_000, KEY
    rows["family"], rows["protocol"], rows["destination_port"] = 4, 6, 22
    rows["origin"], rows["outcome"] = Origin.CONNECT, Outcome.TIMED_OUT
    rows["destination"] = np.frombuffer(bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 0]), np.uint8)
    rows["destination"][:, 15] = np.arange(12)
    return rows


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_scan_that_goes_on_is_one_episode(by: int) -> None:
    analysis, none = watched(), np.zeros(0, CONNECTION_EVENT)
    told = analysis.update(fan_out(START, 30), none, START)
    analysis.clock_set(by)
    later = START + by + SECOND
    told += analysis.update(fan_out(later, 300), none, later)
    analysis.clock_set(-by)
    end = START + 2 * SECOND
    told += analysis.update(fan_out(end, 3000), none, end)
    told += analysis.finish()
    assert [alert.state for alert in told] == ["raised", "grown", "grown"]
    assert len({alert.episode for alert in told}) == 1


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_nor_does_it_end_later_than_it_would_have(by: int) -> None:
    analysis, none = watched(), np.zeros(0, CONNECTION_EVENT)
    analysis.update(fan_out(START, 30), none, START)
    analysis.clock_set(by)
    later = START + by + 3600 * SECOND
    (again,) = analysis.update(fan_out(later, 30), none, later)
    assert again.state == "raised"


def test_a_run_notices_that_the_clock_was_set(tmp_path) -> None:
    """And its record tells so."""
    mixture = Mixture(Random(4), 9)
    assert watched_live(mixture, tmp_path / "record", 1, 1, None, interfaces=())
    frames = list(Recording(tmp_path / "record").frames())
    told = [frame.set_by for frame in frames if isinstance(frame, Turn) and frame.set_by]
    assert len(told) > 1
    assert sum(told) == mixture.turns[-1].set_by


@pytest.mark.parametrize("by", [0, DAY, -DAY])
def test_a_process_is_as_old_as_it_is(by: int) -> None:
    """started: by the clock as it was when the watch began."""
    for age, rules in ((2, ["process.new_fan_out"]), (3600, [])):
        analysis = watched(START - age * SECOND)
        if by:
            analysis.clock_set(by)
        told = analysis.update(np.zeros(0, FANOUT_EVENT), failures(START + by), START + by)
        assert [alert.check.id for alert in told] == rules
