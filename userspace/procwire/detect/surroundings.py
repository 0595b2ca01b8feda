"""The detectors that know the site, behind one door: connections in, observations out.

Free of compiled code: who watches processes alone need not load any.
"""

from __future__ import annotations

from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from procwire.config import Settings
from procwire.detect.detector import Observation
from procwire.detect.ics_enterprise import IcsEnterprise
from procwire.detect.ics_neighbours import IcsNeighbours
from procwire.detect.new_process import NewProcess, Started
from procwire.detect.sightings import sight
from procwire.detect.zones import Zones


class Surroundings:
    """Every such detector over the connections of one place of observation.

    zones: of the inventory; started: when processes began.
    """

    def __init__(
        self, settings: Settings, zones: Zones, started: Started = lambda key: None
    ) -> None:
        self._zones = zones
        self._detectors: dict[str, IcsEnterprise | IcsNeighbours | NewProcess] = {
            "new_process": NewProcess(settings, started)
        }
        if zones.is_ics.any():
            self._detectors["ics_enterprise"] = IcsEnterprise(settings)
            self._detectors["ics_neighbours"] = IcsNeighbours(settings)

    def update(self, connections: NDArray[np.void]) -> list[Observation]:
        """What `connections` show: record.CONNECTION (n,), in event time."""
        if not len(connections):
            return []
        seen = sight(connections, self._zones)
        found = [one for detector in self._detectors.values() for one in detector.update(seen)]
        return sorted(found, key=attrgetter("time"))

    def counters(self) -> dict[str, dict[str, int]]:
        """Counts by part and name."""
        return {name: detector.counters() for name, detector in self._detectors.items()}
