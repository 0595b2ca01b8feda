"""The fuzz target, for a bounded number of inputs: nothing it finds may be new."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).parent / "fuzz_target.py"
RUNS, SECONDS = 900, 60
# On a machine under load, time ends the run first.
FEWEST = 190


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed; it has wheels for CPython 3.11 to 3.13 on x86-64",
)
def test_nothing_but_refusals_comes_of_any_input(tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    options = [f"-runs={RUNS}", f"-max_total_time={SECONDS}", "-seed=20261121", "-max_len=2048"]
    # A process inherits the peak of the one that starts it, which has compiled kernels.
    options += ["-rss_limit_mb=0", "-malloc_limit_mb=2048"]
    command = [sys.executable, str(TARGET), *options, f"-artifact_prefix={tmp_path}/"]
    ran = subprocess.run(
        [*command, "-print_final_stats=1", str(inputs)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=4 * SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-4000:]
    executed = re.search(r"number_of_executed_units: (\d+)", ran.stderr)
    assert executed is not None
    assert int(executed[1]) >= FEWEST
