"""What the programs for bcc cannot tell of a process and /proc can, put into their events.

Strategy: a process that is there when its event is read is asked itself. One that has ended by
then has the login user of its parent, its number in its namespace if it was told of that later, and
for a script the interpreter that the file names.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.event import (
    ARGV_SIZE,
    FLAG_ARGV_TRUNCATED,
    FLAG_EXE_TRUNCATED,
    PROCESS_HEADER,
    EventKind,
    cut_process_event,
)
from procwire.sensor.network_names import NetworkNames
from procwire.sensor.proc import started_ns
from procwire.sensor.running import NO_LOGIN_UID, Running, login_uid_of, namespace_pid_of

REMEMBERED = 65536
"""Processes whose login user is known; the longest known give way."""

# binfmt_script.c: so much of a file tells how to execute it, and so many scripts are followed.
_FIRST_LINE, _SCRIPTS = 256, 4

Identity = tuple[int, int]
"""Start since boot in ns and pid."""


class Completion:
    """Follows every process, from those that run as it begins."""

    def __init__(self, running: Iterable[Running]) -> None:
        self._names = NetworkNames()
        self._logins: OrderedDict[Identity, int] = OrderedDict()
        for process in running:
            self._logins[process.started, process.pid] = process.login_uid

    def complete(self, processes: NDArray[np.void], *others: NDArray[np.void]) -> NDArray[np.void]:
        """Fills in (n,) PROCESS_EVENT, which is returned, if need be with more room for arguments,
        and in others the network namespaces."""
        self._names.replace(*others, processes)
        vectors: dict[int, list[bytes]] = {}
        for place, row in enumerate(processes):
            identity = _identity(row["process"])
            inherited = self._logins.get(identity, NO_LOGIN_UID)
            if row["kind"] == EventKind.FORK:
                inherited = self._logins.get(_identity(row["parent"]), NO_LOGIN_UID)
            elif row["kind"] == EventKind.EXEC:
                inherited = _asked(identity, login_uid_of, inherited)
                vector = _vector(identity, row)
                if vector:
                    vectors[place] = vector
            row["login_uid"] = inherited
            if row["namespace_pid"] == 0:
                row["namespace_pid"] = _asked(identity, namespace_pid_of, 0)
            self._remember(identity, row)
        _number_as_later(processes)
        return _with_arguments(processes, vectors)

    def _remember(self, identity: Identity, row: Any) -> None:
        if row["kind"] == EventKind.EXIT:
            self._logins.pop(identity, None)
            return
        self._logins[identity] = int(row["login_uid"])
        self._logins.move_to_end(identity)
        if len(self._logins) > REMEMBERED:
            self._logins.popitem(last=False)


def _identity(key: Any) -> Identity:
    return int(key["started_ns"]), int(key["pid"])


def _asked(identity: Identity, ask: Callable[[int], int], otherwise: int) -> int:
    """What /proc says of the process by its pid, if it is still that process."""
    started, pid = identity
    said = ask(pid)
    return said if started_ns(pid) == started else otherwise


def _number_as_later(processes: NDArray[np.void]) -> None:
    """What was not told of a process's number when it began was told when it ended."""
    numbers = processes["namespace_pid"]
    unknown = np.flatnonzero(numbers == 0)
    if not len(unknown):
        return
    told = {_identity(row["process"]): row["namespace_pid"] for row in processes[numbers != 0]}
    for place in unknown:
        numbers[place] = told.get(_identity(processes["process"][place]), 0)


def _vector(identity: Identity, row: Any) -> list[bytes] | None:
    """The arguments that the interpreter of a script was given, if the program is one. The event
    has those that were asked for, and the script's name."""
    if row["flags"] & FLAG_EXE_TRUNCATED:
        return None
    asked = row["argv"].ljust(int(row["argv_size"]), b"\0").removesuffix(b"\0").split(b"\0")
    rest = [row["exe"], *asked[1:]]
    started, pid = identity
    try:
        running = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        running = b""
    if running and started_ns(pid) == started:
        vector = running.removesuffix(b"\0").split(b"\0")
        before = len(vector) - len(rest)
        return vector if before > 0 and vector[before:] == rest else None
    return _as_executed(rest)


def _as_executed(rest: list[bytes]) -> list[bytes] | None:
    """The arguments, the first of them a file, behind what the file's first line names; None if it
    is no script. Where a relative name leads from, nobody knows any more."""
    vector = rest
    for _ in range(_SCRIPTS):
        if not vector[0].startswith(b"/"):
            break
        line = _first_line(vector[0])
        words = line[2:].strip(b" \t").split(None, 1) if line.startswith(b"#!") else []
        if not words:
            break
        vector = [*words, *vector]
    return vector if vector is not rest else None


def _first_line(name: bytes) -> bytes:
    """Of a regular file, as far as the kernel reads it. Since the program ran, its owner may have
    put anything else in its place, so that nothing is waited for."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        is_regular = stat.S_ISREG(os.fstat(file).st_mode)
        return os.read(file, _FIRST_LINE).partition(b"\n")[0] if is_regular else b""
    except OSError:
        return b""
    finally:
        os.close(file)


def _with_arguments(
    processes: NDArray[np.void], vectors: dict[int, list[bytes]]
) -> NDArray[np.void]:
    """The rows, of which some have other arguments, and their first one as the executable."""
    if not vectors:
        return processes
    texts = {place: b"\0".join(vector) + b"\0" for place, vector in vectors.items()}
    longest = min(max(map(len, texts.values())), ARGV_SIZE)
    wide = cut_process_event(PROCESS_HEADER + longest)
    rows = processes
    if wide.itemsize > processes.dtype.itemsize:
        rows = np.zeros(len(processes), wide)
        for name in processes.dtype.names or ():
            rows[name] = processes[name]
    for place, text in texts.items():
        rows["argv"][place], rows["argv_size"][place] = text, min(len(text), ARGV_SIZE)
        if len(text) > ARGV_SIZE:
            rows["flags"][place] |= FLAG_ARGV_TRUNCATED
        rows["exe"][place] = vectors[place][0]
    return rows
