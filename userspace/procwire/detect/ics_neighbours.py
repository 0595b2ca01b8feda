"""ARP and neighbour sweeps in control zones (AN2050): one source asks for addresses nobody has.

A control zone's stations are few and known, so far fewer such questions count than elsewhere. Where
the capture has shown no reply at all, none of them tells anything: requests are broadcast, replies
are not, and who does not sit beside the asking host sees only the former.
"""

from __future__ import annotations

import numpy as np

from procwire.detect.detector import ICS_NEIGHBOURS
from procwire.detect.distinct import Distinct
from procwire.detect.observation import Evidence, Observation
from procwire.detect.sightings import Sightings, observation
from procwire.event import Outcome
from procwire.record import Attempt
from procwire.settings import Settings


class IcsNeighbours:
    """Counts by source the addresses of control zones for which nobody answered."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.ics
        self._missing = Distinct(settings.ics.window_ns)
        self._sees_replies = False

    def update(self, seen: Sightings) -> list[Observation]:
        """Who asked for too many."""
        rows = seen.rows
        asked = np.flatnonzero(
            (seen.columns["kind"] == Attempt.NEIGHBOUR) & seen.zones.is_ics[seen.zone]
        )
        if not len(asked):
            return []
        answered = seen.columns["outcome"][asked] == Outcome.ESTABLISHED
        trusted = np.logical_or.accumulate(answered) | self._sees_replies
        self._sees_replies = bool(trusted[-1])
        at = asked[trusted & (seen.columns["outcome"][asked] == Outcome.TIMED_OUT)]
        if not len(at):
            return []
        limit = self._settings.neighbours
        return [
            observation(
                ICS_NEIGHBOURS,
                rows[at[one.row]],
                one,
                (
                    Evidence("missing_neighbours", one.targets, limit, "ics.neighbours"),
                    Evidence("window_s", self._settings.window_s),
                ),
            )
            for one in self._missing.update(seen.attempts(at), limit)
        ]

    def counters(self) -> dict[str, int]:
        """evicted: sources of which everything was forgotten for want of room."""
        return self._missing.counters()
