"""The same packets give the same, however kernels are run: compiled, as plain Python, and compiled
with every index checked. The last two raise where the first would read another array."""

from __future__ import annotations

import os
import subprocess
import sys

import digest

MINUTES = 600


def test_as_plain_python() -> None:
    ran = subprocess.run(
        [sys.executable, digest.__file__],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.strip() == digest.digest()


def test_with_bounds_checked(checked_bounds: subprocess.Popen[str]) -> None:
    told, errors = checked_bounds.communicate(timeout=MINUTES)
    assert checked_bounds.returncode == 0, errors[-4000:]
    assert told.strip() == digest.digest()
