"""Damaged captures: nothing is read outside its array, and nothing but InputDamaged is raised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FUZZER = Path(__file__).parent / "fuzz_captures.py"
SEED = "20261121"


def test_damaged_captures_are_read_or_refused(corpus: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(FUZZER), str(corpus), SEED],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    files, packets, refused = map(int, result.stdout.split())
    assert files > 1000
    assert packets > 1000
    assert refused > 1000
