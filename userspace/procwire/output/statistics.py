"""The statistics that a run wrote last, found in its results from their end on.

`watch` writes them every minute and when it ends, so whoever reads its results knows what it has
counted without asking the running process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from procwire.errors import UsageError

_BLOCK = 1 << 16
_MARK = b'"event_type":"stats"'
# A record has some hundred counters; a line beyond is none of ours.
_LONGEST = 1 << 20


class _Metadata(msgspec.Struct):
    flowints: dict[str, int]


class _Record(msgspec.Struct):
    timestamp: str
    metadata: _Metadata


@dataclass(frozen=True)
class Statistics:
    """time: as the record has it; counters: by name."""

    time: str
    counters: dict[str, int]


def last_statistics(path: Path) -> Statistics:
    """The last statistics of procwire in a file of EVE JSON lines.

    Raises UsageError for a file that cannot be read or has none. A line that is still being written
    is passed over.
    """
    try:
        for line in _backwards(path):
            if _MARK in line:
                try:
                    record = msgspec.json.decode(line, type=_Record)
                except (ValueError, RecursionError):
                    continue
                return Statistics(record.timestamp, record.metadata.flowints)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name the results of a run") from None
    raise UsageError(
        f"{path}: no statistics of procwire; name the EVE JSON results of watch or read"
    )


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file, the last one first; of one that is too long, nothing."""
    with path.open("rb") as file:
        place = file.seek(0, os.SEEK_END)
        rest = b""
        while place > 0:
            step = min(_BLOCK, place)
            place -= step
            file.seek(place)
            first, *lines = (file.read(step) + rest).split(b"\n")
            yield from reversed(lines)
            rest = first if len(first) <= _LONGEST else b""
        yield rest
