"""Where results go: a file, a pipe or a terminal that takes lines whole or not at all."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import BinaryIO

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a write for which there is no room: on the disk, in what is the user's of
it, or in what a file may hold (ulimit -f)."""


class Lines:
    """Appends whole lines to an open stream. Nothing is held back, so that what reads along is up
    to date, and what did not fit is not tried again behind the caller's back."""

    def __init__(self, stream: BinaryIO) -> None:
        stream.flush()
        self._descriptor = stream.fileno()

    def append(self, lines: bytes) -> None:
        """Write all of `lines`. Raises OSError where that fails; of a file that has no room for all
        of them, what was begun is cut off again."""
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[self._write(rest) :]
        except OSError:
            self._cut_off(len(lines) - len(rest))
            raise

    def _write(self, rest: memoryview) -> int:
        try:
            return os.write(self._descriptor, rest)
        except BlockingIOError:
            # Whoever shares a pipe may have made it one that does not wait.
            select.select((), (self._descriptor,), ())
            return 0

    def _cut_off(self, begun: int) -> None:
        facts = os.fstat(self._descriptor)
        if begun and stat.S_ISREG(facts.st_mode):
            os.ftruncate(self._descriptor, facts.st_size - begun)
            os.lseek(self._descriptor, facts.st_size - begun, os.SEEK_SET)
