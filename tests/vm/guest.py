"""What the guest runs: the project's own sensor, and every scenario; a JSON line each on stdout.

The first line has the kernel's release and why the sensor did not start, null if it did; the others
a scenario's name and what its events said otherwise than they should, or the hook it lacks here.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "live"))

from differences import differences
from procwire.errors import Unavailable
from procwire.sensor.loader import Sensor
from scenarios import SCENARIOS, Scenario
from sensing import SETTINGS, Sensing, namespace

NAMESPACE = "scenarios"


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def outcome(live: Sensing, scenario: Scenario) -> list[str]:
    """One that breaks is one that differs: the others are told as well."""
    try:
        return differences(live, scenario)
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
            else:
                tell(scenario=scenario.name, differences=outcome(live, scenario))


if __name__ == "__main__":
    main()
