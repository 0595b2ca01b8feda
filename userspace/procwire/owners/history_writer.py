"""Appends to the history what the kernel tells of flows and ends.

When a file is full it becomes FILE.1 and the one before that is gone; what is still held then is
written again, so that each file can be read alone and both are bounded.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from procwire.errors import Unavailable
from procwire.event import FLAG_ANY_ADDRESS, FLAG_OLDER, EventKind, FlowRole
from procwire.output.address import address_text
from procwire.output.community_id import community_id
from procwire.output.eve import encode, process_fields
from procwire.output.lines import Lines
from procwire.owners.history import HOME, Claim, Described, Exit, Hold, Line, Local, Start, older
from procwire.record import Endpoint, Lookup, ProcessId
from procwire.sensor.loader import SensorEvents
from procwire.sensor.namespaces import Network
from procwire.sensor.processes import key_of

LARGEST_FILE = 64 << 20
MODE = 0o600
MOST_HELD = 1 << 16
"""Ends that are known to be held at a time."""
# A raw socket may name any end as its source, one per packet.
_MOST_WRITTEN = 1024


class HistoryWriter:
    """Appends to the history at `path`. known: asked for processes; namespace: inode number of the
    sensor's network namespace; tell: called with one line when the disk is full.

    Raises Unavailable where the file may not be written.
    """

    def __init__(
        self,
        path: Path,
        known: Lookup,
        namespace: int,
        largest: int = LARGEST_FILE,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._path, self._known, self._largest = path, known, largest
        self._tell, self._is_told = tell, False
        self._namespace = namespace
        self._described: set[ProcessId] = set()
        # Those of the file before: their ends are told as well.
        self._before: set[ProcessId] = set()
        self._held: dict[int, list[tuple[Hold, Described]]] = {}
        self._held_count = 0
        self._written = Counter[ProcessId]()
        self._local: dict[int, Local] = {}
        self._counts = Counter(flows=0, ends=0, unknown_process=0, overflow=0, unwritten=0)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._open([Start(time.time_ns())])
        except OSError as problem:
            raise Unavailable(
                f"{path}: {problem.strerror}", "name another file with --history"
            ) from None

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()

    def networks(
        self, home: Iterable[Network], others: Mapping[int, Iterable[Network]], now: int
    ) -> None:
        """What networks are its own for each network namespace from `now` on, ns since the epoch.
        Loopback is each namespace's own, so that of others does not count."""
        told = {HOME: [str(network) for network in home]}
        for namespace, networks in others.items():
            told[namespace] = [str(network) for network in networks if not network.is_loopback]
        known = {namespace: local.networks for namespace, local in self._local.items()}
        changed = [
            Local(now, told.get(namespace, []), namespace)
            for namespace in {**known, **told}
            if told.get(namespace, []) != known.get(namespace)
        ]
        self._local |= {local.namespace: local for local in changed}
        self._append(changed)

    def events(self, events: SensorEvents) -> None:
        """Append what processes began, hold and let go, times in ns since the epoch."""
        flow, process = events.flow, events.process
        lines: list[Line] = []
        for row in flow[flow["role"] == FlowRole.CONNECTS]:
            lines += self._claim(row)
        for row in flow[flow["role"] != FlowRole.CONNECTS]:
            lines += self._end(row)
        for row in process[process["kind"] == EventKind.EXIT]:
            key = key_of(row["process"])
            if key in self._described or key in self._before:
                lines.append(Exit(int(row["time_ns"]), key))
        self._append(lines)

    def counters(self) -> dict[str, int]:
        """flows, ends: written; unknown_process: those of processes that were forgotten by then;
        overflow: ends left out because too many are held, or one process writes too many;
        unwritten: lines that found no room on the disk."""
        return {f"history.{name}": n for name, n in self._counts.items()}

    def _claim(self, row: np.void) -> list[Line]:
        key, port = key_of(row["process"]), int(row["source_port"])
        lines: list[Line] = []
        if key not in self._described:
            described = self._describe(key)
            if described is None:
                return []
            lines += self._news(described)
        source = Endpoint(row["source"].tobytes(), port)
        destination = Endpoint(row["destination"].tobytes(), int(row["destination_port"]))
        name = community_id(source, destination, int(row["protocol"]))
        self._counts["flows"] += 1
        is_older = bool(row["flags"] & FLAG_OLDER)
        return [*lines, Claim(int(row["time_ns"]), key, name, port, is_older)]

    def _end(self, row: np.void) -> list[Line]:
        role, now, socket = int(row["role"]), int(row["time_ns"]), int(row["socket"])
        if role == FlowRole.ENDS:
            return self._let_go(socket, now)
        key, protocol, port = key_of(row["process"]), int(row["protocol"]), int(row["source_port"])
        if port == 0:
            return []
        anywhere = row["flags"] & FLAG_ANY_ADDRESS
        address = "" if anywhere else address_text(row["source"].tobytes())
        described = self._describe(key)
        if described is None:
            return []
        is_older, namespace = bool(row["flags"] & FLAG_OLDER), int(row["net_namespace"])
        where = HOME if namespace == self._namespace else namespace
        hold = Hold(now, key, role, protocol, address, port, is_older, where, socket)
        if not (self._may_write(key) if role == FlowRole.WRITES else self._keep(hold, described)):
            self._counts["overflow"] += 1
            return []
        self._counts["ends"] += 1
        return [*self._news(described), hold]

    def _may_write(self, key: ProcessId) -> bool:
        self._written[key] += 1
        return self._written[key] <= _MOST_WRITTEN

    def _keep(self, hold: Hold, described: Described) -> bool:
        """Note that the end is held from now on; whether there is room for it."""
        if self._held_count >= MOST_HELD:
            return False
        self._held.setdefault(hold.socket, []).append((hold, described))
        self._held_count += 1
        return True

    def _let_go(self, socket: int, now: int) -> list[Line]:
        """What ends with a socket, whoever had it."""
        ended = [hold for hold, _ in self._held.pop(socket, ())]
        self._held_count -= len(ended)
        return [msgspec.structs.replace(one, time=now, role=FlowRole.ENDS) for one in ended]

    def _describe(self, key: ProcessId) -> Described | None:
        known = self._known(key)
        if known is None:
            self._counts["unknown_process"] += 1
            return None
        return Described(key, process_fields(*known))

    def _news(self, described: Described) -> list[Line]:
        """The line about a process, if this file has none yet."""
        if described.key in self._described:
            return []
        self._described.add(described.key)
        return [described]

    def _append(self, lines: Sequence[Line]) -> None:
        if not lines:
            return
        try:
            if self._file.closed:
                self._file = self._open()
            Lines(self._file).append(_written(lines))
        except OSError as problem:
            self._failed(problem, len(lines))
            return
        if self._file.tell() >= self._largest:
            self._file.close()
            try:
                self._path.replace(older(self._path))
                self._file = self._open()
            except OSError as problem:
                self._failed(problem, 0)

    def _failed(self, problem: OSError, lost: int) -> None:
        """A full disk: alerts go on without the history."""
        self._counts["unwritten"] += lost
        # Nobody can rely on what was not written.
        self._before, self._described = self._described, set()
        if not self._is_told:
            self._is_told = True
            self._tell(f"{self._path}: {problem.strerror}; the history lacks what finds no room")

    def _open(self, first: Iterable[Line] = ()) -> BinaryIO:
        """The file, with `first` and all that is held."""
        self._before, self._described = self._described, set()
        self._written.clear()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        opened = os.fdopen(os.open(self._path, flags, MODE), "ab", buffering=0)
        if os.fstat(opened.fileno()).st_mode & 0o777 != MODE:
            os.fchmod(opened.fileno(), MODE)
        self._local = {where: local for where, local in self._local.items() if local.networks}
        lines: list[Line] = [*first, *self._local.values()]
        for holds in self._held.values():
            for hold, described in holds:
                lines += [*self._news(described), hold]
        try:
            Lines(opened).append(_written(lines))
        except OSError:
            opened.close()
            raise
        return opened


def _written(lines: Iterable[Line]) -> bytes:
    return b"".join(
        # What a process is called may be no text.
        encode(msgspec.to_builtins(line))
        if isinstance(line, Described)
        else msgspec.json.encode(line) + b"\n"
        for line in lines
    )
