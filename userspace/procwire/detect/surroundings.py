"""The detectors that know the site, behind one door: connections in, observations out.

Free of compiled code: who watches processes alone need not load any.
"""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.detect.first_seen import FirstSeen, RoleOf
from procwire.detect.habits import Habits
from procwire.detect.ics_enterprise import IcsEnterprise
from procwire.detect.ics_neighbours import IcsNeighbours
from procwire.detect.new_process import NewProcess
from procwire.detect.observation import Observation
from procwire.detect.sightings import Means
from procwire.detect.zones import Zones
from procwire.record import Lookup, ProcessId
from procwire.settings import Settings


class Known(NamedTuple):
    """What is known of a site. habits: None where nothing is learned; role_of: the role of an
    address, empty where it has none."""

    zones: Zones
    habits: Habits | None
    role_of: RoleOf


class Surroundings:
    """Every such detector over the connections of one place of observation.

    known: what is known of the site; lookup: where the process of a row is asked for, None where
    rows are of no processes; means: of compiled_site.py where code is compiled anyway.
    """

    def __init__(
        self,
        settings: Settings,
        known: Known,
        lookup: Lookup | None = None,
        means: Means | None = None,
    ) -> None:
        self._means = means or Means()
        asked: Lookup = lookup or (lambda key: None)

        def started(key: ProcessId) -> int | None:
            found = asked(key)
            return found[0].started if found is not None else None

        def program(key: ProcessId) -> str | None:
            found = asked(key)
            return found[0].identity if found is not None else None

        self._zones = known.zones
        self._detectors: dict[str, IcsEnterprise | IcsNeighbours | NewProcess | FirstSeen] = {}
        if lookup is not None:
            self._detectors["new_process"] = NewProcess(settings, started, self._means.key_map)
        if known.zones.is_ics.any():
            self._detectors["ics_enterprise"] = IcsEnterprise(settings)
            self._detectors["ics_neighbours"] = IcsNeighbours(settings)
        if known.habits is not None:
            self._detectors["first_seen"] = FirstSeen(
                settings, known.habits, program, known.role_of, self._means.key_map
            )

    def update(self, connections: NDArray[np.void]) -> list[Observation]:
        """What `connections` show: record.CONNECTION (n,), in event time."""
        if not self._detectors or not len(connections):
            return []
        seen = self._means.sightings(connections, self._zones)
        found = [one for detector in self._detectors.values() for one in detector.update(seen)]
        return sorted(found, key=attrgetter("time"))

    def counters(self) -> dict[str, dict[str, int]]:
        """Counts by part and name."""
        return {name: detector.counters() for name, detector in self._detectors.items()}
