"""Scan detection on real recordings: what they show is named, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.contacts import Contacts
from procwire.decode.event_time import EventTime
from procwire.decode.frame import decode
from procwire.detect.scans import Scans
from procwire.errors import InputDamaged, UsageError
from procwire.settings import Settings

Times = NDArray[np.int64]

# What sees a fast scan, too.
LESSER = {"scan.slow_trw", "scan.slow_ports"}


def as_recorded(times: Times) -> Times:
    return times


def all_of(batch: PacketBatch) -> PacketBatch:
    return batch


def lesser_side(batch: PacketBatch) -> PacketBatch:
    """Of each pair of hosts what the lesser address sends."""
    return _one_side(batch, 1)


def greater_side(batch: PacketBatch) -> PacketBatch:
    return _one_side(batch, -1)


def _one_side(batch: PacketBatch, sign: int) -> PacketBatch:
    packets = decode(batch).packets
    source = zip(packets.src_hi.tolist(), packets.src_lo.tolist(), strict=True)
    target = zip(packets.dst_hi.tolist(), packets.dst_lo.tolist(), strict=True)
    order = [(one > two) - (one < two) for one, two in zip(source, target, strict=True)]
    kept = np.array(order) != sign
    columns = ("start", "captured", "length", "time", "link", "cut")
    return batch._replace(**{name: getattr(batch, name)[kept] for name in columns})


def observed(
    path: Path,
    clock: Callable[[Times], Times] = as_recorded,
    sight: Callable[[PacketBatch], PacketBatch] = all_of,
) -> dict[str, set[str]]:
    """Names of the scans in a capture, by source address in hexadecimal; clock: what to make of its
    time stamps; sight: what is seen of it."""
    settings = Settings()
    contacts, scans = Contacts(), Scans(settings)
    event_time = EventTime(settings.contacts.timeout_ns)
    found, now = [], 0
    try:
        for recorded in read_capture(path):
            batch = sight(recorded._replace(time=clock(recorded.time)))
            if not len(batch.start):
                continue
            now = max(now, int(batch.time.max()))
            for attempts in contacts.update(event_time.of(batch), decode(batch)):
                found += scans.update(attempts)
    except (InputDamaged, UsageError):
        # What came before the damage, or nothing of a link type that is not read.
        pass
    found += scans.update(contacts.flush()) + scans.totals(now)
    names: dict[str, set[str]] = {}
    for scan in found:
        assert scan.source is not None
        names.setdefault(scan.source.address.hex(), set()).add(scan.detector.id)
    return names


@pytest.mark.parametrize(
    ("file", "source", "names"),
    [
        ("net/ndpi_synscan.pcap", "ac100008", {"scan.port_vertical"}),
        ("net/simple_scan_445_scan.pcap", "b0c09603", {"scan.slow_trw"}),
    ],
)
def test_recorded_scans_are_named(corpus: Path, file: str, source: str, names: set[str]) -> None:
    found = observed(corpus / "process" / file)
    assert {address[-8:]: ids - LESSER or ids for address, ids in found.items()} == {source: names}


SIDES = [lesser_side, greater_side]


@pytest.mark.parametrize(
    ("file", "side", "names"),
    [
        ("net/ndpi_synscan.pcap", greater_side, {"scan.port_vertical"}),
        ("net/simple_scan_445_scan.pcap", lesser_side, {"scan.slow_trw"}),
    ],
)
def test_recorded_scans_are_named_where_no_answer_is_captured(
    corpus: Path, file: str, side: Callable[[PacketBatch], PacketBatch], names: set[str]
) -> None:
    found = observed(corpus / "process" / file, sight=side)
    assert [ids - LESSER or ids for ids in found.values()] == [names]


CLOCKS: dict[str, Callable[[Times], Times]] = {
    "stands": np.zeros_like,
    "runs backwards": lambda times: np.ascontiguousarray(times[::-1]),
    "is before 1970": lambda times: times - 2 * 10**18,
    # Several receive queues, each with its own.
    "jitters": lambda times: times + np.random.default_rng(1).integers(-(10**7), 10**7, times.size),
    "is set back by an hour": lambda times: (
        times - np.where(np.arange(times.size) < times.size // 2, 0, 3600 * 10**9)
    ),
    "is set forward by a day": lambda times: (
        times + np.where(np.arange(times.size) < times.size // 2, 0, 86400 * 10**9)
    ),
    "shows another day once": lambda times: (
        times + np.where(np.arange(times.size) == times.size // 9, 86400 * 10**9, 0)
    ),
    "shows the day before with every other packet": lambda times: (
        times - np.where(np.arange(times.size) % 2, 86400 * 10**9, 0)
    ),
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_no_clock_hides_a_scan(corpus: Path, clock: str) -> None:
    found = observed(corpus / "process" / "net" / "ndpi_synscan.pcap", CLOCKS[clock])
    assert {address[-8:]: ids - LESSER for address, ids in found.items()} == {
        "ac100008": {"scan.port_vertical"}
    }


@pytest.mark.parametrize(
    "file",
    ["net/neg_ethereum_p2p.pcap", "ics/characterization_modbus_6RTU_with_operate.pcap"],
)
def test_peers_and_pollers_are_no_scanners(corpus: Path, file: str) -> None:
    assert observed(corpus / "process" / file) == {}


def test_ordinary_traffic_shows_no_scan(corpus: Path) -> None:
    found = {path.name: observed(path) for path in sorted((corpus / "traffic").iterdir())}
    assert len(found) > 100
    assert {name: scans for name, scans in found.items() if scans} == {}


@pytest.mark.parametrize("side", SIDES)
def test_one_side_of_ordinary_traffic_shows_no_scan(
    corpus: Path, side: Callable[[PacketBatch], PacketBatch]
) -> None:
    paths = sorted((corpus / "traffic").iterdir())
    found = {path.name: observed(path, sight=side) for path in paths}
    assert len(found) > 100
    assert {name: scans for name, scans in found.items() if scans} == {}


def test_benign_captures_show_no_scan(corpus: Path) -> None:
    labels = (corpus / "wire" / "labels.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in labels]
    benign = [row["pcap"] for row in rows if row["benign"]]
    found = {name: observed(corpus / "wire" / name) for name in benign}
    assert {name: scans for name, scans in found.items() if scans} == {}
