"""The path from the kernel's counters to alerts, in event time: judges and episodes, no packets.

Free of compiled code: who watches processes alone needs neither numba nor its memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.config import Settings
from procwire.context.site import Site
from procwire.detect.judges import Judges
from procwire.episodes import Episodes, Lookup


class ProcessAnalysis:
    """Judges and episodes of one run. last_time: event time reached, ns since the epoch.

    lookup: where the process of a row is asked for; site: what is known of the site, asked about
    each alert.
    """

    def __init__(self, settings: Settings, lookup: Lookup, site: Site | None = None) -> None:
        site = site or Site()
        self._judges = Judges(settings)
        self._episodes = Episodes(settings, (), lookup, site.admit)
        self.last_time = 0

    def fanouts(self, rows: NDArray[np.void], now: int) -> list[Alert]:
        """The alerts that the kernel's fan-out rows raise.

        rows: event.FANOUT_EVENT (n,), times in ns since the epoch; now: the same clock's time up to
        which everything has been seen.
        """
        self.last_time = max(self.last_time, now)
        return self._episodes.update(now, self._judges.fanouts(rows))

    def finish(self) -> list[Alert]:
        """The end: totals of the open episodes."""
        return self._episodes.close()

    def counters(self) -> dict[str, int]:
        """What was seen, by part and name."""
        parts = {"sweep": self._judges.counters(), "episodes": self._episodes.counters()}
        return {f"{part}.{name}": n for part in parts for name, n in parts[part].items()}
