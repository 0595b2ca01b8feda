"""Bytes that are copied in one move are those that a loop copies, and no others."""

import os
import subprocess
import sys

import numpy as np
import pytest
from procwire.compiled.byte_copy import copy_bytes
from procwire.compiled.jit import kernel
from procwire.decode.read_only import read_only

ROOM = 300


@kernel
def compiled(data, start, into, at, count):
    copy_bytes(data, start, into, at, count)


@pytest.mark.parametrize("copy", [compiled, copy_bytes])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 31, 32, 33, 64, 255])
def test_a_copy_is_what_a_loop_makes(copy, count):
    data = read_only(np.random.default_rng(count).integers(0, 256, ROOM).astype(np.uint8))
    for start, at in ((0, 0), (3, 17), (ROOM - count, 5), (1, ROOM - count)):
        into, expected = np.zeros(ROOM, np.uint8), bytearray(ROOM)
        for place in range(count):
            expected[at + place] = data[start + place]
        copy(data, start, into, at, count)
        assert into.tobytes() == expected


BEYOND = """
import numpy as np
from procwire.compiled.byte_copy import copy_bytes
from procwire.compiled.jit import kernel
from procwire.decode.read_only import read_only

@kernel
def compiled(data, into):
    copy_bytes(data, 0, into, 4, 5)

compiled(read_only(np.zeros(8, np.uint8)), np.zeros(8, np.uint8))
"""


def test_a_copy_beyond_an_array_is_found_where_accesses_are_checked(tmp_path):
    script = tmp_path / "beyond.py"
    script.write_text(BEYOND)
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 1 and "IndexError" in ran.stderr
