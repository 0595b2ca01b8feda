"""Memory for tables that stay mostly empty.

NumPy asks for huge pages for every large array. In a table whose slots are found by hash nearly
each new one would then cost the zeroing of 2 MB, and soon all of the table is resident.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def sparse_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros like numpy.zeros, of which only the small pages that are touched become resident."""
    kind = np.dtype(dtype)
    memory = mmap.mmap(-1, math.prod(shape) * kind.itemsize)
    # EINVAL: a kernel built without transparent huge pages.
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, kind).reshape(shape)
