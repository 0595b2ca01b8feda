"""Tables of which what belongs to one row lies together, and begins where a line of the cache does:
whoever looks at it waits for one page and few lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from procwire.compiled.prefetch import CACHE_LINE

Field = tuple[str, DTypeLike] | tuple[str, DTypeLike, tuple[int, ...]]


def whole_lines(fields: Sequence[Field]) -> np.dtype[np.void]:
    """A row of `fields`, as numpy.dtype takes them, each aligned, which ends where a line does."""
    rest = -np.dtype(list(fields), align=True).itemsize % CACHE_LINE
    return np.dtype([*fields, ("rest", np.uint8, (rest,))] if rest else list(fields), align=True)


def zeros_in_lines(count: int, row: np.dtype[np.void]) -> NDArray[np.void]:
    """Rows (count,) of zeros that begin with a line. Rows that are taken in their order fill
    NumPy's huge pages, of which the kernel zeroes one for 1,500 small rows."""
    memory = np.zeros(count * row.itemsize + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + count * row.itemsize].view(row)
