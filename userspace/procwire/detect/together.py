"""Tables of which what belongs to one row lies together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from procwire.prefetch import CACHE_LINE


def rows_together(
    count: int, **columns: tuple[tuple[int, ...], DTypeLike]
) -> dict[str, NDArray[Any]]:
    """Several tables of zeros, (count, *shape) by (shape, dtype), of which what belongs to one row
    lies together: whoever looks at it all waits for one page, not for many. Rows that are taken in
    their order fill NumPy's huge pages, of which the kernel zeroes one for 1,500 small rows."""
    kinds = {name: np.dtype((dtype, shape)) for name, (shape, dtype) in columns.items()}
    ends = np.cumsum([-(-kind.itemsize // 8) * 8 for kind in kinds.values()])
    size = -(-int(ends[-1]) // CACHE_LINE) * CACHE_LINE
    memory = np.zeros((count, size), np.uint8)
    starts = np.concatenate(([0], ends[:-1])).tolist()
    return {
        name: np.ndarray((count, *shape), dtype, memory, start, (size, *_steps(shape, dtype)))
        for (name, (shape, dtype)), start in zip(columns.items(), starts, strict=True)
    }


def _steps(shape: tuple[int, ...], dtype: DTypeLike) -> tuple[int, ...]:
    """Strides of an array without gaps."""
    steps = np.cumprod([np.dtype(dtype).itemsize, *reversed(shape)])
    return tuple(reversed(steps.tolist()[:-1]))
