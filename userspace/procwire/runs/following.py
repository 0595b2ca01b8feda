"""Lines of a file that another program appends to, and may rename, shorten or replace meanwhile.

What has no line end yet is kept until it has one. After a renaming the old file is read to its end
before the new one is begun.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20
LONGEST_LINE = 16 << 20
"""What grows longer without a line end is handed out as it is."""


class Following:
    """The lines of the file at `path`, which need not exist yet. rotations: how often another file
    was found there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self.rotations = 0

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> list[bytes]:
        """The lines that are new, each with its end; empty if there are none now. Raises OSError
        where the file may not be read."""
        if self._file is None and not self._open():
            return []
        lines = self._block()
        if not lines and self._replaced():
            # What its writer appended between our last look and the renaming.
            lines = self._block()
            if not lines:
                lines = [self._rest] if self._rest else []
                self._rest = b""
                self.close()
                self.rotations += 1
        return lines

    def rest(self) -> bytes:
        """What has been read and has no line end yet."""
        return self._rest

    def _open(self) -> bool:
        try:
            self._file = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return False
        return True

    def _block(self) -> list[bytes]:
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            # Shortened in place, as copying log rotation does.
            self._file.seek(0)
            self._rest = b""
            self.rotations += 1
        data = self._rest + self._file.read(BLOCK)
        whole, end, self._rest = data.rpartition(b"\n")
        if len(self._rest) > LONGEST_LINE:
            self._rest, whole, end = b"", data, b""
        return (whole + end).splitlines(keepends=True)

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        held = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino)
