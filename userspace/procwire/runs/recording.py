"""What `watch --record` writes, and recorded.py reads: a folder of packets and of everything else
that a run was given, turn by turn.

Strategy: the run itself depends on nothing but what it is given, so a replay that is given the same
in the same order tells the same alerts. Packets lie in a pcapng file per interface, for any tool to
read; `turns` holds, as framed MessagePack, the kernel's rows, what /proc said of processes, and how
many packets came when.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire.errors import UsageError
from procwire.event import (
    ABI_VERSION,
    CONNECTION_EVENT,
    FANOUT_EVENT,
    FLOW_EVENT,
    PROCESS_HEADER,
    SOCKET_EVENT,
)
from procwire.sensor.loader import SensorEvents
from procwire.sensor.namespaces import Network
from procwire.sensor.processes import Change
from procwire.settings import Settings

if TYPE_CHECKING:
    from procwire.capture.batch import PacketBatch
    from procwire.capture.live import LiveCapture

TURNS = "turns"
MAGIC = b"procwire record 1\n"
FOLDER_MODE, FILE_MODE = 0o700, 0o600
LENGTH = struct.Struct("<I")
ROWS = {
    "socket": SOCKET_EVENT,
    "connection": CONNECTION_EVENT,
    "fanout": FANOUT_EVENT,
    "flow": FLOW_EVENT,
}
"""Rows of a turn that are as long as their type says, by the turn's field."""

# As of network namespaces, and as in events.
Inode = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class Start(msgspec.Struct, tag=True):
    """The first frame. interfaces: in the order of their numbers; settings: as JSON."""

    abi: int
    namespace: Inode
    interfaces: list[str]
    settings: str


class Turn(msgspec.Struct, tag=True):
    """What the kernel told, up to `now`, ns since the epoch, and how far the clock was set before
    it did, ns. changes: of the table of processes, as JSON, because names of files need not be
    UTF-8; process: a row each, cut behind its arguments; the others: rows as bytes."""

    now: int
    changes: bytes
    process: list[bytes]
    socket: bytes
    connection: bytes
    fanout: bytes
    flow: bytes
    set_by: int = 0


class Networks(msgspec.Struct, tag=True):
    """The host's own networks from now on. elsewhere: in other network namespaces, by inode
    number."""

    local: list[str]
    elsewhere: dict[Inode, list[str]] = {}


class Packets(msgspec.Struct, tag=True):
    """The next `count` packets of an interface's file."""

    interface: int
    count: int


class Translated(msgspec.Struct, tag=True):
    """Flows that are translated from now on. rows: TRANSLATION as bytes."""

    rows: bytes


Frame = Start | Turn | Networks | Packets | Translated


class Recorder:
    """Writes a record into `folder`, which must not hold anything. It is the owner's alone.

    A disk that is full ends the record, never the run: `stopped` says why, empty while it goes on,
    and `tell` is called with one line. Raises UsageError where the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        namespace: int,
        captures: Sequence[LiveCapture],
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.stopped = ""
        self._folder, self._tell = folder, tell
        self.size = 0
        self._idle: tuple[int, ...] = ()
        self._cleanup = ExitStack()
        try:
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            if any(folder.iterdir()):
                raise UsageError(f"{folder} is not empty: give a folder of its own to the record")
            self._turns = self._open(folder / TURNS)
            interfaces = [capture.interface for capture in captures]
            start = Start(ABI_VERSION, namespace, interfaces, settings.model_dump_json())
            self._turns.write(MAGIC + _framed(start))
            self._packets, files = [], []
            if captures:
                # Compiled code, which a run without packets does without.
                from procwire.capture.writer import CaptureWriter

                files = [self._open(packets_file(folder, n)) for n in range(len(captures))]
                self._packets = [
                    CaptureWriter(file, one.interface, one.link)
                    for file, one in zip(files, captures, strict=True)
                ]
            # Whatever fits, the record has a beginning; a disk that is full already is told now.
            for file in (self._turns, *files):
                file.flush()
        except OSError as error:
            with suppress(OSError):
                self._cleanup.close()
            raise UsageError(f"cannot record into {folder}: {error.strerror}") from error

    def close(self) -> None:
        """The end of the run."""
        self._catch_up()
        try:
            self._cleanup.close()
        except OSError as error:
            self._stop(error)

    def events(
        self,
        events: SensorEvents,
        changes: list[Change],
        now: int,
        told: bool,
        set_by: int = 0,
    ) -> None:
        """What the kernel told, and what became of the table of processes with it. told: whether
        it raised alerts; set_by: as of Joined.events()."""
        if not told and not changes and not set_by and not any(len(rows) for rows in events):
            # Of turns in which nothing happens two are enough, as they only move the clock: the
            # latest, and the last where the clock was set back meanwhile.
            self._idle = max((*self._idle[:1], now)), now
            return
        self._catch_up()
        rows = {name: getattr(events, name).tobytes() for name in ROWS}
        ends = (PROCESS_HEADER + events.process["argv_size"]).tolist()
        process = [row.tobytes()[:end] for row, end in zip(events.process, ends, strict=True)]
        noted = json.dumps(changes, default=asdict).encode()
        self._write(Turn(now=now, changes=noted, process=process, set_by=set_by, **rows))

    def networks(
        self, local: Sequence[Network], elsewhere: Mapping[int, Sequence[Network]] | None = None
    ) -> None:
        """The host's own networks, as Joined.networks() is given them."""
        others = {number: _texts(one) for number, one in (elsewhere or {}).items()}
        self._write(Networks(_texts(local), others))

    def translations(self, rows: NDArray[np.void]) -> None:
        """Flows that are translated: TRANSLATION (n,)."""
        if len(rows):
            self._write(Translated(rows.tobytes()))

    def packets(self, interface: int, batch: PacketBatch) -> None:
        """The packets of an interface, by its number."""
        if self.stopped:
            return
        try:
            self.size += self._packets[interface].write(batch)
        except OSError as error:
            self._stop(error)
        self._write(Packets(interface, len(batch.time)))

    def counters(self) -> dict[str, int]:
        """bytes written; stopped: 1 where the record ends before the run."""
        return {"record.bytes": self.size, "record.stopped": int(bool(self.stopped))}

    def _catch_up(self) -> None:
        empty = dict.fromkeys(ROWS, b"")
        for now in dict.fromkeys(self._idle):
            self._write(Turn(now=now, changes=b"[]", process=[], set_by=0, **empty))
        self._idle = ()

    def _open(self, path: Path) -> BinaryIO:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        return self._cleanup.enter_context(os.fdopen(descriptor, "wb"))

    def _write(self, frame: Frame) -> None:
        if self.stopped:
            return
        try:
            self.size += self._turns.write(_framed(frame))
        except OSError as error:
            self._stop(error)

    def _stop(self, error: OSError) -> None:
        if not self.stopped:
            self.stopped = str(error.strerror)
            self._tell(f"{self._folder}: {self.stopped}; the record ends, the watch goes on")


def packets_file(folder: Path, interface: int) -> Path:
    """Where the packets of an interface lie, by its number."""
    return folder / f"packets-{interface}.pcapng"


def _framed(frame: Frame) -> bytes:
    content = msgspec.msgpack.encode(frame)
    return LENGTH.pack(len(content)) + content


def _texts(networks: Iterable[Network]) -> list[str]:
    return [str(network) for network in networks]
