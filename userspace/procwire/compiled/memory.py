"""Memory of which the kernel zeroes no more than has to be.

NumPy asks for huge pages for every large array. In a table whose slots are found by hash nearly
each new one would then cost the zeroing of 2 MB, and soon all of the table is resident. And memory
that is freed and asked for again comes back zeroed, which costs more than reading packets into it.
Code and constants that have done their work are given back, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_HUGE_PAGE = 2 << 20
# malloc.h, mallopt(3). A block that is larger is a mapping of its own, as glibc has it at first.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BLOCK = 128 << 10


def sparse_zeros(shape: tuple[int, ...], dtype: DTypeLike, dense: int = 0) -> NDArray[Any]:
    """Zeros like numpy.zeros, of which only the small pages that are touched become resident.
    dense: of so many bytes in front huge ones do, as they are taken in their order."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    memory = _memory(size, mmap.MADV_NOHUGEPAGE)
    if dense:
        _advise(memory, mmap.MADV_HUGEPAGE, dense)
    return np.frombuffer(memory, kind).reshape(shape)


def _memory(size: int, pages: int) -> mmap.mmap:
    """Zeros. pages: MADV_HUGEPAGE or MADV_NOHUGEPAGE."""
    # What is shared instead has no huge pages, and a page for whatever is only looked at.
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    _advise(memory, pages, size)
    return memory


def _advise(memory: mmap.mmap, pages: int, size: int) -> None:
    # EINVAL: a kernel built without transparent huge pages.
    with contextlib.suppress(OSError):
        memory.madvise(pages, 0, size)


def touch(*arrays: NDArray[Any]) -> None:
    """Make the memory of arrays resident, whatever is in them: who looks into a large table that
    is new waits a millisecond for each huge page, and so do the first packets."""
    for array in arrays:
        pages = array.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE]
        pages |= 0


def keep_little() -> None:
    """From now on glibc gives back what is freed. It would keep as much as the largest block that
    ever was, since it takes for usual what has happened once; tables that grow leave ten megabytes
    of holes. Blocks that come and go cost more for it."""
    _set_malloc(_M_TRIM_THRESHOLD, _LARGE_BLOCK)
    _set_malloc(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def share_heap() -> None:
    """Have all threads that begin from now on take their memory from one heap. glibc gives each its
    own, and what others have freed it does not use."""
    _set_malloc(_M_ARENA_MAX, 1)


def _set_malloc(setting: int, value: int) -> None:
    # Another C library has no such settings.
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(setting, value)


def give_back_files(library: str = "") -> None:
    """Let go of the pages of all shared libraries whose file's name begins so that are as the file
    has them: code and constants. Whoever needs one again has it read again from the file."""
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    place, is_wanted = "", False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if not first.endswith(":"):
            place = first
            access, *_, name = rest.split(maxsplit=4)
            # Code that was made at run time is in no file.
            is_file = name.startswith("/") and Path(name).name.startswith(library)
            is_wanted = is_file and access in ("r--p", "r-xp")
        # What relocation wrote before it was made read-only is in no file either.
        elif is_wanted and first == "Anonymous:" and rest.split() == ["0", "kB"]:
            start, end = (int(bound, 16) for bound in place.split("-"))
            # Advice that is refused costs memory.
            madvise(start, end - start, mmap.MADV_DONTNEED)


class Reused:
    """Hands out arrays of bytes. Memory that no array shows any more is handed out again."""

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """uint8 (size,), size at least 1, with whatever was in it before."""
        memory = next((one for one in self._free if len(one) >= size), None)
        if memory is None:
            # All of it is used, and a look into a huge page finds it soonest.
            memory = _memory(-(-size // _HUGE_PAGE) * _HUGE_PAGE, mmap.MADV_HUGEPAGE)
        else:
            self._free.remove(memory)
        whole = np.frombuffer(memory, np.uint8)
        # Slices keep the array that they were cut from alive.
        weakref.finalize(whole, self._free.append, memory).atexit = False
        return whole[:size]
