"""The object that this checkout built, on kernels as Debian ships them: every scenario, in a guest.

The guest runs the very files that the native tests run (scenarios.py, jobs.py, places.py, ways.py
of tests/live, the project's loader), once per kernel; each scenario is then a test of its own.
`make test` boots the oldest kernel, `make vm-test` all of them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from booting import KERNELS, Guests
from guest import CLOCK
from jobs import JOBS
from places import PLACES
from scenarios import SCENARIOS
from ways import WAYS

STOCK_WAYS = [way.name for way in WAYS if way.stock]
NAMES = [*(one.name for one in SCENARIOS), *JOBS, *PLACES, *STOCK_WAYS, CLOCK]


@pytest.fixture
def told(guests: Guests, kernel: str) -> list[dict[str, Any]]:
    """What the guest said, line by line."""
    ran = guests.ran(kernel)
    assert ran.status == 0, f"{ran.said}\n{ran.console}"
    # Tools may have said something as well.
    return [json.loads(line) for line in ran.said.splitlines() if line.startswith("{")]


def test_it_is_the_kernel_that_was_asked_for(kernel: str, told: list[dict[str, Any]]) -> None:
    release = told[0]["release"]
    assert release == (KERNELS / kernel / "release").read_text().strip()
    assert kernel == "newest" or release.startswith(f"{kernel}.")


def test_the_sensor_starts(told: list[dict[str, Any]]) -> None:
    assert told[0]["refused"] is None


@pytest.mark.parametrize("name", NAMES)
def test_scenario(told: list[dict[str, Any]], name: str) -> None:
    first, *outcomes = told
    if first["refused"]:
        pytest.skip("the sensor did not start")
    line = next(line for line in outcomes if line["scenario"] == name)
    if "missing" in line:
        pytest.skip(f"not here: {line['missing']}")
    assert line["differences"] == []
