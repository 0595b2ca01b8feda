"""Threads that connect at the same instant, as fast as the machine goes: what their process and its
job are counted, which no lock guards, read from the kernel's own map."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from procwire.event import Subject
from procwire.sensor.loader import Sensor
from procwire.sensor.settings import SensorSettings
from sensing import SETTINGS, Sensing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]

THREADS, CONNECTS = 8, 25_000
# Two come after the threads.
MADE = THREADS * CONNECTS + 2
# Nobody is told of, so what the process counts is its job's, too, to the end.
QUIET = SensorSettings(
    window_ns=SETTINGS.window_ns,
    hosts=0,
    host_ports=0,
    failures=0,
    sequential_run=0,
    detail_limit=8,
)


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program that connects."""
    program = tmp_path_factory.mktemp("threads") / "threads"
    source = Path(__file__).with_name("threads.c")
    compiler = ["gcc", "-O2", "-Wall", "-Werror", "-pthread", str(source), "-o", str(program)]
    subprocess.run(compiler, check=True)
    return str(program)


def test_two_hundred_thousand_connects_of_threads_are_counted_once_each(
    live: Sensing, threads: str
) -> None:
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed (apt-get install bpftool)")
    others = set(maps_held())
    with Sensor(QUIET, loader=live.sensor.loader) as sensor:
        storm = Sensing(sensor, live.namespace)
        before = sensor.counters()
        with storm.start(threads, str(THREADS), str(CONNECTS)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            made = {name: count - before[name] for name, count in sensor.counters().items()}
            rows = list(subjects(set(maps_held()) - others))
            process.communicate("\n", timeout=30)
    own, job = sorted(
        (row for row in rows if row["job"] == {"number": process.pid, "kind": Subject.SESSION}),
        key=is_of_process,
        reverse=True,
    )
    assert own["owner"]["process"]["pid"] == process.pid
    # Losses are those of all programs on the machine.
    missed = made["lost_process_map_full"] + made["lost_connection_map_full"]
    counted, shared = own["state"]["totals"], job["state"]["totals"]
    for name in ("attempts", "refused", "failures"):
        assert MADE - missed <= counted[name] <= MADE
    assert made["count_attempts"] + missed >= MADE
    assert shared["attempts"] == counted["attempts"]
    # That of the last attempt is shared with the next one, if its clock's tick is the same.
    for name in ("refused", "failures"):
        assert counted[name] - 1 <= shared[name] <= counted[name]


def maps_held() -> Iterator[int]:
    """Numbers of the eBPF maps that this process holds."""
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        if descriptor.exists():
            yield from map(
                int, re.findall(r"^map_id:\s*(\d+)", descriptor.read_text(), re.MULTILINE)
            )


def subjects(maps: set[int]) -> Iterator[dict[str, Any]]:
    """What the map of subjects holds."""
    for number in maps:
        show = ["bpftool", "-j", "map", "show", "id", str(number)]
        known = json.loads(subprocess.run(show, capture_output=True, check=True).stdout)
        if known["name"] == "subjects":
            dump = ["bpftool", "-j", "map", "dump", "id", str(number)]
            rows = json.loads(subprocess.run(dump, capture_output=True, check=True).stdout)
            yield from (row["formatted"]["value"] for row in rows)


def is_of_process(row: dict[str, Any]) -> bool:
    """Whether it counts for a process: what is a job's is shared with nobody."""
    return bool(row["shared_ns"])
