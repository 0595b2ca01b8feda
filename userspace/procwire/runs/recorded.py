"""Reads what recording.py wrote. A record may have been cut short, or damaged since: each frame is
checked before it is handed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire.errors import InputDamaged, UsageError
from procwire.event import (
    ABI_VERSION,
    PROCESS_EVENT,
    PROCESS_HEADER,
    Subject,
    cut_process_event,
)
from procwire.owners.translations import TRANSLATION
from procwire.record import Attempt
from procwire.runs.recording import (
    LENGTH,
    MAGIC,
    ROWS,
    TURNS,
    Frame,
    Packets,
    Start,
    Translated,
    Turn,
)
from procwire.sensor.loader import SensorEvents
from procwire.sensor.namespaces import Network
from procwire.sensor.processes import Change
from procwire.settings import Settings

# A turn's rows come from rings of a few megabytes.
_FRAME_LIMIT = 1 << 28
# Of fan-outs.
_KNOWN_VALUES = {"attempt": Attempt, "subject": Subject}


class Recording:
    """A record in `folder`. Raises UsageError where there is none, InputDamaged where it does not
    begin as one."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TURNS
        try:
            self._stream = self._path.open("rb")
        except OSError as error:
            raise UsageError(
                f"{folder} holds no record of `watch --record` ({TURNS}: {error.strerror}); to "
                "read captures, give their files"
            ) from error
        if self._stream.read(len(MAGIC)) != MAGIC:
            raise self._damaged(0, "this does not begin as the turns of a record do")
        self._frames = self._read()
        start = next(self._frames, None)
        if not isinstance(start, Start):
            raise self._damaged(len(MAGIC), "expected how the run was started")
        if start.abi != ABI_VERSION:
            raise UsageError(
                f"{folder} has event ABI {start.abi}, this program {ABI_VERSION}: read it with the "
                "procwire that wrote it"
            )
        self.namespace, self.interfaces = start.namespace, start.interfaces
        try:
            self.settings = Settings.model_validate_json(start.settings)
        except ValueError as error:
            raise self._damaged(len(MAGIC), f"settings of another procwire: {error}") from error

    def frames(self) -> Iterator[Frame]:
        """What the run was given, in order. Raises InputDamaged where the record is damaged, after
        all before."""
        return self._frames

    def events(self, turn: Turn) -> SensorEvents:
        """The rows of a turn. Raises InputDamaged for rows that the kernel cannot have told."""
        process = self._processes(turn.process)
        rows = {name: self._rows(getattr(turn, name), dtype) for name, dtype in ROWS.items()}
        for field, known in _KNOWN_VALUES.items():
            if not np.isin(rows["fanout"][field], list(known)).all():
                raise self._damaged(self._stream.tell(), f"a fan-out has an unknown {field}")
        return SensorEvents(process=process, **rows)

    def translations(self, frame: Translated) -> NDArray[np.void]:
        """TRANSLATION (n,) of a frame."""
        return self._rows(frame.rows, TRANSLATION)

    def changes(self, turn: Turn) -> list[Change]:
        """Of the table of processes in a turn."""
        try:
            return msgspec.convert(json.loads(turn.changes), list[Change])
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            raise self._damaged(self._stream.tell(), f"processes of no record: {error}") from error

    def _processes(self, contents: list[bytes]) -> NDArray[np.void]:
        sizes = [len(content) for content in contents]
        # Each takes the room of the longest, and of what is nothing millions would fit a frame.
        for size in sizes:
            if not PROCESS_HEADER <= size <= PROCESS_EVENT.itemsize:
                raise self._damaged(self._stream.tell(), f"found a process of {size} bytes")
        rows = np.zeros(len(sizes), cut_process_event(max(sizes, default=0)))
        raw = rows.view(np.uint8).reshape(len(rows), rows.itemsize)
        for row, content in zip(raw, contents, strict=True):
            row[: len(content)] = np.frombuffer(content, np.uint8)
        return rows

    def _rows(self, content: bytes, dtype: np.dtype[Any]) -> NDArray[np.void]:
        if len(content) % dtype.itemsize:
            raise self._damaged(
                self._stream.tell(), f"found {len(content)} bytes of rows of {dtype.itemsize}"
            )
        return np.frombuffer(bytearray(content), dtype)

    def _read(self) -> Iterator[Frame]:
        decoder = msgspec.msgpack.Decoder(Frame)
        while head := self._stream.read(LENGTH.size):
            at = self._stream.tell() - len(head)
            if len(head) < LENGTH.size:
                raise self._damaged(at, "the record is cut short")
            (size,) = LENGTH.unpack(head)
            if size > _FRAME_LIMIT:
                raise self._damaged(
                    at, f"found a frame of {size} bytes, expected <= {_FRAME_LIMIT}"
                )
            content = self._stream.read(size)
            if len(content) < size:
                raise self._damaged(at, "the record is cut short")
            try:
                frame = decoder.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise self._damaged(at, f"this is no frame of a record: {error}") from error
            if isinstance(frame, Packets) and not 0 <= frame.interface < len(self.interfaces):
                raise self._damaged(at, f"there is no interface {frame.interface}")
            yield frame
        self._stream.close()

    def _damaged(self, at: int, problem: str) -> InputDamaged:
        return InputDamaged(str(self._path), at, problem)


def networks_of(texts: Iterable[str]) -> list[Network]:
    """Networks of a frame, as addresses are compared with them. What is none is left out."""
    networks = []
    for text in texts:
        with suppress(ValueError):
            networks.append(ip_network(text, strict=False))
    return networks
