"""Executables that are held open: which file each is, and where it begins to run."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

_FLAGS = re.compile(r"^flags:\s*(\d+)$", re.MULTILINE)
_MAGIC = b"\x7fELF"
_CLASS, _ORDER = 4, 5
_LOADED = 1
# ELF-64 and ELF-32 (System V ABI): entry, table of segments, size and number of its rows; of a
# segment its type, offset, address and size in the file.
_HEADERS = {2: ("24xQQ14xHH", "I4xQQ8xQ"), 1: ("24xII10xHH", "III4xI")}


def held_executables() -> Iterator[Path]:
    """The files that this process holds with O_PATH, as paths that lead to those very files."""
    for entry in Path("/proc/self/fdinfo").iterdir():
        try:
            flags = _FLAGS.search(entry.read_text())
        except OSError:
            continue
        held = Path("/proc/self/fd", entry.name)
        if flags and int(flags[1], 8) & os.O_PATH and held.is_file():
            yield held


def entry_offset(executable: Path) -> int | None:
    """Where in the file its first instruction is; None for what is no ELF executable."""
    with executable.open("rb") as file:
        start = file.read(64)
        if len(start) < 64 or not start.startswith(_MAGIC) or start[_CLASS] not in _HEADERS:
            return None
        order = "<" if start[_ORDER] == 1 else ">"
        header, segment = (order + layout for layout in _HEADERS[start[_CLASS]])
        entry, table, size, count = struct.unpack_from(header, start)
        end = os.fstat(file.fileno()).st_size
        if size < struct.calcsize(segment) or table > end:
            return None
        file.seek(table)
        rows = file.read(size * count)
    for at in range(0, len(rows) - struct.calcsize(segment) + 1, size):
        kind, offset, address, length = struct.unpack_from(segment, rows, at)
        if kind == _LOADED and address <= entry < address + length:
            begin = int(entry - address + offset)
            return begin if begin < end else None
    return None
