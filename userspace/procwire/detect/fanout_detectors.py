"""Which detectors judge a fan-out, by its kind: windows in, observations out.

Free of compiled code, so that who watches processes alone need not load any.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.detect.figures import (
    Figures,
    Judge,
    Verdict,
    observation,
)
from procwire.detect.flag_probes import DETECTORS_BY_KIND, flag_probes
from procwire.detect.icmp_sweep import icmp_sweep
from procwire.detect.neighbour_sweep import neighbour_sweep
from procwire.detect.observation import Observation
from procwire.detect.repeated import repeated_attempts
from procwire.detect.sequential import sequential
from procwire.detect.sightings import process_of
from procwire.detect.sweep import sweep
from procwire.detect.udp_unreachable import udp_unreachable
from procwire.record import Attempt, ProcessId
from procwire.settings import Settings

IsScanner = Callable[[ProcessId], bool]

# In the order in which they are asked; the first that answers names the scan.
_JUDGES: dict[Attempt, tuple[Judge, ...]] = {
    Attempt.CONNECT: (sweep, sequential, repeated_attempts),
    Attempt.DATAGRAM: (udp_unreachable, sweep, sequential),
    Attempt.ECHO: (icmp_sweep,),
    Attempt.NEIGHBOUR: (neighbour_sweep,),
    **dict.fromkeys(DETECTORS_BY_KIND, (flag_probes,)),
}


def least_unanswered(settings: Settings) -> float:
    """The share of attempts that came to nothing below which no detector calls them a scan, unless
    they are a known scanner's or no record says how most of them ended."""
    sweep = settings.sweep
    return min(sweep.unanswered, sweep.mostly_unanswered, settings.datagrams.unanswered)


class FanoutDetectors:
    """Judge fan-out rows of the kernel (a process) and of the wire (a source address) alike.

    is_scanner: whether a process runs a program that is known for scanning; asked where the figures
    alone are no scan; None where rows are of no processes.
    """

    def __init__(
        self, settings: Settings | None = None, is_scanner: IsScanner | None = None
    ) -> None:
        self._settings, self._is_scanner = settings or Settings(), is_scanner
        self._counts = {"judged": 0, "scans": 0}

    def update(self, rows: NDArray[np.void]) -> list[Observation]:
        """The scans among `rows`, in order of time.

        rows: event.FANOUT_EVENT (n,), times in ns since the epoch (rows of the kernel are in ns
        since boot and have to be shifted first).
        """
        self._counts["judged"] += len(rows)
        if not len(rows):
            return []
        found = []
        for place, figures in enumerate(Figures.of(rows)):
            verdict = self._judge(figures)
            if verdict is None and self._is_by_scanner(rows[place]):
                verdict = self._judge(replace(figures, by_scanner=True))
            if verdict is not None:
                self._counts["scans"] += 1
                found.append(observation(rows[place], verdict, figures.kind))
        return sorted(found, key=attrgetter("time", "kind"))

    def counters(self) -> dict[str, int]:
        """judged: rows seen; scans: called a scan."""
        return dict(self._counts)

    def _is_by_scanner(self, row: np.void) -> bool:
        if self._is_scanner is None:
            return False
        key = process_of(row)
        return key is not None and self._is_scanner(key)

    def _judge(self, figures: Figures) -> Verdict | None:
        for judge in _JUDGES[figures.kind]:
            verdict = judge(figures, self._settings)
            if verdict is not None:
                return verdict
        return None
