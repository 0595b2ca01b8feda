"""Sparse tables: zeros, writable, and resident only where they were touched. Touched ones: resident
and as they were. Reused memory: never shown twice at a time."""

import mmap
from pathlib import Path

import numpy as np
from procwire.detect.together import rows_together
from procwire.memory import Reused, sparse_zeros, touch

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
    fresh, before = sparse_zeros((SIZE,), np.uint8), resident()
    fresh[:: SIZE // 16] = 1
    assert resident() - before < SIZE // 16
    # What is only looked at takes no memory either.
    assert fresh.sum(dtype=np.int64) == 16 and resident() - before < SIZE // 16


def test_what_belongs_to_one_row_lies_together():
    pair = np.dtype([("one", "u8"), ("other", "u1")])
    columns = {"first": ((), pair), "second": ((2, 3), np.uint16), "third": ((4,), np.int64)}
    tables = rows_together(100, **columns)
    shapes = {name: (table.shape, table.dtype) for name, table in tables.items()}
    assert shapes == {
        "first": ((100,), pair),
        "second": ((100, 2, 3), np.dtype(np.uint16)),
        "third": ((100, 4), np.dtype(np.int64)),
    }
    starts = [table[7:].ctypes.data for table in tables.values()]
    assert starts == sorted(starts) and starts[-1] - starts[0] < 64
    tables["second"][:] = np.arange(600).reshape(100, 2, 3)
    tables["third"][:] = -1
    assert not tables["first"]["one"].any() and not tables["first"]["other"].any()
    assert (tables["second"].ravel() == np.arange(600)).all() and (tables["third"] == -1).all()


def test_touching_makes_resident_and_changes_nothing():
    table, filled = sparse_zeros((SIZE // 8,), np.uint64), np.arange(SIZE // 64)
    before = resident()
    touch(table.reshape(2, -1), filled)
    assert resident() - before > SIZE * 9 // 10
    assert (filled == np.arange(SIZE // 64)).all()


def test_memory_is_reused_once_nothing_shows_it():
    memory = Reused()
    first = memory.take(1000)
    kept, address = first[10:20], first.ctypes.data
    first[:] = 1
    del first
    other = memory.take(1000)
    assert other.ctypes.data != address
    assert kept.sum() == 10
    del kept
    again = memory.take(1010)
    assert (again.ctypes.data, again.size) == (address, 1010)
    assert memory.take(1 << 22).size == 1 << 22
