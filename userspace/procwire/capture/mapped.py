"""Windows of a file that show it as it lies in memory, without a copy.

To copy a capture out of the page cache costs more than to decode it. But a file that is cut short
while it is mapped ends whoever reads on, and what is changed is something else at the second look.
A lease (fcntl(2)) rules out both: whoever opens the file for writing waits until no window shows
it, some hundredths of a second. The kernel takes it from a reader who does not go on for as long as
fs.lease-break-time says, 45 s.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
import weakref
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

# asm-generic/mman-common.h, since Linux 5.14. Unlike MAP_POPULATE it says what cannot be read.
_MADV_POPULATE_READ = 22
# What tells of a writer is ignored unless somebody asks for it: who holds the lease looks himself.
_TOLD_BY = signal.SIGURG


class Mapped:
    """A file that is open for reading. It stays open while a window shows it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._shown, self._begun, self._ends, self._leased = 0, False, False, False

    def window(self, at: int, size: int) -> NDArray[np.uint8] | None:
        """uint8: `size` bytes from offset `at` on, or as many as there are. None from then on where
        the file cannot be leased or shown, or somebody waits to write: it has to be read."""
        if not self._begun:
            self._begun, self._leased = True, _lease(self._file)
            self._ends = not self._leased
            # What is on disk only is read ahead then, in pieces twice as large.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        elif not self._ends:
            self._ends = fcntl.fcntl(self._file, fcntl.F_GETLEASE) != fcntl.F_RDLCK
        shown = None if self._ends else self._map(at, size)
        if shown is None:
            self._ends = True
            self._give_back()
        return shown

    def _map(self, at: int, size: int) -> NDArray[np.uint8] | None:
        before = at % mmap.PAGESIZE
        count = before + min(size, os.fstat(self._file.fileno()).st_size - at)
        if count <= before:
            return None
        try:
            memory = mmap.mmap(self._file.fileno(), count, prot=mmap.PROT_READ, offset=at - before)
            # What is on disk only is then read into pages of 2 MB, which are mapped at once, where
            # the kernel and the file system know such.
            with contextlib.suppress(OSError):
                memory.madvise(mmap.MADV_HUGEPAGE)
            memory.madvise(_MADV_POPULATE_READ)
        except (OSError, ValueError):
            return None
        self._shown += 1
        weakref.finalize(memory, self._dropped).atexit = False
        return np.frombuffer(memory, np.uint8)[before:]

    def _dropped(self) -> None:
        self._shown -= 1
        self._give_back()

    def _give_back(self) -> None:
        if self._leased and self._ends and not self._shown:
            self._leased = False
            # The kernel may have taken it.
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._file, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _lease(file: BinaryIO) -> bool:
    """Have whoever is going to write a file wait; False where that cannot be."""
    try:
        fcntl.fcntl(file, fcntl.F_SETSIG, _TOLD_BY)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        # Of another user, open for writing, or on a file system that knows no leases.
        return False
    return True
