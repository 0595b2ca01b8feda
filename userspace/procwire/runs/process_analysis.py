"""The path from the kernel's counters to alerts, in event time: detectors and episodes, no packets.

Free of compiled code: who watches processes alone needs neither numba nor its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.context.site import Site
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.detect.surroundings import Surroundings
from procwire.episodes import Admit, Episodes
from procwire.record import CONNECTION, Attempt, Lookup, Process, ProcessId
from procwire.settings import Settings

# IP protocol -> kind of attempt; a connection of any other is one of neither.
_KINDS = np.full(256, Attempt.CONNECT, np.uint8)
_KINDS[[1, 58]] = Attempt.ECHO
_KINDS[17] = Attempt.DATAGRAM
_SAME = ("process", "protocol", "origin", "outcome", "family")


class ProcessAnalysis:
    """Detectors and episodes of one run. last_time: event time reached, ns since the epoch.

    lookup: where the process of a row is asked for; site: what is known of the site, asked about
    each alert; link: names what is told of the same processes from elsewhere.
    """

    def __init__(
        self,
        settings: Settings,
        lookup: Lookup,
        site: Site | None = None,
        link: Admit = lambda alerts: alerts,
    ) -> None:
        site = site or Site()
        scanners = settings.sweep.scanner_names

        def is_scanner(key: ProcessId) -> bool:
            found = lookup(key)
            return found is not None and found[0].program in scanners

        self._detectors = FanoutDetectors(settings, is_scanner)
        self._site = site
        self._lookup, self._set_by = lookup, 0
        self._surroundings = Surroundings(settings, site.known, self._by_the_clock)
        self._episodes = Episodes(
            settings, (), lookup, lambda alerts: site.admit(link(alerts), scanners)
        )
        self.last_time = 0

    def update(
        self, fanouts: NDArray[np.void], connections: NDArray[np.void], now: int
    ) -> list[Alert]:
        """The alerts that the kernel's rows raise.

        fanouts: event.FANOUT_EVENT (n,); connections: event.CONNECTION_EVENT (n,); times in ns
        since the epoch; now: the same clock's time up to which everything has been seen.
        """
        self.last_time = max(self.last_time, now)
        rows = connection_rows(connections)
        self._site.note_home(rows)
        found = self._detectors.update(fanouts) + self._surroundings.update(rows)
        return self._episodes.update(now, sorted(found, key=attrgetter("time")))

    def clock_set(self, by: int) -> None:
        """The clock that event times are told by was set forward by so many ns, or back."""
        self._set_by += by
        self._episodes.clock_set(by)

    def finish(self) -> list[Alert]:
        """The end: totals of the open episodes."""
        return self._episodes.close()

    def counters(self) -> dict[str, int]:
        """What was seen, by part and name."""
        parts = {
            "sweep": self._detectors.counters(),
            **self._surroundings.counters(),
            "episodes": self._episodes.counters(),
        }
        return {f"{part}.{name}": n for part in parts for name, n in parts[part].items()}

    def _by_the_clock(self, key: ProcessId) -> tuple[Process, Sequence[Process]] | None:
        """A process, started when it did by the clock as it is now, so that it is as old as it
        is."""
        found = self._lookup(key)
        if found is None or not self._set_by or found[0].started is None:
            return found
        return replace(found[0], started=found[0].started + self._set_by), found[1]


def connection_rows(events: NDArray[np.void]) -> NDArray[np.void]:
    """The kernel's events, event.CONNECTION_EVENT (n,), as record.CONNECTION (n,) by their time."""
    events = events[np.argsort(events["time_ns"], kind="stable")]
    rows = np.zeros(len(events), CONNECTION)
    for name in _SAME:
        rows[name] = events[name]
    rows["time"] = events["time_ns"]
    for side, name in (("src", "source"), ("dst", "destination")):
        halves = np.ascontiguousarray(events[name]).view(">u8").reshape(len(events), 2)
        rows[f"{side}_hi"], rows[f"{side}_lo"] = halves[:, 0], halves[:, 1]
        rows[f"{side}_port"] = events[f"{name}_port"]
    rows["kind"] = _KINDS[events["protocol"]]
    return rows
