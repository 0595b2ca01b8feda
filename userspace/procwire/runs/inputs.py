"""What a path holds, by its content: captures, other tools' records, or a zip archive of both."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from procwire.capture.open import is_capture
from procwire.capture.source import STANDARD_INPUT, ZIP, Source, open_source, stream_source
from procwire.errors import InputDamaged
from procwire.output.amount import amount
from procwire.telemetry.formats import LOOKED_AT, Format, recognise

_MAGIC_SIZE = 4
# Of others zipfile unpacks at once all that it has read, and 800 bytes may become 400 MB.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EXPECTED = (
    "expected a capture (pcap, pcapng) or records of Sysmon, Windows' Security log, auditd, laurel,"
    " Zeek's conn.log or Suricata's EVE"
)


class Input(NamedTuple):
    """One recording. format: of its records, None for a capture."""

    source: Source
    format: Format | None

    @property
    def unit(self) -> str:
        """What it consists of."""
        return "packets" if self.format is None else "records"


class Inputs:
    """Iterates over the recordings of a path. skipped: members of an archive that are none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped = 0

    def __iter__(self) -> Iterator[Input]:
        """Raises UsageError where the path cannot be opened, InputDamaged where it holds nothing
        that is known, Unavailable where a package is missing."""
        source = open_source(self._path)
        head = source.data[:_MAGIC_SIZE].tobytes()
        if head == ZIP:
            yield from self._members()
            return
        found = _recognised(source)
        # An empty file is no capture, which its reader says.
        if found is None and head:
            raise source.damaged(0, f"found {head.hex(' ')}, {_EXPECTED}")
        yield found or Input(source, None)

    def _members(self) -> Iterator[Input]:
        name, known = str(self._path), 0
        if self._path == STANDARD_INPUT:
            raise InputDamaged(
                name, 0, "found a zip archive, which has to be a file to be unpacked"
            )
        try:
            with zipfile.ZipFile(self._path) as archive:
                for member in archive.infolist():
                    if member.is_dir():
                        continue
                    if member.compress_type not in _METHODS:
                        packed = (
                            f"packed by method {member.compress_type}, expected deflate; unpack it"
                            " and read its files, or pack it anew"
                        )
                        raise NotImplementedError(f"{member.filename} is {packed}")
                    with archive.open(member) as stream:
                        found = _recognised(_member(f"{name}/{member.filename}", stream))
                        if found is None:
                            self.skipped += 1
                            continue
                        known += 1
                        yield found
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as problem:
            raise InputDamaged(name, 0, f"the archive cannot be unpacked ({problem})") from problem
        if not known:
            files = amount(self.skipped, "files")
            raise InputDamaged(name, 0, f"found an archive of {files}, {_EXPECTED}")


def _member(name: str, stream: IO[bytes]) -> Source:
    return stream_source(name, cast(io.BufferedIOBase, stream))


def _recognised(source: Source) -> Input | None:
    if is_capture(source.data[:_MAGIC_SIZE].tobytes()):
        return Input(source, None)
    # What comes by and by may begin with half a line.
    while source.data.size < LOOKED_AT and source.advance():
        pass
    found = recognise(source)
    return None if found is None else Input(source, found)
