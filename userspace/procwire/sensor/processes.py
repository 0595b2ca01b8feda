"""Every process the sensor has seen, by key: who runs, who ran lately, and who started whom.

A fork inherits its parent's record, an exec replaces the record under a new key, an exit retires
it. Retired records are kept for as long as there is room, because outcomes and alerts come later.
Equal texts and keys are kept once: thousands of processes that come and go differ in little.
"""

from __future__ import annotations

import pwd
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.event import (
    FLAG_ARGV_TRUNCATED,
    FLAG_ARGV_UNREADABLE,
    FLAG_EXE_TRUNCATED,
    EventKind,
)
from procwire.record import CUT, Process, ProcessId
from procwire.sensor.cgroups import CgroupPaths, container_of
from procwire.sensor.machine import boot_epoch_ns
from procwire.sensor.proc import ProcFacts, kept_once, read_facts, split_argv

Change = Process | ProcessId
"""A process that runs from now on, or the key of one that has ended."""

ENDED_LIMIT = 4096
RUNNING_LIMIT = 65536
"""More than Linux lets run by default (pid_max 32768 and up); only lost exits could reach it."""

_GENERATIONS = 64


class ProcessTable:
    """Processes by key (started ns since boot, pid, exec count).

    evicted: ended processes forgotten because there was no room; changes: where changes are noted,
    in order, for follow() of another table; None: nowhere.
    """

    def __init__(self, ended_limit: int = ENDED_LIMIT, running_limit: int = RUNNING_LIMIT) -> None:
        self._running: OrderedDict[ProcessId, Process] = OrderedDict()
        self._ended: OrderedDict[ProcessId, Process] = OrderedDict()
        self._latest: dict[tuple[int, int], ProcessId] = {}
        self._ended_limit, self._running_limit = ended_limit, running_limit
        self._cgroups = CgroupPaths()
        # Taken once: a process has one start time, even if the wall clock is set.
        self._boot = boot_epoch_ns()
        self.evicted = 0
        self.changes: list[Change] | None = None

    def __len__(self) -> int:
        """Processes that run now."""
        return len(self._running)

    def insert(self, processes: Iterable[Process]) -> None:
        """Adds processes that ran before the sensor did; what an event said already stays."""
        for process in processes:
            if process.key not in self._running and process.key not in self._ended:
                self._run(process)

    def follow(self, changes: Iterable[Change]) -> None:
        """Makes the changes that another table noted."""
        for change in changes:
            if isinstance(change, Process):
                self._run(change)
            else:
                self._end(change)

    def apply(self, events: NDArray[np.void]) -> None:
        """Follows execs, forks and exits: events is (n,) PROCESS_EVENT in the ring's order."""
        for row in events:
            key, kind = key_of(row["process"]), row["kind"]
            if kind == EventKind.FORK:
                self._run(self._forked(key, row))
            elif kind == EventKind.EXEC:
                started, pid, exec_count = key
                before = (started, pid, exec_count - 1)
                process = self._executed(key, before, row)
                self._end(before)
                self._run(process)
            elif kind == EventKind.EXIT:
                if key not in self._running and key not in self._ended:
                    self._run(self._described(key, row))
                self._end(key)

    def get(self, key: ProcessId, keep: bool = True) -> Process | None:
        """The process of that key, running or ended lately; None if it was never seen or is
        forgotten. keep: one that has ended is forgotten later for it. Who asks beside the run
        leaves that as it is, so that a replay, where nobody does, forgets the same."""
        process = self._running.get(key)
        if process is None and key in self._ended:
            if keep:
                self._ended.move_to_end(key)
            process = self._ended[key]
        return process

    def ancestry(self, key: ProcessId, keep: bool = True) -> list[Process]:
        """Parent, grandparent and so on, as far as known; keep: as of get().

        A parent that has executed another program since the fork and whose earlier record is
        forgotten is represented by what it runs now.
        """
        lineage: list[Process] = []
        visited = {key[:2]}
        process = self.get(key, keep)
        while process is not None and len(lineage) < _GENERATIONS:
            parent = process.parent
            if parent[:2] in visited:
                break
            visited.add(parent[:2])
            now_runs = self._latest.get(parent[:2], parent)
            process = self.get(parent, keep) or self.get(now_runs, keep)
            if process is not None:
                lineage.append(process)
        return lineage

    def _run(self, process: Process) -> None:
        if self.changes is not None:
            self.changes.append(process)
        self._running[process.key] = process
        self._latest[process.key[:2]] = process.key
        if len(self._running) > self._running_limit:
            self._end(next(iter(self._running)))

    def _end(self, key: ProcessId) -> None:
        process = self._running.pop(key, None)
        if process is None:
            return
        if self.changes is not None:
            self.changes.append(key)
        self._ended[key] = process
        if len(self._ended) > self._ended_limit:
            oldest, _ = self._ended.popitem(last=False)
            self.evicted += 1
            if self._latest.get(oldest[:2]) == oldest:
                del self._latest[oldest[:2]]

    def _described(self, key: ProcessId, row: Any) -> Process:
        """What an event alone tells."""
        cgroup = self._cgroups.path_of(int(row["cgroup"])) if row["cgroup"] else None
        return Process(
            key=key,
            parent=self._same(key_of(row["parent"])),
            started=key[0] + self._boot,
            uid=int(row["uid"]),
            user=user_name(int(row["uid"])),
            exe=_executable(row),
            argv=_arguments(row),
            comm=kept_once(row["comm"].decode(errors="replace")),
            cwd=None,
            cgroup=cgroup,
            container=container_of(cgroup or ""),
            attribution="kernel",
        )

    def _same(self, key: ProcessId) -> ProcessId:
        """The key, by the object that the table has of it."""
        found = self.get(key, keep=False)
        return key if found is None else found.key

    def _forked(self, key: ProcessId, row: Any) -> Process:
        process = self._described(key, row)
        parent = self.get(process.parent, keep=False)
        if parent is None:
            return process
        child = replace(process, exe=parent.exe, argv=parent.argv, cwd=parent.cwd)
        return _placed(child, parent.cgroup, parent.container)

    def _executed(self, key: ProcessId, before: ProcessId, row: Any) -> Process:
        process = self._described(key, row)
        facts = read_facts(key[0], key[1])
        if facts is not None and _same_program(facts, row):
            running = replace(process, exe=facts.exe or process.exe, cwd=facts.cwd)
            return _placed(running, facts.cgroup, facts.container)
        forked = self.get(before, keep=False)
        if forked is None:
            return process
        return _placed(replace(process, cwd=forked.cwd), forked.cgroup, forked.container)


