"""All scan detectors behind one door: connections in, observations out.

Strategy: each kind of attempt has fan-out windows and thresholds of its own, so that a resolver's
answered queries do not hide its owner's scan; fanout_detectors.py says what judges them.
"""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.detect.coverage import Coverage
from procwire.detect.fanout import FanOut
from procwire.detect.fanout_detectors import FanoutDetectors, least_unanswered
from procwire.detect.flag_probes import DETECTORS_BY_KIND
from procwire.detect.observation import Observation
from procwire.detect.port_coverage import PortCoverage
from procwire.detect.random_walk import RandomWalk
from procwire.detect.row_hashes import row_hashes
from procwire.detect.service_sweep import ServiceSweep
from procwire.event import Origin
from procwire.record import Attempt
from procwire.settings import Settings
from procwire.settings.traffic import FanOutSettings

_Told: TypeAlias = list[Observation]
_Seen: TypeAlias = tuple[_Told, _Told, _Told, _Told, NDArray[np.void]]
# Each detector has room for a report of every row, some 1 KB together. A window of ordinary packets
# opens and ends fewer attempts.
_AT_A_TIME = 4096


class Scans:
    """Every scan detector over the connections of one place of observation. origin: where rows come
    from, which says whether they tell of failures."""

    def __init__(self, settings: Settings | None = None, origin: Origin = Origin.WIRE) -> None:
        settings = settings or Settings()
        self._detectors, self._quiet_ns = FanoutDetectors(settings), settings.episodes.quiet_ns
        by_kind = {kind: _thresholds(settings, kind) for kind in Attempt}
        self._fanout = FanOut(settings.fanout, by_kind, origin, least_unanswered(settings))
        self._walk = RandomWalk(settings)
        self._coverage = Coverage(settings)
        self._port_coverage = PortCoverage(settings)
        self._service_sweep = ServiceSweep(settings)

    def update(
        self, connections: NDArray[np.void], service_hosts: NDArray[np.int64] | None = None
    ) -> list[Observation]:
        """What `connections` show, in event time.

        connections: record.CONNECTION (n,), in event time; service_hosts: int64 (n,), as
        ServiceSweep.update() takes it.
        """
        if not len(connections):
            return []
        if service_hosts is None:
            service_hosts = np.zeros(len(connections), np.int64)
        starts = range(0, len(connections), _AT_A_TIME)
        pieces = [slice(start, start + _AT_A_TIME) for start in starts]
        seen = [self._enter(connections[piece], service_hosts[piece]) for piece in pieces]
        *slow, windows = zip(*seen, strict=True)
        # By detector, as without pieces, where several tell of one moment.
        found = [one for detector in slow for piece in detector for one in piece]
        # NumPy takes 25 us to join rows of so many fields, however few they are.
        reports = windows[0] if len(windows) == 1 else np.concatenate(windows)
        found += self._detectors.update(reports)
        return sorted(found, key=attrgetter("time"))

    def _enter(self, connections: NDArray[np.void], service_hosts: NDArray[np.int64]) -> _Seen:
        hashes = row_hashes(connections)
        return (
            self._walk.update(connections, hashes),
            self._coverage.update(connections, hashes),
            self._port_coverage.update(connections, hashes),
            self._service_sweep.update(connections, service_hosts, hashes),
            self._fanout.update(connections, hashes),
        )

    def totals(self, now: int) -> list[Observation]:
        """The end, at `now`, ns since the epoch: what the longest windows hold of each source that
        was reported. Of one whose episode is over by then nothing is raised again."""
        found = self._walk.totals() + self._coverage.totals() + self._port_coverage.totals()
        ended = now - self._quiet_ns
        for scan in self._detectors.update(self._fanout.totals()):
            found.append(replace(scan, final=scan.time <= ended))
        return sorted(found, key=attrgetter("time"))

    def counters(self) -> dict[str, dict[str, int]]:
        """Counts by part and name."""
        return {
            "fanout": self._fanout.counters(),
            "sweep": self._detectors.counters(),
            "random_walk": self._walk.counters(),
            "coverage": self._coverage.counters(),
            "port_coverage": self._port_coverage.counters(),
            "service_sweep": self._service_sweep.counters(),
        }


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
