"""Group addresses as source: an alert where a station has the address, else an anomaly."""

from __future__ import annotations

from procwire.judging.examine import examine
from procwire.judging.stations import REMEMBERED, Stations
from procwire.output.eve import Source, record
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from test_decode import batch_of


def framed(*numbers: int) -> list[tuple[bytes, int, int]]:
    """A frame from a group address of each number."""
    frames = [b"\2" + bytes(5) + b"\3\0" + n.to_bytes(4, "big") + b"\x88\xb5" for n in numbers]
    return [(data + bytes(46), 60, 1) for data in frames]


def kinds(*batches: list[tuple[bytes, int, int]]) -> list[str]:
    analysis = Analysis(Settings())
    alerts = [alert for batch in batches for alert in analysis.packets(batch_of(batch))]
    return [record(alert, Source())["event_type"] for alert in alerts]


def test_addresses_that_come_once_are_an_anomaly() -> None:
    assert "alert" not in kinds(framed(*range(8)), framed(*range(8, 16)))


def test_an_address_that_sends_again_is_a_station() -> None:
    assert "alert" in kinds(framed(1, 1))
    assert "alert" in kinds(framed(1), framed(2), framed(3, 1))


def test_of_very_many_addresses_the_latest_are_remembered() -> None:
    stations = Stations()

    def in_context(*numbers: int) -> list[int]:
        batch = batch_of(framed(*numbers))
        findings = examine(batch).findings
        stations.weigh(batch, findings)
        return findings["in_context"].tolist()

    assert not any(in_context(*range(REMEMBERED + 1)))
    assert in_context(0, 2) == [0, 1]
