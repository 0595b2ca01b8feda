"""Where an executable begins to run, of real ones and of headers that lie."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from procwire.sensor.executable import entry_offset

PYTHON = Path(sys.executable).resolve()
HEADERS = PYTHON.read_bytes()[:1024]
HEADER = 64


def test_it_begins_in_what_is_mapped_as_code():
    begin = entry_offset(PYTHON)
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    code = [line for line in lines if line[1] == "r-xp" and line[-1] == str(PYTHON)]
    bounds = [
        (*(int(bound, 16) for bound in line[0].split("-")), int(line[2], 16)) for line in code
    ]
    assert any(offset <= begin < offset + end - start for start, end, offset in bounds)


def test_a_script_has_no_such_place(tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n" + "true\n" * 20)
    assert entry_offset(script) is None


@given(st.dictionaries(st.integers(4, HEADER - 1), st.sampled_from([0, 1, 127, 128, 255])))
def test_headers_that_lie_name_no_place_behind_the_end(tmp_path_factory, changes):
    executable = tmp_path_factory.getbasetemp() / "lies"
    content = bytearray(HEADERS)
    for place, value in changes.items():
        content[place] = value
    executable.write_bytes(content)
    begin = entry_offset(executable)
    assert begin is None or begin < len(content)
