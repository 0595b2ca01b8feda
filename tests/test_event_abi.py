"""The event ABI is one thing seen four ways: C, NumPy, the object's BTF, and the golden layout.

A change of kernel/event.h shows as a change of the golden file, never as garbage read from a ring.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from procwire import event
from procwire._event import ffi
from procwire.sensor.counters import EXPLANATIONS, Counter

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "event_layout.txt"
OBJECT = ROOT / "userspace" / "procwire" / "sensor.bpf.o"

DTYPES = {
    "process_key": event.PROCESS_KEY,
    "process_event": event.PROCESS_EVENT,
    "socket_event": event.SOCKET_EVENT,
    "connection_event": event.CONNECTION_EVENT,
    "flow_event": event.FLOW_EVENT,
    "target": event.TARGET,
    "job_program": event.JOB_PROGRAM,
    "fanout_event": event.FANOUT_EVENT,
    "fanout_settings": event.FANOUT_SETTINGS,
}
ENUMS: dict[str, tuple[type[IntEnum], str]] = {
    "event_kind": (event.EventKind, "EVENT_"),
    "connection_origin": (event.Origin, "ORIGIN_"),
    "connection_outcome": (event.Outcome, "OUTCOME_"),
    "attempt_kind": (event.Attempt, "ATTEMPT_"),
    "flow_role": (event.FlowRole, "FLOW_"),
    "fanout_measure": (event.Measure, "MEASURE_"),
    "fanout_subject": (event.Subject, "SUBJECT_"),
    "sensor_counter": (Counter, ""),
}

Layout = dict[str, list[tuple[str, int, int]]]
"""By struct: name, offset and size of each field; the empty name is the struct itself."""


def layout_of_numpy() -> Layout:
    return {
        name: [("", 0, dtype.itemsize)]
        + [
            (field, dtype.fields[field][1], dtype.fields[field][0].itemsize)
            for field in dtype.names
        ]
        for name, dtype in DTYPES.items()
    }


def layout_of_c() -> Layout:
    layout: Layout = {}
    for name in DTYPES:
        kind = ffi.typeof(f"struct {name}")
        layout[name] = [("", 0, ffi.sizeof(kind))]
        layout[name] += [(field, at.offset, ffi.sizeof(at.type)) for field, at in kind.fields]
    return layout


def layout_of_btf() -> Layout:
    """bpftool needs no privilege to read a file's BTF."""
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed (apt-get install bpftool)")
    if not OBJECT.exists():
        pytest.skip(f"{OBJECT} is not built (pip install -e . --no-build-isolation)")
    dump = subprocess.run(
        ["bpftool", "-j", "btf", "dump", "file", str(OBJECT)], capture_output=True, check=True
    )
    types: dict[int, dict[str, Any]] = {
        kind["id"]: kind for kind in json.loads(dump.stdout)["types"]
    }

    def size(number: int) -> int:
        kind = types[number]
        if "size" in kind:
            return int(kind["size"])
        if kind["kind"] == "ARRAY":
            return int(kind["nr_elems"]) * size(kind["type_id"])
        return size(kind["type_id"])

    return {
        kind["name"]: [("", 0, kind["size"])]
        + [
            (member["name"], member["bits_offset"] // 8, size(member["type_id"]))
            for member in kind["members"]
        ]
        for kind in types.values()
        if kind["kind"] == "STRUCT" and kind["name"] in DTYPES
    }


def layout_text(layout: Layout) -> str:
    lines = []
    for name, fields in layout.items():
        lines.append(f"struct {name} size {fields[0][2]}")
        lines += [f"  {offset:5} {size:5} {field}" for field, offset, size in fields[1:]]
    for name in ENUMS:
        lines.append(f"enum {name}")
        members = sorted(ffi.typeof(f"enum {name}").relements.items(), key=lambda item: item[1])
        lines += [f"  {value:5} {member}" for member, value in members]
    return "\n".join(lines) + "\n"


def test_numpy_is_c() -> None:
    assert layout_of_numpy() == layout_of_c()


def test_btf_is_c() -> None:
    assert layout_of_btf() == layout_of_c()


def test_layout_is_the_golden_one() -> None:
    """After a deliberate change: raise EVENT_ABI_VERSION and write the new text to the file."""
    text = f"ABI version {event.ABI_VERSION}\n" + layout_text(layout_of_c())
    assert GOLDEN.read_text() == text


def test_header_has_no_hidden_padding() -> None:
    for name, fields in layout_of_c().items():
        assert sum(size for _, _, size in fields[1:]) == fields[0][2], name


@pytest.mark.parametrize("name", ENUMS)
def test_enum_has_every_enumerator(name: str) -> None:
    kind, prefix = ENUMS[name]
    declared = {
        member.removeprefix(prefix): value
        for member, value in ffi.typeof(f"enum {name}").relements.items()
        if member != "SENSOR_COUNTERS"
    }
    assert {member.name: int(member) for member in kind} == declared


def test_every_counter_is_explained_and_dense() -> None:
    assert set(EXPLANATIONS) == set(Counter)
    assert [int(counter) for counter in Counter] == list(range(len(Counter)))


def test_numbers_are_those_of_the_header() -> None:
    header = (ROOT / "kernel" / "event.h").read_text()
    defined = {
        name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)$", header, re.M)
    }
    assert defined["EVENT_ABI_VERSION"] == event.ABI_VERSION
    for name in ("ADDRESS_SIZE", "COMM_SIZE", "EXE_SIZE", "ARGV_SIZE", "SAMPLE_TARGETS"):
        assert getattr(event, name) == defined[name]
    assert np.zeros(1, event.TARGET)["address"].shape == (1, defined["ADDRESS_SIZE"])
