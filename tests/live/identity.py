"""Whether an event names the process that caused it, in full: against the command that was given
and what /proc said of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from procwire.record import Process
from procwire.sensor.proc import read_facts, started_ns
from procwire.sensor.processes import key_of
from sensing import Sensing

ROOT_USER = (0, "root")


def own_cgroup() -> str | None:
    """The cgroup that what a test starts is in."""
    started = started_ns(os.getpid())
    facts = read_facts(started, os.getpid()) if started is not None else None
    return facts.cgroup if facts else None


def process_of(live: Sensing, row: np.void) -> Process:
    """Who caused the event."""
    process = live.table.get(key_of(row["process"]))
    assert process is not None, "nobody is known by the event's key"
    return process


def is_whole(
    live: Sensing,
    row: np.void,
    command: tuple[str, ...],
    *,
    user: tuple[int, str] = ROOT_USER,
    cgroup: str | None = None,
    network: int | None = None,
) -> Process:
    """Asserts that the event of a command started by `live` tells who: pid, start, executable,
    command line, parents, user, cgroup and network namespace. The process."""
    process = process_of(live, row)
    started, pid, _ = process.key
    executable = shutil.which(command[0])
    assert executable is not None
    parent, *_ = live.table.ancestry(process.key)
    assert started == live.started[pid]
    # A virtual machine's root lies below another.
    assert str(Path(process.exe).resolve()).endswith(str(Path(executable).resolve()))
    assert process.argv == command
    assert parent.key[:2] == (started_ns(os.getpid()), os.getpid())
    assert (process.uid, process.user) == user == (row["uid"], user[1])
    assert process.cgroup == (cgroup or own_cgroup())
    assert row["net_namespace"] == (network or live.namespace_id)
    assert process.attribution == "kernel"
    return process
