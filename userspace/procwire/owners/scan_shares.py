"""Which processes of this host make the attempts of a scan that packets show, by its source
address alone.

Strategy: of a scan that was told, a few attempts and failures of each batch are asked about and
stand for all of them. A process that fails often enough to scan by itself is told of, once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.detect.flag_probes import DETECTORS_BY_KIND
from procwire.detect.observation import ProcessId
from procwire.event import Outcome
from procwire.owners.attribution import Owner
from procwire.owners.flow_counts import endpoint

if TYPE_CHECKING:
    from procwire.owners.flow_owners import FlowOwners

_SCANS, _SAMPLE = 1024, 32
# What so many of its attempts come to nothing of scans by itself: a browser beside a scanner, with
# the same address, has fewer.
_FAILURES = 16
# Processes that an alert lists.
_LISTED = 8

_KINDS = {detector.id: kind for kind, detector in DETECTORS_BY_KIND.items()}
_LONE = np.array(list(DETECTORS_BY_KIND), np.uint8)
_FAILED = (Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.UNREACHABLE)


_Counts = dict[ProcessId, float]


class _Scan(msgspec.Struct):
    """latest: its last alert; attempts, failures: about how many each process made and had; owners:
    how each is known; told: those that alerts have named."""

    latest: Alert
    attempts: _Counts = msgspec.field(default_factory=dict)
    failures: _Counts = msgspec.field(default_factory=dict)
    owners: dict[ProcessId, Owner] = msgspec.field(default_factory=dict)
    told: set[ProcessId] = msgspec.field(default_factory=set)


class ScanShares:
    """owners: asked whose flows are."""

    def __init__(self, owners: FlowOwners) -> None:
        self._owners = owners
        self._scans: OrderedDict[str, _Scan] = OrderedDict()

    def told(self, alert: Alert, contacts: NDArray[np.void]) -> None:
        """A scan of this host is told, by an alert that names its process. contacts: record.
        CONNECTION (n,) of its batch."""
        scan = self._scans.get(alert.episode)
        if scan is None:
            scan = self._scans[alert.episode] = _Scan(alert)
            self._count(scan, contacts)
            if len(self._scans) > _SCANS:
                self._scans.popitem(last=False)
        scan.latest = alert
        if alert.process is not None:
            scan.told.add(alert.process.key)

    def closed(self, alert: Alert) -> None:
        """The scan has ended."""
        self._scans.pop(alert.episode, None)

    def update(self, contacts: NDArray[np.void]) -> Iterator[tuple[Alert, Owner]]:
        """Take record.CONNECTION (n,) of a batch: whom else the scans are by, each with the scan's
        last alert."""
        if not len(contacts):
            return
        for scan in self._scans.values():
            self._count(scan, contacts)
            for key, failures in scan.failures.items():
                if failures >= _FAILURES and key not in scan.told:
                    scan.told.add(key)
                    yield scan.latest, scan.owners[key]

    def of(self, alert: Alert) -> list[tuple[ProcessId, int]]:
        """The processes of a scan and about how many attempts each made since it was told, most
        first; none where it is by one alone."""
        scan = self._scans.get(alert.episode)
        if scan is None or len(scan.attempts) < 2:
            return []
        most_first = sorted(scan.attempts.items(), key=itemgetter(1), reverse=True)
        return [(key, round(attempts)) for key, attempts in most_first[:_LISTED]]

    def _count(self, scan: _Scan, contacts: NDArray[np.void]) -> None:
        alert = scan.latest
        if alert.source is None:
            return
        number = int.from_bytes(alert.source.address)
        hi, lo = np.uint64(number >> 64), np.uint64(number & (1 << 64) - 1)
        own = (contacts["src_lo"] == lo) & (contacts["src_hi"] == hi)
        own &= contacts["protocol"] == alert.protocol
        kind = _KINDS.get(alert.check.id)
        own &= contacts["kind"] == kind if kind is not None else ~np.isin(contacts["kind"], _LONE)
        outcome = contacts["outcome"]
        self._share(scan, contacts, own & (outcome == Outcome.PENDING), scan.attempts)
        self._share(scan, contacts, own & np.isin(outcome, _FAILED), scan.failures)

    def _share(
        self,
        scan: _Scan,
        contacts: NDArray[np.void],
        wanted: NDArray[np.bool_],
        counts: _Counts,
    ) -> None:
        """Add those rows to whose they are, by a sample of them."""
        at = np.flatnonzero(wanted)
        sample = at[:: max(1, -(-len(at) // _SAMPLE))]
        for row in contacts[sample]:
            ends = endpoint(row, "src"), endpoint(row, "dst")
            owner = self._owners.owner(*ends, int(row["protocol"]), int(row["time"]))
            if owner is not None:
                scan.owners[owner.process] = owner
                before = counts.get(owner.process, 0.0)
                counts[owner.process] = before + len(at) / len(sample)
