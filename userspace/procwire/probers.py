"""What one prober does is one episode: findings of its probes and of what they are answered with,
and the scan that they turn out to be.

Strategy: such findings fold by prober instead of by pair of addresses (detect/probes.py), in one
episode for each check, and whichever begins first names all. While a scan is among them they tell
no more than their first, and are part of its totals. Findings are known by their packets, a scan
only by the time of one: of one moment, findings count as earlier, so that nothing depends on where
batches end.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from procwire.alert import GROWN, Alert
from procwire.episode import Episode, Key, Prober


class _Probing(msgspec.Struct):
    """name: of the episode; began: event time; by_scan: whether it has a scan's name; alerted: when
    a finding was first told as an alert; parts: the open episodes of findings; scan: of the scan
    that they are part of; ended: its findings by check, of parts that ended before it."""

    name: str
    began: int
    by_scan: bool
    alerted: int | None = None
    parts: dict[Key, Episode] = msgspec.field(default_factory=dict)
    scan: Key | None = None
    ended: dict[str, int] = msgspec.field(default_factory=dict)


class Probers:
    """Who probes, by address. current: asked for the open episode of a key at an event time, of
    which it closes what had ended by then."""

    def __init__(self, current: Callable[[Key, int], Episode | None]) -> None:
        self._current = current
        self._of: dict[Prober, _Probing] = {}

    def finding(self, prober: Prober, alert: Alert, time: int) -> Alert:
        """The alert of a check's first finding, under the name of what is open. time: event time
        reached with it."""
        probing = self._open(prober, time)
        if probing is None or (probing.by_scan and probing.began == time):
            return alert
        is_told = bool(probing.parts) if alert.is_anomaly else probing.alerted is not None
        scan = self.scan_of(prober, time)
        if is_told or (scan is not None and scan.raised < time):
            alert = replace(alert, state=GROWN)
        return replace(alert, episode=probing.name)

    def scan(self, prober: Prober, alert: Alert) -> Alert:
        """The same of a scan's first alert."""
        probing = self._open(prober, alert.time)
        if probing is None or probing.scan is not None or probing.began == alert.time:
            return alert
        if probing.alerted is not None and probing.alerted < alert.time:
            alert = replace(alert, state=GROWN)
        return replace(alert, episode=probing.name)

    def enter(self, prober: Prober, episode: Episode, time: int) -> None:
        """The episode has begun, at event time `time`."""
        name, is_scan = episode.latest.episode, episode.latest.packet is None
        probing = self._of.setdefault(prober, _Probing(name, time, is_scan))
        if is_scan:
            probing.scan = probing.scan or episode.key
            return
        if probing.by_scan and probing.began == time:
            probing.name = name
        probing.by_scan = False
        probing.parts[episode.key] = episode
        if probing.alerted is None and not episode.latest.is_anomaly:
            probing.alerted = time

    def scan_of(self, prober: Prober, time: int) -> Episode | None:
        """The scan that goes on at event time `time`, which findings after it was raised are part
        of."""
        probing = self._of.get(prober)
        if probing is None or probing.scan is None:
            return None
        return self._current(probing.scan, time)

    def leave(self, prober: Prober, episode: Episode) -> dict[str, int]:
        """The episode has ended. Of a scan: its findings by check, which are told with it; those of
        a part that ends before its scan are kept for that."""
        probing, findings = self._of.get(prober), dict[str, int]()
        if probing is None:
            # Of several scans of one prober the first has the findings.
            return findings
        if episode.key in probing.parts:
            del probing.parts[episode.key]
            if probing.scan is not None:
                _count(probing.ended, episode)
                episode.told = episode.count
        elif episode.key == probing.scan:
            findings, probing.scan, probing.ended = probing.ended, None, {}
            for part in probing.parts.values():
                _count(findings, part)
                part.told = part.count
        if not probing.parts and probing.scan is None:
            del self._of[prober]
        return findings

    def _open(self, prober: Prober, time: int) -> _Probing | None:
        """What the prober does at that time."""
        probing = self._of.get(prober)
        if probing is not None:
            for key in (probing.scan, *probing.parts):
                if key is not None:
                    self._current(key, time)
        return self._of.get(prober)


def _count(findings: dict[str, int], of: Episode) -> None:
    check = of.latest.check.id
    findings[check] = findings.get(check, 0) + of.count
