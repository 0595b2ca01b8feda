"""Other tools' records as tests write and read them."""

from __future__ import annotations

from pathlib import Path

from procwire.alert import Alert
from procwire.errors import InputDamaged
from procwire.runs.inputs import Inputs
from procwire.runs.reading import Reading
from procwire.settings import Settings
from procwire.telemetry.event import Event
from procwire.telemetry.faults import Faults

FEW = [(1.0 + i, 700, f"10.0.1.{1 + i}", 445, True) for i in range(3)]


def events(path: Path, faults: Faults | None = None) -> list[Event]:
    (found,) = Inputs(path)
    assert found.format is not None
    return list(found.format.read(found.source, faults or Faults(str(path))))


def written(tmp_path: Path, content: bytes, name: str = "records") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def read(path: Path) -> tuple[list[Alert], dict[str, int], list[str]]:
    """Alerts, counters and damage."""
    reading, alerts, damage = Reading(Settings(), 1), [], []
    inputs = iter(Inputs(path))
    while True:
        try:
            found = next(inputs, None)
            if found is None:
                break
            for step in reading.steps(found):
                alerts += step.alerts
        except InputDamaged as problem:
            damage.append(str(problem))
    return alerts + reading.finish(), reading.counters(), damage


def raised(path: Path) -> list[str]:
    return [one.check.id for one in read(path)[0] if one.state == "raised"]


def host(alert: Alert) -> str:
    assert alert.process is not None
    assert alert.process.host is not None
    return alert.process.host[2]
