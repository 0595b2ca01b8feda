"""Reads unsigned integers of either byte order out of bytes. No bounds checks: callers have made
sure that the bytes are there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused


@fused
def u8(data: NDArray[np.uint8], at: int) -> int:
    """The byte at index `at`, as a signed 64-bit integer in kernels."""
    return int(np.int64(data[at]))


@fused
def u16(data: NDArray[np.uint8], at: int, big: bool) -> int:
    """Two bytes at index `at`; big: most significant byte first."""
    if big:
        return u8(data, at) << 8 | u8(data, at + 1)
    return u8(data, at + 1) << 8 | u8(data, at)


@fused
def u32(data: NDArray[np.uint8], at: int, big: bool) -> int:
    """Four bytes at index `at`; big: most significant byte first."""
    if big:
        return u16(data, at, True) << 16 | u16(data, at + 2, True)
    return u16(data, at + 2, False) << 16 | u16(data, at, False)
