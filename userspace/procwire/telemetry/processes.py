"""The processes that records name, by machine: one entry per execution, whatever the record called
it.

A process id is used again and again, so it only leads to an execution: the one that started last
under it, unless the record shows another program. What several recorders say of one execution ends
in one entry. Entries are kept for as long as there is room.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from procwire.record import Endpoint, Process, ProcessId
from procwire.telemetry.event import Actor

ENTRIES = 65536
_GENERATIONS = 64
# Two recorders note the start of one execution within this time, in ns.
_SAME_START = 5_000_000_000
# What a process did is recorded up to so long after its end.
_LATE = 10_000_000_000

# Folders that only an administrator or the package manager writes to.
_INSTALLED = re.compile(
    r"(?:[a-z]:|\\device\\[^\\]+)?\\(?:windows|program files(?: \(x86\))?)\\"
    r"|/(?:usr|bin|sbin|lib|lib64|opt|snap|nix/store)/"
)
_LEARNED = ("user", "started", "cwd", "argv", "comm", "command_line")
_SHARED = re.compile(r"\\windows\\(?:temp|tasks|tracing)\\")


class Execution:
    """One execution of a program as far as records told.

    number: a name of its own in this run; key: as in record.Process, which does not change with
    what is learned later; seen, ended: ns; source: the address it first came from; known: whether
    its start was recorded; unfamiliar: it was the first of a program that lies where users may
    write; inferred, tried: how many attempts were ascribed to it by what happened around, and
    whether any was recorded as its own.
    """

    __slots__ = (
        "actor",
        "ended",
        "host",
        "inferred",
        "key",
        "known",
        "number",
        "parent",
        "seen",
        "source",
        "tried",
        "unfamiliar",
    )

    def __init__(self, number: int, host: str, actor: Actor, seen: int) -> None:
        self.number, self.host, self.actor, self.seen = number, host, actor, seen
        self.key: ProcessId = (actor.started, actor.pid, number)
        self.parent: int | None = None
        self.known = self.unfamiliar = self.tried = False
        self.inferred = 0
        self.ended: int | None = None
        self.source: Endpoint | None = None


class Processes:
    """Executions by number. evicted: how many were forgotten for want of room."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, Execution] = OrderedDict()
        self._by_guid: dict[tuple[str, str], Execution] = {}
        self._by_pid: dict[tuple[str, int], Execution] = {}
        self._programs: dict[tuple[str, str], None] = {}
        self._last = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def start(self, host: str, actor: Actor, parent: Actor, time: int) -> Execution:
        """The execution of a start recorded at `time`."""
        entry = self._known(host, actor)
        if entry is not None and self._is_start_of(entry, actor, time):
            self._learn(entry, actor)
        else:
            entry = self._add(host, actor, time)
            entry.unfamiliar = self._is_new_program(host, actor.exe) and _is_a_user_s(actor.exe)
        entry.known = True
        if parent.pid or parent.guid:
            above = self.find(host, parent, time)
            entry.parent = entry.parent or above.number
        return entry

    def find(self, host: str, actor: Actor, time: int) -> Execution:
        """The execution that a record of `time` means; its start may be unknown."""
        entry = self._known(host, actor)
        if entry is None or (entry.ended is not None and time > entry.ended + _LATE):
            entry = self._add(host, actor, time)
            # It ran before the records begin.
            self._is_new_program(host, actor.exe)
        else:
            self._learn(entry, actor)
        if entry.parent is None and actor.parent_pid:
            entry.parent = self.find(host, Actor(actor.parent_pid), time).number
        return entry

    def end(self, host: str, actor: Actor, time: int) -> None:
        """Note a recorded end."""
        entry = self._known(host, actor)
        if entry is not None:
            entry.ended = time

    def get(self, number: int) -> Execution | None:
        """The execution of that number; None if it is forgotten."""
        return self._entries.get(number)

    def lookup(self, key: ProcessId) -> tuple[Process, list[Process]] | None:
        """The process of a key and its ancestors, parent first."""
        entry = self._entries.get(key[2])
        if entry is None:
            return None
        lineage: list[Process] = []
        visited = {entry.number}
        above = entry.parent
        while above is not None and above not in visited and len(lineage) < _GENERATIONS:
            visited.add(above)
            ancestor = self._entries.get(above)
            if ancestor is None:
                break
            lineage.append(_process(ancestor))
            above = ancestor.parent
        return _process(entry), lineage

    def _known(self, host: str, actor: Actor) -> Execution | None:
        if actor.guid:
            entry = self._by_guid.get((host, actor.guid))
            if entry is not None:
                return entry
        entry = self._by_pid.get((host, actor.pid))
        if entry is None:
            return None
        names_differ = actor.guid and entry.actor.guid
        if names_differ or not _same_program(entry.actor.exe, actor.exe):
            return None
        return entry

    def _is_start_of(self, entry: Execution, actor: Actor, time: int) -> bool:
        if actor.guid and actor.guid == entry.actor.guid:
            return True
        since = entry.actor.started or entry.seen
        return abs(since - time) <= _SAME_START

    def _is_new_program(self, host: str, exe: str) -> bool:
        """Whether the program had not been seen on that machine; from now on it has."""
        name = host, exe.lower()
        if name in self._programs:
            return False
        self._programs[name] = None
        if len(self._programs) > ENTRIES:
            del self._programs[next(iter(self._programs))]
        return True

    def _add(self, host: str, actor: Actor, time: int) -> Execution:
        self._last += 1
        entry = Execution(self._last, host, actor, time)
        self._entries[entry.number] = entry
        self._by_pid[host, actor.pid] = entry
        if actor.guid:
            self._by_guid[host, actor.guid] = entry
        if len(self._entries) > ENTRIES:
            self._forget(self._entries.popitem(last=False)[1])
        return entry

    def _learn(self, entry: Execution, told: Actor) -> None:
        """Fill in what one record tells and others before did not."""
        self._entries.move_to_end(entry.number)
        known = entry.actor
        if known is told:
            return
        if told.guid and not known.guid:
            known.guid = told.guid
            self._by_guid[entry.host, told.guid] = entry
        for name in _LEARNED:
            if not getattr(known, name):
                setattr(known, name, getattr(told, name))
        known.uid = told.uid if known.uid is None else known.uid
        # A device name is the poorer path.
        if not known.exe or (known.exe.startswith("\\device\\") and told.exe):
            known.exe = told.exe

    def _forget(self, entry: Execution) -> None:
        self.evicted += 1
        host, actor = entry.host, entry.actor
        if self._by_pid.get((host, actor.pid)) is entry:
            del self._by_pid[host, actor.pid]
        if self._by_guid.get((host, actor.guid)) is entry:
            del self._by_guid[host, actor.guid]


def _same_program(one: str, other: str) -> bool:
    """Whether two paths may be the same program: the filtering platform writes device names in
    lower case where others write drive letters."""
    return not one or not other or _file_name(one) == _file_name(other)


def _file_name(path: str) -> str:
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :].lower()


def _is_a_user_s(exe: str) -> bool:
    """Whether a program lies where not only an administrator can have put it."""
    name = exe.lower()
    return bool(name) and (_INSTALLED.match(name) is None or _SHARED.search(name) is not None)


def _process(entry: Execution) -> Process:
    actor = entry.actor
    parent = (0, 0, entry.parent or 0)
    return Process(
        key=entry.key,
        parent=parent,
        started=actor.started or None,
        uid=actor.uid,
        user=actor.user,
        exe=actor.exe,
        argv=actor.argv,
        comm=actor.comm or _file_name(actor.exe),
        cwd=actor.cwd,
        cgroup=None,
        container=None,
        attribution="inferred" if entry.inferred and not entry.tried else "recorded",
        host=entry.host or None,
        command_line=actor.command_line,
    )
