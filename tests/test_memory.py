"""Sparse tables: zeros, writable, and resident only where they were touched."""

import mmap
from pathlib import Path

import numpy as np
from procwire.memory import sparse_zeros

SIZE = 1 << 26


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_a_sparse_table_is_zero_writable_and_small():
    pair = np.dtype([("one", "u8"), ("other", "u8")])
    table = sparse_zeros((SIZE // 32, 2), pair)
    table["other"][:: SIZE // 32 // 16] = 7
    assert table.shape == (SIZE // 32, 2) and table.dtype == pair
    assert table["other"].sum(dtype=np.int64) == 7 * 2 * 16
    assert not table["one"][0].any()
    # The sum touched every page; a fresh table shows what sixteen writes cost.
    fresh, before = sparse_zeros((SIZE,), np.uint8), resident()
    fresh[:: SIZE // 16] = 1
    assert resident() - before < SIZE // 16
