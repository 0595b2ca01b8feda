"""Scans that no single process makes and none lives to answer for: what is told of their job.

Nothing here needs pytest, because virtual machines run it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from procwire.detect.judges import Judges
from procwire.event import Measure, Subject
from procwire.sensor.processes import key_of
from senders import ORPHANS, STARTED_FROM_OUTSIDE, python
from sensing import YEAR, Sensing, cgroup


def told(live: Sensing, kind: Subject, number: int) -> np.void:
    """What was told of the job in the shortest window when its hosts were enough."""

    def of_job() -> NDArray[np.void]:
        rows = live.all("fanout")
        of_job = (rows["subject"] == kind) & (rows["job"] == number)
        return rows[of_job & (rows["window_ns"] == YEAR) & (rows["measure"] == Measure.HOSTS)]

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
    # hosts is an estimate.
    assert 22 <= tried <= 28
    assert (row["by_children"], row["refused"]) == (tried, tried)
    assert programs(live, row) == [(python(ORPHANS), tried, tried)]
    # The process that is named is the last of them, and none is told of by itself.
    assert row["process"] == row["program"]["process"][0]
    processes, fanouts = live.all("process"), live.all("fanout")
    members = np.unique(processes["process"]["pid"][processes["session"] == session])
    alone = fanouts["process"]["pid"][fanouts["subject"] == Subject.PROCESS]
    assert len(members) >= tried
    assert not np.isin(alone, members).any()
    (scan,) = Judges().update(row.reshape(1))
    assert scan.job is not None
    assert scan.job.name == (Subject.SESSION, session)


def container(live: Sensing) -> None:
    """What is started in it from outside."""
    with cgroup(f"{live.namespace}-job") as group:
        number = group.stat().st_ino
        for part in range(5):
            live.run(*python(STARTED_FROM_OUTSIDE, str(part)), cgroup=group)
        row = told(live, Subject.CGROUP, number)
    tried = int(row["attempts"])
    # Eight hosts a process.
    assert tried in (24, 32)
    assert (row["by_children"], row["refused"]) == (tried, tried)
    last = str(tried // 8 - 1)
    assert programs(live, row) == [(python(STARTED_FROM_OUTSIDE, last), tried // 8, tried)]
    process = live.table.get(key_of(row["process"]))
    assert process is not None
    assert process.cgroup == f"/{live.namespace}-job"


JOBS = {"a session's job": session, "a container's job": container}
