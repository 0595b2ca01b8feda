"""Scan detection on real recordings: what they show is named, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from procwire.capture.open import read_capture
from procwire.config import Settings
from procwire.decode.contacts import Contacts
from procwire.decode.frame import decode
from procwire.detect.scans import Scans
from procwire.errors import InputDamaged, UsageError


def observed(path: Path) -> dict[str, set[str]]:
    """Names of the scans in a capture, by source address in hexadecimal."""
    settings = Settings()
    contacts, scans = Contacts(), Scans(settings)
    found = []
    try:
        for batch in read_capture(path):
            found += scans.update(contacts.update(batch, decode(batch)))
    except (InputDamaged, UsageError):
        # What came before the damage, or nothing of a link type that is not read.
        pass
    found += scans.update(contacts.flush()) + scans.totals()
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
    assert {address[-8:]: ids - {"scan.slow_trw"} or ids for address, ids in found.items()} == {
        source: names
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


def test_benign_captures_show_no_scan(corpus: Path) -> None:
    labels = (corpus / "wire" / "labels.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in labels]
    benign = [row["pcap"] for row in rows if row["benign"]]
    found = {name: observed(corpus / "wire" / name) for name in benign}
    assert {name: scans for name, scans in found.items() if scans} == {}
