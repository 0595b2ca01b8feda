"""Runs inside a network namespace: `watch --record` of an interface, once for each folder that is
named on its input, with one sensor for all of them.

A line says whether packets are captured and names the folder, the next ends that run; it says
"ready", "watching" and what was lost.
"""

from __future__ import annotations

import json
import select
import sys
from contextlib import ExitStack
from pathlib import Path

from procwire.capture.live import LiveCapture
from procwire.context.site import Site
from procwire.errors import Unavailable
from procwire.runs.live import Live, sensor_settings
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
            with_packets, _, folder = line.rstrip("\n").partition(" ")
            with ExitStack() as closing:
                captures = [LiveCapture(interface)] if with_packets == "packets" else []
                for capture in captures:
                    closing.callback(capture.close)
                lost = record(settings, sensor, captures, Path(folder))
            print(json.dumps(lost), flush=True)


def record(
    settings: Settings, sensor: Sensor, captures: list[LiveCapture], folder: Path
) -> dict[str, int]:
    """One run, until there is input; what it lost."""
    before = sensor.counters()
    live = Live(settings, sensor, captures, lambda alerts, source: None, Site(), record=folder)
    print("watching", flush=True)
    live.run(lambda: bool(select.select([sys.stdin], [], [], 0)[0]), tell=lambda: None)
    sys.stdin.readline()
    lost = {
        name: n - before[name] for name, n in sensor.counters().items() if name.endswith("_full")
    }
    lost["dropped"] = sum(capture.dropped() for capture in captures)
    return {name: n for name, n in lost.items() if n}


if __name__ == "__main__":
    main()
