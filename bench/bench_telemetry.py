"""What a record of another tool costs: parsing it, reading it as an event, and the whole analysis.

The floor is msgspec that makes Python objects of each line of JSON, or splitting the line where it
is none. What the detectors behind take of it is in bench_detectors.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from procwire.runs.inputs import Inputs
from procwire.runs.reading import Reading
from procwire.settings import Settings
from procwire.telemetry.faults import Faults
from pytest_benchmark.fixture import BenchmarkFixture

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from network_records import WRITERS  # noqa: E402

ATTEMPTS = 20_000
FORMS = ("flat", "ecs", "sysmon_linux", "audit", "laurel", "zeek_columns", "zeek_json", "eve")


def floor(path: Path) -> int:
    lines = path.read_bytes().splitlines()
    if lines[0].startswith(b"{"):
        return sum(msgspec.json.decode(line) is not None for line in lines)
    return sum(bool(line.decode().split()) for line in lines)


def events(path: Path) -> int:
    (found,) = Inputs(path)
    assert found.format is not None
    return sum(1 for _ in found.format.read(found.source, Faults(str(path))))


def analysis(path: Path) -> int:
    (found,) = Inputs(path)
    reading = Reading(Settings(), 1)
    return sum(step.units for step in reading.steps(found)) + len(reading.finish())


@pytest.fixture(scope="module", params=FORMS)
def recording(request, tmp_path_factory) -> Path:
    """Fifty processes that try two hundred hosts, one in ten in vain."""
    attempts = [
        (i / 100, 700 + i % 50, f"10.0.1.{i * 7 % 200}", 443, i % 10 > 0) for i in range(ATTEMPTS)
    ]
    path = tmp_path_factory.mktemp("records") / request.param
    path.write_bytes(WRITERS[request.param](attempts))
    return path


@pytest.mark.parametrize("step", [floor, events, analysis])
def test_records_per_second(
    benchmark: BenchmarkFixture, recording: Path, step: Callable[[Path], int]
) -> None:
    assert step(recording) >= ATTEMPTS
    benchmark(step, recording)
    benchmark.extra_info["records_per_second"] = round(ATTEMPTS / benchmark.stats.stats.median)
