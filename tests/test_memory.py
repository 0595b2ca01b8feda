"""Sparse tables: zeros, writable, and resident only where they were touched. Touched ones: resident
and as they were. Reused memory: never shown twice at a time. Code that is given back: not resident,
and there when it is called. What is loaded: no collection visits it, as it does all that comes
later. NumPy: without threads that have nothing to do."""

import gc
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding
from procwire import examples
from procwire.compiled.aligned_records import whole_lines, zeros_in_lines
from procwire.compiled.memory import Reused, give_back_files, sparse_zeros, touch
from procwire.compiled.prefetch import CACHE_LINE
from procwire.decode.flow_table import flow_table
from procwire.decode.message_spans import message_spans, used_spans
from procwire.decode.stream_table import empty_streams
from procwire.errors import InputDamaged
from procwire.runs.inputs import Inputs
from procwire.runs.reading import Reading
from procwire.settings import Settings

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


def advice(address):
    """Which pages the kernel was told to use at an address: hg (huge) or nh (not huge)."""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if not first.endswith(":"):
            start, end = (int(bound, 16) for bound in first.split("-"))
        elif first == "VmFlags:" and start <= address < end:
            return {"hg", "nh"} & set(rest.split())
    raise AssertionError(f"nothing is mapped at {address:x}")


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="kernel without huge pages"
)
def test_what_is_taken_in_order_lies_in_huge_pages_and_what_is_not_in_small_ones():
    table = sparse_zeros((SIZE,), np.uint8, dense=SIZE // 2)
    first = table.ctypes.data
    assert [advice(first + at) for at in (0, SIZE // 2 - 1)] == [{"hg"}, {"hg"}]
    assert [advice(first + at) for at in (SIZE // 2, SIZE - 1)] == [{"nh"}, {"nh"}]
    streams = empty_streams()[0]
    ends = {name: advice(streams[name].ctypes.data) for name in ("rings", "streams", "store")}
    assert ends == {"rings": {"hg"}, "streams": {"hg"}, "store": {"nh"}}


def test_messages_are_shown_where_they_were_told_and_unused_room_takes_no_memory():
    before = resident()
    spans = message_spans()
    spans["here"]["packet"][0, :10] = range(10)
    shown = used_spans(spans[0]["here"], 10)
    assert shown.packet.tolist() == list(range(10))
    assert all(np.shares_memory(column, spans) for column in shown)
    assert spans.nbytes > 1 << 22 and resident() - before < 1 << 20


@pytest.mark.parametrize("numbers", [1, 7, 8, 9])
def test_rows_begin_with_a_line_and_their_fields_are_apart(numbers):
    pair = np.dtype([("one", "u8"), ("other", "u1")])
    row = whole_lines([("first", "u8"), ("many", "u8", (numbers,)), ("pairs", pair, (2,))])
    table = zeros_in_lines(100, row)
    assert table.shape == (100,) and not table.view(np.uint8).any()
    assert table.ctypes.data % CACHE_LINE == row.itemsize % CACHE_LINE == 0
    size = 8 + 8 * numbers + 2 * pair.itemsize
    assert size <= row.itemsize < size + CACHE_LINE
    table["many"][:] = np.arange(100 * numbers).reshape(100, numbers)
    table["pairs"]["other"][:] = 255
    assert not table["first"].any() and not table["pairs"]["one"].any()
    assert (table["many"].ravel() == np.arange(100 * numbers)).all()


def test_a_flow_and_both_its_ends_are_a_line_each():
    table = flow_table(16, 1)
    assert table.flows.itemsize == table.ends[0].nbytes == CACHE_LINE
    for rows in table.flows, table.ends:
        assert rows.ctypes.data % CACHE_LINE == 0 and not rows.view(np.uint8).any()


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


def test_code_that_is_given_back_takes_no_memory_and_still_runs():
    def parse():
        return str(binding.parse_assembly("define i32 @f() { ret i32 7 }"))

    text, before = parse(), resident()
    give_back_files("libllvmlite")
    given_back = before - resident()
    assert given_back > 1 << 20
    assert parse() == text


_KEEPS_LITTLE = """
from procwire.compiled.memory import keep_little
from pathlib import Path
import mmap
import numpy as np
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
keep_little()
np.ones(8 << 20, np.uint8)
before = resident()
blocks = [np.ones(1 << 20, np.uint8) for _ in range(16)]
last = np.ones(1 << 10, np.uint8)
most = resident()
del blocks
print(most - before, most - resident())
"""


def test_memory_that_was_freed_is_given_back_whatever_came_before():
    ran = subprocess.run([sys.executable, "-c", _KEEPS_LITTLE], capture_output=True, check=True)
    taken, given_back = map(int, ran.stdout.split())
    assert taken >= 16 << 20 and given_back >= 15 << 20


_SHARES_HEAP = """
from procwire.compiled.memory import share_heap
from pathlib import Path
import mmap, threading
import numpy as np
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
def take():
    return [np.ones(100_000, np.uint8) for _ in range(200)]
share_heap()
freed, ended = threading.Event(), threading.Event()
def first():
    blocks = take()
    kept.append(take()[-1])
    del blocks
    freed.set()
    ended.wait()
def second():
    freed.wait()
    before = resident()
    blocks = take()
    print(resident() - before)
    ended.set()
kept, threads = [], [threading.Thread(target=work) for work in (first, second)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_what_one_thread_freed_another_takes():
    ran = subprocess.run([sys.executable, "-c", _SHARES_HEAP], capture_output=True, check=True)
    assert int(ran.stdout) < 5_000_000


@pytest.mark.parametrize("collects", [True, False])
def test_reading_leaves_collections_as_they_were_whatever_comes_of_the_first_batch(
    tmp_path, monkeypatch, collects
):
    whole, damaged = tmp_path / "whole.pcap", tmp_path / "damaged.pcap"
    whole.write_bytes(examples.capture([bytes(60)]))
    damaged.write_bytes(examples.capture([bytes(60)])[:-70])
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc.isenabled()))
    if not collects:
        gc.disable()
    try:
        with pytest.raises(InputDamaged):
            list(Reading(Settings(), 1).steps(next(iter(Inputs(damaged)))))
        assert gc.isenabled() == collects and not frozen
        for step in Reading(Settings(), 1).steps(next(iter(Inputs(whole)))):
            assert gc.isenabled() == collects and frozen == [False] and step.units == 1
        assert gc.isenabled() == collects
    finally:
        gc.enable()


def test_a_command_starts_no_threads_of_numpy_and_tells_nobody_that_it_does_not() -> None:
    code = """if True:
        import os, click
        from procwire.cli.main import procwire
        procwire.get_command(click.Context(procwire), "read")
        print("numpy" in __import__("sys").modules, len(os.listdir("/proc/self/task")))
        print(os.environ.get("OPENBLAS_NUM_THREADS"))
    """
    ran = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        for env in ({}, {"OPENBLAS_NUM_THREADS": "2"})
    ]
    assert [one.stdout.split() for one in ran] == [["True", "1", "None"], ["True", "1", "2"]]


def test_reading_a_capture_loads_neither_the_sensor_nor_a_parser_of_c(tmp_path) -> None:
    capture = tmp_path / "one.pcap"
    capture.write_bytes(examples.capture([bytes(60)]))
    code = """if True:
        import sys
        from procwire.cli.main import procwire
        procwire(["read", sys.argv[1]], standalone_mode=False)
        asked = "procwire.generated.dispatch", "cffi", "pycparser", "procwire.sensor.loader"
        print(*(name for name in asked if name in sys.modules), file=sys.stderr)
        import cffi
    """
    ran = subprocess.run(
        [sys.executable, "-c", code, capture], capture_output=True, text=True, check=True
    )
    assert ran.stderr.split() == ["procwire.generated.dispatch"]
