"""Scans of which each process makes a part that is too small: what is told of their job.

Nothing here needs pytest, because virtual machines run it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.event import EventKind, Measure, Subject
from procwire.sensor.processes import key_of
from senders import ORPHANS, STARTED_FROM_OUTSIDE, WORKERS, python
from sensing import ESTIMATED_25, YEAR, Sensing, cgroup


def told(live: Sensing, kind: Subject, number: int, window: int = YEAR) -> np.void:
    """What was told of the job in the window, the shortest one, when its hosts were enough."""

    def of_job() -> NDArray[np.void]:
        rows = live.all("fanout")
        of_job = (rows["subject"] == kind) & (rows["job"] == number)
        return rows[of_job & (rows["window_ns"] == window) & (rows["measure"] == Measure.HOSTS)]

    rows = live.until(of_job, lambda rows: len(rows) > 0)
    assert len(rows) == 1
    row: np.void = rows[0]
    return row


def programs(live: Sensing, row: np.void) -> list[tuple[tuple[str, ...], int, int]]:
    """Command line, processes and attempts of each program of a job."""
    found = []
    for one in row["program"][row["program"]["processes"] > 0]:
        process = live.table.get(key_of(one["process"]))
        assert process is not None
        found.append((process.argv, int(one["processes"]), int(one["attempts"])))
    return found


def session(live: Sensing) -> None:
    """A chain of processes whose parents end."""
    session, _ = live.run(*python(ORPHANS))
    row = told(live, Subject.SESSION, session)
    tried = int(row["attempts"])
    assert tried in ESTIMATED_25
    assert (row["by_children"], row["refused"]) == (0, tried)
    assert programs(live, row) == [(python(ORPHANS), tried, tried)]
    # The process that is named is the last of them, and none is told of by itself.
    assert row["process"] == row["program"]["process"][0]
    assert not of_processes(live, session)
    (scan,) = FanoutDetectors().update(row.reshape(1))
    assert scan.job is not None
    assert scan.job.name == (Subject.SESSION, session)


def of_processes(live: Sensing, session: int) -> set[int]:
    """The pids of a session's processes that were told of by themselves."""
    processes, fanouts = live.all("process"), live.all("fanout")
    members = np.unique(processes["process"]["pid"][processes["session"] == session])
    alone = fanouts["process"]["pid"][fanouts["subject"] == Subject.PROCESS]
    return set(alone[np.isin(alone, members)].tolist())


def workers(live: Sensing) -> None:
    """Processes that live on, each below the thresholds."""
    command = python(WORKERS, *["6"] * 8)
    session, _ = live.run(*command)
    of_sixes(live, session, command, ESTIMATED_25)
    assert not of_processes(live, session)


def workers_and_a_scanner(live: Sensing) -> None:
    """A process that is told of by itself takes what it tried with it: the rest is told alone."""
    command = python(WORKERS, "40", *["6"] * 8)
    session, _ = live.run(*command)
    # Its hosts are taken from those of the job, an estimate from an estimate: in one run of
    # twenty-five the difference reaches 25 with the 29th host or later, in none of 100,000 with the
    # 37th.
    of_sixes(live, session, command, range(22, 37))
    assert len(of_processes(live, session)) == 1


def of_sixes(live: Sensing, session: int, command: tuple[str, ...], within: range) -> None:
    """While they lived the job was told of with what workers of six hosts each tried, alone.
    within: how many attempts that may have taken."""
    row = told(live, Subject.SESSION, session)
    tried = int(row["attempts"])
    assert tried in within
    assert (row["by_children"], row["refused"]) == (0, tried)
    assert programs(live, row) == [(command, -(-tried // 6), tried)]
    processes = live.all("process")
    ends = processes[(processes["session"] == session) & (processes["kind"] == EventKind.EXIT)]
    assert np.all(ends["time_ns"] > row["time_ns"])


def container(live: Sensing) -> None:
    """What is started in it from outside."""
    with cgroup(f"{live.namespace}-job") as group:
        number = group.stat().st_ino
        for part in range(5):
            live.run(*python(STARTED_FROM_OUTSIDE, str(part)), cgroup=group)
        row = told(live, Subject.CGROUP, number)
    tried = int(row["attempts"])
    assert tried in ESTIMATED_25
    assert (row["by_children"], row["refused"]) == (0, tried)
    # Eight hosts a process.
    many = -(-tried // 8)
    assert programs(live, row) == [(python(STARTED_FROM_OUTSIDE, str(many - 1)), many, tried)]
    process = live.table.get(key_of(row["process"]))
    assert process is not None
    assert process.cgroup == f"/{live.namespace}-job"


JOBS = {
    "a session's job": session,
    "a container's job": container,
    "workers that live on": workers,
    "workers and a scanner": workers_and_a_scanner,
}
