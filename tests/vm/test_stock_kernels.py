"""The object that this checkout built, on kernels as Debian ships them: every scenario, in a guest.

The guest runs the very files that the native tests run (tests/live/scenarios.py and ways.py, the
project's loader), once per kernel; each scenario is then a test of its own. `make test` boots the
oldest kernel, `make vm-test` all of them.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any

import machine
import pytest
from jobs import JOBS
from scenarios import SCENARIOS
from ways import WAYS

ROOT = Path(__file__).parent.parent.parent
KERNELS = ROOT / ".cache" / "kernels"
GUEST = Path(__file__).with_name("guest.py")
# A minute is enough where QEMU interprets.
SECONDS = 480
NAMES = [*(one.name for one in SCENARIOS), *JOBS, *(way.name for way in WAYS if way.stock)]


@cache
def booted(kernel: str) -> machine.Ran:
    command = f"cd {quote(str(ROOT))} && exec {quote(sys.executable)} {quote(str(GUEST))}"
    return machine.run(KERNELS / kernel, command, SECONDS)


def told(kernel: str) -> list[dict[str, Any]]:
    """What the guest said, line by line. Skips where no guest can be booted."""
    reason = machine.unavailable()
    if reason:
        pytest.skip(reason)
    if not (KERNELS / kernel / "release").exists():
        pytest.skip(f"no stock kernel {kernel} in {KERNELS} (make vm-test)")
    ran = booted(kernel)
    assert ran.status == 0, f"{ran.said}\n{ran.console}"
    # Tools may have said something as well.
    return [json.loads(line) for line in ran.said.splitlines() if line.startswith("{")]


def test_it_is_the_kernel_that_was_asked_for(kernel: str) -> None:
    release = told(kernel)[0]["release"]
    assert release == (KERNELS / kernel / "release").read_text().strip()
    assert kernel == "newest" or release.startswith(f"{kernel}.")


def test_the_sensor_starts(kernel: str) -> None:
    assert told(kernel)[0]["refused"] is None


@pytest.mark.parametrize("name", NAMES)
def test_scenario(kernel: str, name: str) -> None:
    first, *outcomes = told(kernel)
    if first["refused"]:
        pytest.skip("the sensor did not start")
    line = next(line for line in outcomes if line["scenario"] == name)
    if "missing" in line:
        pytest.skip(f"not here: {line['missing']}")
    assert line["differences"] == []
