"""A scan by processes that each end too soon is their session's, or their container's."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from jobs import JOBS, told
from procwire.event import Subject
from procwire.sensor.loader import Sensor
from procwire.sensor.settings import SensorSettings
from senders import STARTED_FROM_OUTSIDE, python
from sensing import ESTIMATED_25, Sensing, cgroup

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]


@pytest.mark.parametrize("name", JOBS)
def test_the_job_is_told_of_and_no_process_of_it(live: Sensing, name: str) -> None:
    JOBS[name](live)


SECOND = 1_000_000_000
SUBJECT = Path(__file__).parents[2] / "kernel" / "subject.h"
# A job lies where its name hashes to, or at one of the next places.
PLACES = int(SUBJECT.read_text().partition("#define MAX_JOBS ")[2].split()[0])


def place_of(group: Path) -> int:
    """Where the connects of a cgroup's job would lie: mix64 of its number and kind."""
    whole = 2**64 - 1
    name = group.stat().st_ino ^ Subject.CGROUP << 62 & whole
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        name = (name ^ name >> shift) * factor & whole
    return (name ^ name >> 31) % PLACES


def test_a_job_is_one_when_another_at_its_first_place_goes_quiet(live: Sensing) -> None:
    """Two jobs whose names hash to one place: the second lies at the next one, and what it counted
    there still counts once the first could be replaced."""
    window = 6 * SECOND
    settings = SensorSettings(
        window_ns=(window // 2, window // 2, window), failures=0, sequential_run=0
    )
    with ExitStack() as stack:
        taken: dict[int, Path] = {}
        for number in range(500):
            group = stack.enter_context(cgroup(f"{live.namespace}-{number}"))
            first = taken.setdefault(place_of(group), group)
            if first != group:
                break
        else:
            raise AssertionError("no two of 500 names share a place")
        sensor = stack.enter_context(Sensor(settings))
        jobs = Sensing(sensor, live.namespace)
        jobs.run(*python(STARTED_FROM_OUTSIDE, "9"), cgroup=first)
        quiet = time.monotonic() + window / SECOND
        while time.monotonic() < quiet - 1.5:
            jobs.poll()
        # Sixteen hosts before, sixteen after: twenty-five are told.
        for part in (0, 1):
            jobs.run(*python(STARTED_FROM_OUTSIDE, str(part)), cgroup=group)
        while time.monotonic() < quiet + 0.5:
            jobs.poll()
        for part in (2, 3):
            jobs.run(*python(STARTED_FROM_OUTSIDE, str(part)), cgroup=group)
        row = told(jobs, Subject.CGROUP, group.stat().st_ino, window)
    assert row["attempts"] in ESTIMATED_25
