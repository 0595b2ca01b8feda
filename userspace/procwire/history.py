"""Who held which flow: what `watch --history` writes and `enrich` asks.

JSON lines, appended: each process once per file, then its claims on flows and ports by key. When a
file is full it becomes FILE.1 and the one before that is gone, so the history is bounded, in the
file as in the memory of who reads it.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import numpy as np

from procwire.context.store import default_path
from procwire.detect.observation import Endpoint, ProcessId
from procwire.errors import Unavailable
from procwire.event import FlowRole, Origin
from procwire.flow_owners import INFERRED, KERNEL
from procwire.following import Following
from procwire.output.eve import community_id, encode, process_fields
from procwire.record import Lookup
from procwire.sensor.loader import SensorEvents
from procwire.sensor.processes import key_of

FILE_NAME = "history.jsonl"
LARGEST_FILE = 64 << 20
MODE = 0o600

# Claims of one flow or port that are remembered: who held it lately.
_DEEPEST = 64
# The clocks of the sensor and of who recorded a packet; and a packet may be read before its claim.
_EARLY_NS = 1_000_000_000
# How long after its claim a flow may begin, where its beginning is known: SYNs are sent again.
_LATE_NS = 4_000_000_000


class Claim(msgspec.Struct, array_like=True):
    """One line about a flow: process `key` began it at `time`, ns since the epoch."""

    time: int
    key: ProcessId
    community_id: str


class Described(msgspec.Struct):
    """One line about a process: what EVE records say of it."""

    key: ProcessId
    process: dict[str, Any]


class Owner(NamedTuple):
    """Whose a flow is. process: as in EVE records; attribution: kernel, or inferred where only the
    addresses fit."""

    process: dict[str, Any]
    attribution: str


def default_history() -> Path:
    """Where the history lies if nothing else is said: beside the context of the site."""
    return default_path().with_name(FILE_NAME)


def older(path: Path) -> Path:
    """Where a full history is moved to."""
    return path.with_name(f"{path.name}.1")


class HistoryWriter:
    """Appends to the history at `path`. known: asked for processes.

    Raises Unavailable where the file may not be written.
    """

    def __init__(self, path: Path, known: Lookup, largest: int = LARGEST_FILE) -> None:
        self._path, self._known, self._largest = path, known, largest
        self._described: set[ProcessId] = set()
        self._has_flows = False
        self._counts = Counter(flows=0, unknown_process=0, unwritten=0)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._open()
        except OSError as problem:
            raise Unavailable(
                f"{path}: {problem.strerror}", "name another file with --history"
            ) from None

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()

    def events(self, events: SensorEvents) -> None:
        """Append the flows that processes began, times in ns since the epoch."""
        flow, connection = events.flow, events.connection
        # A sensor that sends flow events (not bcc's) tells of each connect before its outcome.
        self._has_flows = self._has_flows or bool(len(flow))
        ported = (connection["source_port"] > 0) & (connection["destination_port"] > 0)
        told = self._has_flows & (connection["origin"] == Origin.CONNECT)
        lines = bytearray()
        for rows in (flow[flow["role"] == FlowRole.CONNECTS], connection[ported & ~told]):
            for row in rows:
                lines += self._claim(row)
        if lines:
            self._append(bytes(lines))

    def counters(self) -> dict[str, int]:
        """flows: written; unknown_process: flows of processes that were forgotten by then;
        unwritten: lines that found no room on the disk."""
        return {f"history.{name}": n for name, n in self._counts.items()}

    def _claim(self, row: np.void) -> bytes:
        key = key_of(row["process"])
        line = b""
        if key not in self._described:
            known = self._known(key)
            if known is None:
                self._counts["unknown_process"] += 1
                return b""
            line = encode({"key": list(key), "process": process_fields(*known)})
            self._described.add(key)
        source = Endpoint(row["source"].tobytes(), int(row["source_port"]))
        destination = Endpoint(row["destination"].tobytes(), int(row["destination_port"]))
        name = community_id(source, destination, int(row["protocol"]))
        self._counts["flows"] += 1
        return line + msgspec.json.encode(Claim(int(row["time_ns"]), key, name)) + b"\n"

    def _append(self, lines: bytes) -> None:
        try:
            self._file.write(lines)
            if self._file.tell() >= self._largest:
                self._file.close()
                self._path.replace(older(self._path))
                self._file = self._open()
        except OSError:
            # A full disk: alerts go on without the history.
            self._counts["unwritten"] += lines.count(b"\n")

    def _open(self) -> BinaryIO:
        self._described.clear()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        opened = os.fdopen(os.open(self._path, flags, MODE), "ab", buffering=0)
        if os.fstat(opened.fileno()).st_mode & 0o777 != MODE:
            os.fchmod(opened.fileno(), MODE)
        return opened


class History:
    """The history at `path`, read as far as it goes and, with refresh(), further.

    unread: lines that were none of a history.
    """

    def __init__(self, path: Path) -> None:
        # As in the files: what a rotation takes away is forgotten with the next one.
        self._recent = _Index()
        self._before = _Index()
        self._following = Following(path)
        self.unread = 0
        before = Following(older(path))
        while lines := before.read():
            self._enter(lines)
        before.close()
        self._before, self._recent = self._recent, _Index()
        self.refresh()

    def refresh(self) -> None:
        """Read what has been appended. Raises OSError where the file may not be read."""
        while True:
            rotations = self._following.rotations
            lines = self._following.read()
            if self._following.rotations != rotations:
                self._enter(lines)
                self._before, self._recent = self._recent, _Index()
            elif not lines:
                return
            else:
                self._enter(lines)

    def owner(self, community_id: str, time: int, began: bool) -> Owner | None:
        """Whose the flow was at `time`, ns since the epoch; None if nobody is known to have begun
        it. began: `time` is when it began, rather than any time of its."""
        for index in (self._recent, self._before):
            for claimed, key in reversed(index.claims.get(community_id, ())):
                if claimed > time + _EARLY_NS:
                    continue
                if began and time - claimed > _LATE_NS:
                    break
                return Owner(index.processes[key], KERNEL if began else INFERRED)
        return None

    def _enter(self, lines: list[bytes]) -> None:
        index = self._recent
        for line in lines:
            try:
                if line.startswith(b"["):
                    claim = _CLAIMS.decode(line)
                    if claim.key in index.processes:
                        index.claim(claim)
                else:
                    described = _PROCESSES.decode(line)
                    index.processes[described.key] = described.process
            except msgspec.MsgspecError:
                self.unread += 1


class _Index:
    """One file of the history. claims: by flow, times and keys in their order."""

    def __init__(self) -> None:
        self.processes: dict[ProcessId, dict[str, Any]] = {}
        self.claims: dict[str, deque[tuple[int, ProcessId]]] = {}

    def claim(self, claim: Claim) -> None:
        """Enter a claim."""
        held = self.claims.get(claim.community_id)
        if held is None:
            held = self.claims[claim.community_id] = deque(maxlen=_DEEPEST)
        held.append((claim.time, claim.key))


_CLAIMS = msgspec.json.Decoder(Claim)
_PROCESSES = msgspec.json.Decoder(Described)
