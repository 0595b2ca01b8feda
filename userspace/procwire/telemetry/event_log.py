"""Windows event logs (EVTX), parsed by the package evtx (Rust).

A log that is cut short or damaged is read as far as its chunks are intact.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from typing import IO

from procwire.capture.source import Source
from procwire.errors import InputDamaged, Unavailable
from procwire.telemetry.event import Event
from procwire.telemetry.faults import Faults
from procwire.telemetry.windows import interpret
from procwire.telemetry.windows_json import structured

MAGIC = b"ElfFile\0"
_IN_MEMORY = 64 << 20
# [MS-EVEN6] does not tell; Metz, Windows XML Event Log (EVTX) format, sections 2 and 3.
_HEADER, _CHUNK, _CHUNK_COUNT_AT = 4096, 65536, 42
_MOST_CHUNKS = 65535


def read_event_log(source: Source, faults: Faults) -> Iterator[Event]:
    """Events of an EVTX file. Raises Unavailable without the package evtx or room to unpack the
    log, InputDamaged where its header is none or more follows than a log may have."""
    try:
        evtx = importlib.import_module("evtx")
    except ImportError as error:
        remedy = "install it: pip install evtx"
        raise Unavailable("the package evtx, which reads Windows event logs", remedy) from error
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        size, missing = _copy(source, file)
        try:
            records = evtx.PyEvtxParser(file).records_json()
        except (RuntimeError, OSError, ValueError) as error:
            raise InputDamaged(faults.path, 0, f"no event log can be read ({error})") from error
        yield from _events(iter(records), faults)
    if missing:
        raise InputDamaged(faults.path, size, f"the log ends, expected {missing} more bytes")


def _events(records: Iterator[dict[str, str]], faults: Faults) -> Iterator[Event]:
    place = 0
    while True:
        place += 1
        try:
            record = next(records)
            entry = structured(record["data"])
            event = entry and interpret(entry)
        except StopIteration:
            return
        except (RuntimeError, OSError, ValueError, RecursionError) as problem:
            faults.add(f"record {place}", str(problem))
            continue
        if event is not None:
            yield event


def _copy(source: Source, file: IO[bytes]) -> tuple[int, int]:
    """The size of the log and how many bytes of it are missing. The parser goes back and forth,
    which what is unpacked or piped in cannot, and skips a chunk that is not whole in silence."""
    size, most = 0, _HEADER + _CHUNK * _MOST_CHUNKS
    while True:
        size += len(source.data) - source.at
        if size > most:
            raise InputDamaged(source.path, most, "the log goes on, expected its end")
        try:
            file.write(source.data[source.at :].tobytes())
        except OSError as error:
            remedy = "free space, or name another folder: TMPDIR=FOLDER"
            raise Unavailable(f"{tempfile.gettempdir()}: {error.strerror}", remedy) from error
        source.at = len(source.data)
        if not source.advance():
            break
    file.seek(_CHUNK_COUNT_AT)
    chunks = int.from_bytes(file.read(2), "little")
    whole = _HEADER + _CHUNK * max(chunks, -(-(size - _HEADER) // _CHUNK))
    file.seek(size)
    file.write(bytes(-(size - _HEADER) % _CHUNK))
    file.seek(0)
    return size, whole - size
