"""All scan detectors behind one door: connections in, observations out.

Strategy: each kind of attempt has fan-out windows of its own, made when the kind first appears, so
that a resolver's answered queries do not hide its owner's scan; judges.py says what judges them.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from procwire.config import FanOutSettings, Settings
from procwire.detect.coverage import Coverage
from procwire.detect.detector import Observation
from procwire.detect.fanout import FanOut
from procwire.detect.fanout_state import COUNTERS
from procwire.detect.flag_probes import DETECTORS_BY_KIND
from procwire.detect.judges import Judges
from procwire.detect.port_coverage import PortCoverage
from procwire.detect.random_walk import RandomWalk
from procwire.detect.service_sweep import ServiceSweep
from procwire.event import Origin
from procwire.record import Attempt


class Scans:
    """Every scan detector over the connections of one place of observation. origin: where rows come
    from, which says whether they tell of failures."""

    def __init__(self, settings: Settings | None = None, origin: Origin = Origin.WIRE) -> None:
        self._settings, self._origin = settings or Settings(), origin
        self._judges = Judges(self._settings)
        self._fanouts: dict[Attempt, FanOut] = {}
        self._walk = RandomWalk(self._settings)
        self._coverage = Coverage(self._settings)
        self._port_coverage = PortCoverage(self._settings)
        self._service_sweep = ServiceSweep(self._settings)

    def update(
        self, connections: NDArray[np.void], service_hosts: NDArray[np.int64] | None = None
    ) -> list[Observation]:
        """What `connections` show, in event time.

        connections: record.CONNECTION (n,), in event time; service_hosts: int64 (n,), as
        ServiceSweep.update() takes it.
        """
        found = self._walk.update(connections) + self._coverage.update(connections)
        found += self._port_coverage.update(connections)
        found += self._service_sweep.update(connections, service_hosts)
        # One copy, of which each kind is a slice.
        by_kind = connections[np.argsort(connections["kind"], kind="stable")]
        ends = np.cumsum(np.bincount(connections["kind"], minlength=len(Attempt))).tolist()
        for kind, (start, end) in zip(Attempt, pairwise([0, *ends]), strict=True):
            # Connections also where there are none: the first batch has to compile all kernels.
            if start < end or kind is Attempt.CONNECT:
                rows = self._fanout(kind).update(by_kind[start:end])
                found += self._judges.update(rows, kind)
        return sorted(found, key=attrgetter("time"))

    def totals(self) -> list[Observation]:
        """The end: what the longest windows hold of each source that was reported."""
        found = self._walk.totals() + self._coverage.totals() + self._port_coverage.totals()
        for kind, fanout in self._fanouts.items():
            found += self._judges.update(fanout.totals(), kind)
        return sorted(found, key=attrgetter("time"))

    def counters(self) -> dict[str, dict[str, int]]:
        """Counts by part and name."""
        fanout = Counter(dict.fromkeys(COUNTERS, 0))
        for one in self._fanouts.values():
            fanout.update(one.counters())
        return {
            "fanout": dict(fanout),
            "sweep": self._judges.counters(),
            "random_walk": self._walk.counters(),
            "coverage": self._coverage.counters(),
            "port_coverage": self._port_coverage.counters(),
            "service_sweep": self._service_sweep.counters(),
        }

    def _fanout(self, kind: Attempt) -> FanOut:
        if kind not in self._fanouts:
            self._fanouts[kind] = FanOut(_thresholds(self._settings, kind), self._origin)
        return self._fanouts[kind]


def _thresholds(settings: Settings, kind: Attempt) -> FanOutSettings:
    """When the windows of a kind are looked at. What is judged by its ends is looked at when they
    are as many as the targets have to be."""
    fanout = settings.fanout
    if kind is Attempt.CONNECT:
        return fanout
    if kind in DETECTORS_BY_KIND:
        targets = settings.probes.targets
        changed = {"hosts": targets, "host_ports": targets, "failures": targets}
    else:
        changed = {"failures": fanout.hosts}
    return fanout.model_copy(update=changed)
