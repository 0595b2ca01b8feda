"""Which processes of this host make the attempts of a scan that packets show, by its source
address alone.

Strategy: rows of a batch find their scans by one search in sorted columns, whatever number is open.
Of each scan a few attempts and failures are asked about, all in one question, and stand for all of
them. A process that fails often enough to scan by itself is told of, once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.detect.flag_probes import DETECTORS_BY_KIND
from procwire.event import Outcome
from procwire.owners.attribution import Owner
from procwire.owners.flow_keys import keys_of_contacts
from procwire.record import Attempt, Endpoint, ProcessId

if TYPE_CHECKING:
    from procwire.owners.flow_owners import FlowOwners

_SCANS, _SAMPLE = 1024, 32
# What so many of its attempts come to nothing of scans by itself: a browser beside a scanner, with
# the same address, has fewer.
_FAILURES = 16
# Processes that an alert lists.
_LISTED = 8

# Segments that open nothing are scans of their own; what else a source tries goes by its protocol.
_KINDS = {detector.id: kind for kind, detector in DETECTORS_BY_KIND.items()}
_ANY = Attempt.CONNECT
_KIND_OF = np.array([one if one in DETECTORS_BY_KIND else _ANY for one in Attempt], np.uint64)
_FAILED = (Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.UNREACHABLE)
_IS_COUNTED = np.array([one is Outcome.PENDING or one in _FAILED for one in Outcome])
_KIND_SHIFT = np.uint64(8)


_Counts = dict[ProcessId, float]
_Key = tuple[int, int, int]
"""What a scan's rows have in common: both halves of their source, the lower first, and their kind
with their protocol."""


class _Scan(msgspec.Struct):
    """latest: its last alert; attempts, failures: about how many each process made and had; owners:
    how each is known; told: those that alerts have named."""

    key: _Key
    latest: Alert
    attempts: _Counts = msgspec.field(default_factory=dict)
    failures: _Counts = msgspec.field(default_factory=dict)
    owners: dict[ProcessId, Owner] = msgspec.field(default_factory=dict)
    told: set[ProcessId] = msgspec.field(default_factory=set)


class _Index:
    """Which of the scans, at most a million, a row is of."""

    def __init__(self, scans: Iterable[_Scan]) -> None:
        keys: dict[_Key, list[_Scan]] = {}
        for scan in scans:
            keys.setdefault(scan.key, []).append(scan)
        words = np.array(list(keys), np.uint64)
        self.scans = list(keys.values())
        self._columns, codes = [], np.zeros(len(words), np.int64)
        for column in words.T:
            known, places = np.unique(column, return_inverse=True)
            self._columns.append(known)
            codes = codes * len(known) + places
        self._order = np.argsort(codes)
        self._codes = codes[self._order]

    def find(self, contacts: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Attempts and failures that are of a scan: their rows in record.CONNECTION (n,), and their
        places in `scans`."""
        what = _KIND_OF[contacts["kind"]] << _KIND_SHIFT | contacts["protocol"]
        at = np.flatnonzero(_IS_COUNTED[contacts["outcome"]])
        codes = np.zeros(len(at), np.int64)
        columns = contacts["src_lo"], contacts["src_hi"], what
        for column, known in zip(columns, self._columns, strict=True):
            places, is_known = _places(known, column[at])
            at, codes = at[is_known], (codes * len(known) + places)[is_known]
        places, is_known = _places(self._codes, codes)
        return at[is_known], self._order[places[is_known]]


class ScanShares:
    """owners: asked whose flows are."""

    def __init__(self, owners: FlowOwners) -> None:
        self._owners = owners
        self._scans: OrderedDict[str, _Scan] = OrderedDict()
        # Of the open scans, as long as none comes or goes.
        self._index: _Index | None = None
        # Scans with failures that nobody was told of, in order.
        self._news: dict[str, _Scan] = {}

    def told(self, alerts: Sequence[Alert], contacts: NDArray[np.void]) -> None:
        """Scans of this host are told, by alerts that name their processes. contacts: record.
        CONNECTION (n,) of their batch."""
        begun = []
        for alert in alerts:
            if alert.source is None:
                continue
            scan = self._scans.get(alert.episode)
            if scan is None:
                scan = _Scan(_key(alert.source, alert), alert)
                self._scans[alert.episode] = scan
                begun.append(scan)
            scan.latest = alert
            if alert.process is not None:
                scan.told.add(alert.process.key)
        if begun:
            self._index = None
            self._count(_Index(begun), contacts)
        while len(self._scans) > _SCANS:
            self._scans.popitem(last=False)

    def closed(self, alert: Alert) -> None:
        """The scan has ended."""
        if self._scans.pop(alert.episode, None) is not None:
            self._index = None

    def update(self, contacts: NDArray[np.void]) -> Iterator[tuple[Alert, Owner]]:
        """Take record.CONNECTION (n,) of a batch: whom else the scans are by, each with the scan's
        last alert."""
        if not len(contacts) or not self._scans:
            return
        if self._index is None:
            self._index = _Index(self._scans.values())
        self._count(self._index, contacts)
        news, self._news = self._news, {}
        for episode, scan in news.items():
            for key, failures in scan.failures.items():
                if failures >= _FAILURES and key not in scan.told and episode in self._scans:
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

    def _count(self, index: _Index, contacts: NDArray[np.void]) -> None:
        """Add rows to whose they are, by a sample of each scan's attempts and of its failures."""
        rows, places = index.find(contacts)
        if not len(rows):
            return
        has_failed = contacts["outcome"][rows] != Outcome.PENDING
        chosen, stand_for = _sample(2 * places + has_failed)
        rows = rows[chosen]
        keys = keys_of_contacts(contacts, rows, "src", "dst")
        owners = self._owners.owners(keys, contacts["time"][rows])
        columns = places[chosen].tolist(), has_failed[chosen].tolist(), stand_for.tolist()
        for owner, place, is_failure, number in zip(owners, *columns, strict=True):
            if owner is None:
                continue
            for scan in index.scans[place]:
                counts = scan.failures if is_failure else scan.attempts
                counts[owner.process] = counts.get(owner.process, 0.0) + number
                scan.owners[owner.process] = owner
                if is_failure:
                    self._news[scan.latest.episode] = scan


def _key(source: Endpoint, alert: Alert) -> _Key:
    number = int.from_bytes(source.address)
    what = _KINDS.get(alert.check.id, _ANY) << int(_KIND_SHIFT) | alert.protocol
    return number & (1 << 64) - 1, number >> 64, what


def _places(
    known: NDArray[Any], values: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where values (n,) are among those known, sorted, and whether they are."""
    places = np.searchsorted(known, values)
    return places, known.take(places, mode="clip") == values


def _sample(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which rows stand for all of their group (n,), group by group in order, and for how many each
    does."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    steps = -(-sizes // _SAMPLE)
    ranks = np.arange(len(order)) - np.repeat(starts, sizes)
    taken = ranks % np.repeat(steps, sizes) == 0
    return order[taken], np.repeat(sizes / -(-sizes // steps), sizes)[taken]
