"""Everything procwire can raise, packet rules and detectors alike, for people and tools."""

from __future__ import annotations

from dataclasses import dataclass

from procwire.alert import Check
from procwire.compiler.sights import (
    NO_SCRIPT,
    STREAM_LAYERS,
    VERSIONS,
    Expression,
    expression,
    observation,
)
from procwire.detect.detector import DETECTORS, Detector
from procwire.rule import Observed, Rule
from procwire.rules import all_rules


@dataclass(frozen=True)
class Entry:
    """One check. kind: packet, packets (over several) or detector, and counter for tier C, which
    only counts; suricata_7, suricata_8: lua, native or host, how that version shows it; reason_7,
    reason_8: why it cannot, for host, and for lua what it judges otherwise, if anything."""

    id: str
    sid: int
    title: str
    kind: str
    tier: str
    severity: int
    reference: str
    analytics: tuple[str, ...]
    layers: tuple[str, ...]
    suricata_7: str
    reason_7: str
    suricata_8: str
    reason_8: str
    suricata: tuple[str, ...]
    zeek: tuple[str, ...]


def catalogue() -> list[Entry]:
    """Every check of packets, by sid, then every detector, by sid."""
    return [entry_of(check) for check in (*all_rules(), *DETECTORS)]


def entry_of(check: Rule | Observed | Detector) -> Entry:
    """What is known of one check."""
    if isinstance(check, Rule):
        ways = [expression(check, version) for version in VERSIONS]
        # What is known by its place in a stream takes the packets before it.
        kind = "packets" if STREAM_LAYERS.issuperset(check.layers) else "packet"
        return _entry(check, kind, check.layers, ways)
    if isinstance(check, Observed):
        return _entry(check, "packets", (), [observation(check)] * len(VERSIONS))
    return _entry(check, "detector", (), [Expression("host", NO_SCRIPT)] * len(VERSIONS))


def _entry(check: Check, kind: str, layers: tuple[str, ...], ways: list[Expression]) -> Entry:
    seven, eight = ways
    return Entry(
        id=check.id,
        sid=check.sid,
        title=check.title,
        kind="counter" if check.tier == "C" else kind,
        tier=check.tier,
        severity=check.severity,
        reference=check.reference,
        analytics=check.analytics,
        layers=layers,
        suricata_7=seven.way,
        reason_7=seven.reason,
        suricata_8=eight.way,
        reason_8=eight.reason,
        suricata=check.suricata,
        zeek=check.zeek,
    )
