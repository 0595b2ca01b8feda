"""HyperLogLog for kernels (Flajolet, Fusy, Gandouet and Meunier 2007), in integers throughout.

kernel/window.h does the same arithmetic, so user space and the kernel report equal estimates. The
sum of the registers' weights and the number of empty ones are kept as registers rise: an estimate
costs one division.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from procwire.compiled.jit import fused

REGISTERS = 512
"""Of one sketch: a standard error of 1.04/sqrt(512), 4.6 %."""

RANK_BITS = 6
"""As many as a rank takes."""

SKETCH = np.dtype([("weights", "u8"), ("zeros", "i8")])
"""What is kept beside the registers: the sum of 2^(32 - min(rank, 32)) and how many are
0."""

# One element of a SKETCH array.
Record: TypeAlias = Any

_REGISTER_BITS = np.uint64(9)
_REGISTER_MASK = np.uint64(REGISTERS - 1)
_REST_BITS = 55
_ONE = np.uint64(1)
_LINEAR_COUNTING_LIMIT = np.uint64(REGISTERS * 5 // 2)
_ALPHA = Fraction(7213, 10000) / (1 + Fraction(1079, 1000) / REGISTERS)
_ALPHA_SCALED = np.uint64(int(_ALPHA * REGISTERS * REGISTERS * 2**32))
EMPTY_SUM = np.uint64(REGISTERS << 32)
# raw <= the limit, as weights that are more than this: a division takes longer than all the rest.
_LINEAR_WEIGHTS = np.uint64(int(_ALPHA_SCALED) // (int(_LINEAR_COUNTING_LIMIT) + 1))
# Estimate by the number of registers still zero; the first entry is never read.
_LINEAR_COUNTING = np.array(
    [0] + [round(REGISTERS * math.log(REGISTERS / zeros)) for zeros in range(1, REGISTERS + 1)],
    np.uint64,
)


@fused
def estimate(sketch: Record) -> int | np.int64:
    """Distinct items seen: HyperLogLog, linear counting where it is the more exact."""
    if sketch.weights > _LINEAR_WEIGHTS and sketch.zeros > 0:
        return np.int64(_LINEAR_COUNTING[sketch.zeros])
    return np.int64(_ALPHA_SCALED // sketch.weights)


@fused
def estimate_of(filled: int | np.int64) -> int | np.int64:
    """The same of so few items that all that is known is how many registers they fill."""
    return np.int64(_LINEAR_COUNTING[REGISTERS - filled])


@fused
def _weight(rank: int | np.int64) -> np.uint64:
    return np.uint64(1) << np.uint64(32 - min(rank, 32))


@fused
def code_of(item: np.uint64) -> np.int64:
    """All that a sketch knows of a hash: its register, and in the lowest RANK_BITS its rank, one
    more than the zeros before the first bit of the rest."""
    rest, bits = item >> _REGISTER_BITS, 0
    # LLVM knows this loop and counts leading zeros by one instruction.
    while rest:
        rest >>= _ONE
        bits += 1
    return np.int64(item & _REGISTER_MASK) << RANK_BITS | (_REST_BITS + 1 - bits)


@fused
def rise(sketch: Record, before: int | np.int64, rank: int | np.int64) -> None:
    """A register rises."""
    sketch.weights = sketch.weights - _weight(before) + _weight(rank)
    if before == 0:
        sketch.zeros -= 1