def key_of(row: Any) -> ProcessId:
    """The tuple of a PROCESS_KEY row."""
    return int(row["started_ns"]), int(row["pid"]), int(row["exec_count"])


def _executable(row: Any) -> str:
    exe = row["exe"].decode(errors="replace")
    return kept_once(exe + CUT if row["flags"] & FLAG_EXE_TRUNCATED else exe)


def _arguments(row: Any) -> tuple[str, ...]:
    said = split_argv(row["argv"].ljust(int(row["argv_size"]), b"\0"))
    if not row["flags"] & (FLAG_ARGV_TRUNCATED | FLAG_ARGV_UNREADABLE):
        return said
    # Whether the last one is whole cannot be told of all.
    return (*said[:-1], said[-1] + CUT) if said else (CUT,)


def _placed(process: Process, cgroup: str | None, container: str | None) -> Process:
    """The process, where it is as the kernel said when it could be found; else where /proc or the
    record before say. A container of cgroup version 1 is known from these alone."""
    if process.cgroup is not None and process.cgroup != cgroup:
        return process
    return replace(process, cgroup=cgroup, container=container or process.container)


def _same_program(facts: ProcFacts, row: Any) -> bool:
    """Whether /proc still shows this execution: the start time survives a further exec, the
    command line does not."""
    return facts.cmdline.rstrip(b"\0").startswith(row["argv"])


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The account's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
