"""Fan-out per source address and kind of attempt: how many hosts and ports were tried in a window,
and how that ended.

Strategy: count in kernels (window.py) in fixed memory; hand out the same rows that the kernel sends
for a process: one detector serves both.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.aligned_records import zeros_in_lines
from procwire.compiled.memory import sparse_zeros
from procwire.detect.fanout_state import BUCKETS, COUNTERS, FEW, NEVER, SKETCHES, SUBJECT, State
from procwire.detect.row_hashes import row_hashes
from procwire.detect.sketch import REGISTERS
from procwire.detect.window import count_connections, final_reports
from procwire.event import FANOUT_EVENT, FANOUT_WINDOWS, Attempt, Origin
from procwire.settings.traffic import FanOutSettings


class FanOut:
    """Counts attempts per source address and kind, and reports each threshold that a window
    crosses. by_kind: settings of kinds whose thresholds are others; origin: what the reports say of
    where the rows come from; unanswered: of windows of which a smaller share came to nothing there
    is no report, though it is counted."""

    def __init__(
        self,
        settings: FanOutSettings | None = None,
        by_kind: Mapping[Attempt, FanOutSettings] | None = None,
        origin: Origin = Origin.WIRE,
        unanswered: float = 0.0,
    ) -> None:
        settings = settings or FanOutSettings()
        chosen = [(by_kind or {}).get(kind, settings) for kind in Attempt]
        count = len(chosen) * settings.subjects
        self._reports = np.zeros(0, FANOUT_EVENT)
        targets = [[size for size in (one.hosts, one.host_ports) if size] for one in chosen]
        self._state = State(
            names=sparse_zeros((count,), np.uint64),
            active=sparse_zeros((count,), np.int64),
            slots=sparse_zeros((count,), np.int32),
            used=np.zeros(2, np.int64),
            subjects=zeros_in_lines(count, SUBJECT),
            blocks=np.zeros(count, np.int32),
            registers=np.zeros((count + 1) * SKETCHES * REGISTERS, np.uint64),
            cells=np.full(BUCKETS, NEVER),
            counters=np.zeros(len(COUNTERS), np.int64),
            windows=np.array(settings.windows_ns, np.int64),
            thresholds=np.array(
                [[one.hosts, one.host_ports, one.failures, one.sequential_run] for one in chosen],
                np.int64,
            ),
            least=np.array([min(sizes, default=FEW + 1) for sizes in targets], np.int64),
            places=settings.subjects,
            origin=int(origin),
            unanswered=unanswered,
        )

    def update(
        self, connections: NDArray[np.void], hashes: NDArray[np.void] | None = None
    ) -> NDArray[np.void]:
        """Rows of event.FANOUT_EVENT for the thresholds that `connections` make windows cross.

        connections: record.CONNECTION (n,), in event time; hashes: row_hashes() of them. A row of
        origin wire is an attempt (outcome pending or sent) or the end of an earlier one; a row of
        any other origin is a whole connection, attempt and end. At most one report per attempt and
        per end: the first measure of the first window that crossed; and, measure 0, one of each
        window that was reported and turns to its next bucket. Times of the result are ns since the
        epoch, attempt is the kind.
        """
        # An attempt, an end and every window.
        most = (2 + FANOUT_WINDOWS) * len(connections)
        if len(self._reports) < most:
            self._reports = np.zeros(most, FANOUT_EVENT)
        if hashes is None:
            hashes = row_hashes(connections)
        written = count_connections(self._state, connections, hashes, self._reports)
        # NumPy takes 50 us to copy rows of so many fields, however few they are.
        return np.frombuffer(self._reports[:written].tobytes(), FANOUT_EVENT)

    def totals(self) -> NDArray[np.void]:
        """A last row of event.FANOUT_EVENT, measure 0, for each source of which something was
        reported: what its longest window holds now."""
        reports = np.zeros(np.count_nonzero(self._state.subjects["told"]), FANOUT_EVENT)
        final_reports(self._state, reports)
        return reports

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._state.counters.tolist(), strict=True))
