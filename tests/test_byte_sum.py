"""Sums of bytes against adding one number after the other, compiled and as plain Python."""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray
from procwire.compiled.byte_sum import sum_of
from procwire.compiled.jit import kernel

DATA = np.frombuffer(Random(7).randbytes(300) + b"\xff" * 300, np.uint8)
# Every length up to three blocks, from the data's first byte on and from either side of a block.
RANGES = [(start, size) for start in (0, 1, 31, 32, 33, 250) for size in range(100)]


@kernel
def all_sums(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    sums: NDArray[np.uint64],
) -> None:
    for row in range(starts.size):
        sums[row] = sum_of(data, starts[row], sizes[row])


def naive(start: int, size: int) -> int:
    data = DATA[start : start + size].tobytes()
    return sum(int.from_bytes(data[at : at + 2], "little") for at in range(0, size, 2))


def folded(total: int) -> int:
    """The sum in 16 bits; 0 only where all bytes are."""
    return (total - 1) % 0xFFFF + 1 if total else 0


def test_compiled_sums() -> None:
    starts, sizes = np.array(RANGES, np.int64).T.copy()
    sums = np.zeros(len(RANGES), np.uint64)
    all_sums(DATA, starts, sizes, sums)
    assert [folded(int(total)) for total in sums] == [folded(naive(*one)) for one in RANGES]


def test_sums_in_plain_python() -> None:
    found = [folded(int(sum_of(DATA, start, size))) for start, size in RANGES]
    assert found == [folded(naive(*one)) for one in RANGES]


def test_bytes_that_are_all_zero_sum_to_zero_and_no_others_do() -> None:
    data = np.zeros(96, np.uint8)
    for last in range(96):
        assert int(sum_of(data, 0, last)) == 0
    data[40] = 1
    sums = np.zeros(1, np.uint64)
    all_sums(data, np.zeros(1, np.int64), np.full(1, 95), sums)
    assert sums[0] == 1
