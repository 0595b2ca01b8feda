"""Runs inside a network namespace: `watch --record` of an interface, once for each folder that is
named on its input, with one sensor for all of them.

A line names the folder, the next ends that run; it says "ready", "watching" and what was lost.
"""

from __future__ import annotations

import json
import select
import sys
from contextlib import closing
from pathlib import Path

from procwire.capture.live import LiveCapture
from procwire.context.site import Site
from procwire.errors import Unavailable
from procwire.live import Live, sensor_settings
from procwire.sensor.loader import Sensor
from procwire.settings import Settings
from procwire.warm import warm_up

POLLS = 100


def main() -> None:
    interface, settings = sys.argv[1], Settings.model_validate_json(sys.argv[2])
    warm_up()
    try:
        started = Sensor(sensor_settings(settings, with_flows=True))
    except Unavailable as missing:
        print(missing)
        return
    with started as sensor:
        print("ready", flush=True)
        for line in sys.stdin:
            for _ in range(POLLS):
                if not any(len(rows) for rows in sensor.poll(0)):
                    break
            with closing(LiveCapture(interface)) as capture:
                lost = record(settings, sensor, capture, Path(line.rstrip("\n")))
            print(json.dumps(lost), flush=True)


def record(
    settings: Settings, sensor: Sensor, capture: LiveCapture, folder: Path
) -> dict[str, int]:
    """One run, until there is input; what it lost."""
    before = sensor.counters()
    live = Live(settings, sensor, [capture], lambda alerts, source: None, Site(), record=folder)
    print("watching", flush=True)
    live.run(lambda: bool(select.select([sys.stdin], [], [], 0)[0]), tell=lambda: None)
    sys.stdin.readline()
    lost = {
        name: n - before[name] for name, n in sensor.counters().items() if name.endswith("_full")
    }
    lost["dropped"] = capture.dropped()
    return {name: n for name, n in lost.items() if n}


if __name__ == "__main__":
    main()
