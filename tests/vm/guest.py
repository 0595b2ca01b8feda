"""What the guest runs: the project's own sensor, every scenario and ways of trying others; a JSON
line each on stdout.

The first line has the kernel's release and why the sensor did not start, null if it did; the others
a scenario's name and what its events said otherwise than they should, or what it lacks here.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "live"))

from clocks import a_day_ahead_and_back
from differences import differences
from jobs import JOBS
from places import PLACES
from procwire.errors import Unavailable
from procwire.sensor.loader import Sensor
from scenarios import SCENARIOS
from sensing import SETTINGS, Sensing, namespace
from ways import WAYS, holds

NAMESPACE = "scenarios"
CLOCK = "the clock set a day ahead and back"


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def version(release: str) -> tuple[int, int]:
    major, minor, *_ = release.split(".")
    return int(major), int(minor)


def outcome(run: Callable[[], list[str] | None]) -> list[str]:
    """One that breaks is one that differs: the others are told as well."""
    try:
        return run() or []
    except Exception:
        return traceback.format_exc().splitlines()


def main() -> None:
    release = os.uname().release
    try:
        sensor = Sensor(SETTINGS)
    except Unavailable as refused:
        tell(release=release, refused=str(refused))
        return
    tell(release=release, refused=None)
    with sensor, namespace(NAMESPACE):
        live = Sensing(sensor, NAMESPACE)
        for scenario in SCENARIOS:
            if scenario.hook in sensor.left_out:
                tell(scenario=scenario.name, missing=scenario.hook)
            elif version(release) < scenario.since:
                tell(scenario=scenario.name, missing="Linux {}.{}".format(*scenario.since))
            else:
                found = outcome(partial(differences, live, scenario))
                tell(scenario=scenario.name, differences=found)
        for name, check in {**JOBS, **PLACES}.items():
            tell(scenario=name, differences=outcome(partial(check, live)))
        for way in WAYS:
            if not way.stock:
                continue
            if shutil.which(way.command[0]) is None:
                tell(scenario=way.name, missing=way.command[0])
            elif way.hook in sensor.left_out:
                tell(scenario=way.name, missing=way.hook)
            else:
                tell(scenario=way.name, differences=outcome(partial(holds, live, way)))
    # Last, as it is told by a sensor of its own.
    with namespace(NAMESPACE):
        tell(scenario=CLOCK, differences=outcome(partial(a_day_ahead_and_back, NAMESPACE)))


if __name__ == "__main__":
    main()
