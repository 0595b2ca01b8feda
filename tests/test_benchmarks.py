"""Benchmarks are run by hand, but what they import is looked for with all else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_all_benchmarks_are_found() -> None:
    command = [sys.executable, "-m", "pytest", "bench", "--collect-only", "-q"]
    folder = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
