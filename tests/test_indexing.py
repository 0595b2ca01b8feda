"""Kernels index from the front: signed indices read and write what NumPy's do, without a test
whether they are negative, and with checks a negative one is refused."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from procwire.compiled.jit import kernel

PAIR = np.dtype([("one", "u1"), ("other", "i8")])
BELOW_ZERO = """
import numba, numpy, procwire.compiled.jit
print(numba.njit(lambda table, at: table[at])(numpy.arange(9), -1))
"""


@kernel
def move(table, pairs, at, to):
    """Copies table[at] to the row `to` of all."""
    value = table[at, 1]
    table[to, 0] = value
    pairs[to].other = pairs[at].one + value
    return table[to, 0]


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8, np.uint64])
def test_kernels_index_as_numpy_does(kind):
    table, pairs = np.arange(10).reshape(5, 2), np.zeros(5, PAIR)
    pairs["one"] = 7
    assert move(table, pairs, kind(3), kind(1)) == 7
    assert table.tolist() == [[0, 1], [7, 3], [4, 5], [6, 7], [8, 9]]
    assert pairs["other"].tolist() == [0, 14, 0, 0, 0]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_neighbouring_bytes_are_read_at_once():
    def word(data, at):
        return np.uint16(data[at]) | np.uint16(data[at + 1]) << np.uint16(8)

    compiled = numba.njit(word)
    assert compiled(np.array([1, 2, 3], np.uint8), 1) == 0x302
    (text,) = compiled.inspect_llvm().values()
    assert "load i16" in text and "load i8" not in text


def test_checks_refuse_an_index_below_zero():
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_DISABLE_JIT": "0"}
    command = [sys.executable, "-c", BELOW_ZERO]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "IndexError: index is out of bounds" in run.stderr
