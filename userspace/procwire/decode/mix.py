"""A 64-bit mixing function for kernels: the finalizer of splitmix64 (Steele, Lea and Flood 2014).

kernel/window.h mixes with the same constants, so user space and the kernel estimate alike.
"""

from __future__ import annotations

import numpy as np

from procwire.compiled.jit import fused

# 2^64 divided by the golden ratio: keeps a zero input from mixing to zero.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


@fused
def mix64(value: np.uint64) -> np.uint64:
    """A bijection of uint64 in which every input bit flips every output bit half of the time."""
    value ^= value >> _SHIFTS[0]
    value *= _FIRST_FACTOR
    value ^= value >> _SHIFTS[1]
    value *= _SECOND_FACTOR
    return value ^ (value >> _SHIFTS[2])


@fused
def mix_address(high: np.uint64, low: np.uint64) -> np.uint64:
    """Hash of one 16-byte address given as big-endian halves."""
    return mix64(mix64(high + GOLDEN) ^ low)
