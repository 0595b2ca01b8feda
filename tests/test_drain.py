"""How events come from the rings' lanes into rows: as they were, whatever their length, in a type
no longer than the longest needs, and nothing of an earlier event behind a short one."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from procwire._libbpf import ffi, lib
from procwire.event import ARGV_SIZE, PROCESS_EVENT, PROCESS_HEADER, cut_process_event
from procwire.sensor.loader import LANES

WORD, PAGE = 8, 4096
KERNEL = Path(__file__).parent.parent / "kernel"
# The rings of either loader, in bytes and in pages; that of flows where somebody asks for them.
RINGS = re.compile(r"max_entries, (\d+) << (\d+)\);\n} (\w+_ring) ")
BCC_RINGS = re.compile(r"BPF_RINGBUF_OUTPUT\((\w+_ring), (?:FLOWS \? )?(\d+)")


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


def test_all_that_a_ring_holds_has_room_in_its_lane():
    """Otherwise the ring of processes, which is read last, is left to the next drain."""
    of_libbpf = RINGS.findall((KERNEL / "maps.bpf.h").read_text())
    rings = {name: int(number) << int(shift) for number, shift, name in of_libbpf}
    of_bcc = BCC_RINGS.findall((KERNEL / "bcc" / "maps.h").read_text())
    assert {name: int(pages) * PAGE for name, pages in of_bcc} == rings
    largest = {name: size - dtype.itemsize - 2 * WORD for name, dtype, size in LANES}
    assert [name for name, size in rings.items() if size > largest[name]] == []
    assert list(largest)[-1] == "process_ring"
