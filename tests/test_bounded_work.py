"""Packets made to be costly cost in proportion to their bytes: steps are counted, not time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = Path(__file__).with_name("steps.py")
# Twice the bytes may cost twice the steps, and a little for what grows in steps of its own.
LARGEST_GROWTH = 2.3


@pytest.fixture(scope="module")
def costs() -> dict[str, list[int]]:
    ran = subprocess.run(
        [sys.executable, str(STEPS)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_twice_the_bytes_cost_at_most_twice_the_steps(costs: dict[str, list[int]]) -> None:
    growth = {name: twice / once for name, (once, twice) in costs.items()}
    assert {name: factor for name, factor in growth.items() if factor > LARGEST_GROWTH} == {}
    assert len(growth) == 17
