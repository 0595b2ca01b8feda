"""How events come from the rings' lanes into rows: as they were, whatever their length, in a type
no longer than the longest needs, and nothing of an earlier event behind a short one."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from procwire._libbpf import ffi, lib
from procwire.event import ARGV_SIZE, PROCESS_EVENT, PROCESS_HEADER, cut_process_event

WORD = 8


def event(argv: bytes) -> bytes:
    row = np.zeros(1, PROCESS_EVENT)
    row["comm"], row["argv"], row["argv_size"] = b"tool", argv, len(argv)
    return row.tobytes()[: PROCESS_HEADER + len(argv)]


def lane_of(events: list[bytes]) -> tuple[object, object]:
    """A lane as a drain leaves it, and its memory."""
    padded = [struct.pack("N", len(one)) + one + bytes(-len(one) % WORD) for one in events]
    memory = ffi.new("char[]", b"".join(padded))
    lane = ffi.new("struct drain_lane *")
    lane.memory, lane.count = memory, len(events)
    lane.longest = max(map(len, events))
    return lane, memory


@pytest.mark.parametrize("longest", [0, 1, 63, 64, 65, 1000, ARGV_SIZE])
def test_rows_are_the_events_and_zero_behind_them(longest):
    lines = [b"a" * longest, b"", b"b" * (longest // 3)]
    lane, _memory = lane_of([event(line) for line in lines])
    dtype = cut_process_event(lane.longest)
    rows = np.frombuffer(bytearray(b"\xff" * len(lines) * dtype.itemsize), dtype)
    lib.drain_rows(lane, ffi.cast("char *", rows.ctypes.data), dtype.itemsize)
    assert rows["argv"].tolist() == lines and set(rows["comm"].tolist()) == {b"tool"}
    assert PROCESS_HEADER + longest <= dtype.itemsize < PROCESS_HEADER + longest + 2 * 64
    assert not any(
        row.tobytes()[PROCESS_HEADER + len(line) :].strip(b"\0")
        for row, line in zip(rows, lines, strict=True)
    )


def test_a_cut_type_has_the_fields_of_the_whole_one():
    cut, whole = cut_process_event(PROCESS_HEADER + 5), PROCESS_EVENT
    assert cut.names == whole.names
    assert [cut.fields[name][1] for name in cut.names] == [
        whole.fields[name][1] for name in whole.names
    ]
    assert cut_process_event(whole.itemsize).itemsize == whole.itemsize
    assert cut_process_event(0).itemsize > PROCESS_HEADER
