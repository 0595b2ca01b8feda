"""Fan-out per source address: how many hosts and ports it tried in a window, and how that ended.

Strategy: count in kernels (window.py) in fixed memory; hand out the same rows that the kernel sends
for a process: one detector serves both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.config import FanOutSettings
from procwire.detect.fanout_state import (
    BUCKET,
    BUCKETS,
    COUNTERS,
    FEW,
    REPORT,
    SUBJECT,
    TARGET,
    Reports,
    State,
)
from procwire.detect.sketch import REGISTERS, SKETCH
from procwire.detect.window import count_connections, final_reports
from procwire.event import FANOUT_EVENT, FANOUT_WINDOWS, SAMPLE_TARGETS, EventKind, Measure, Origin
from procwire.memory import sparse_zeros

_FIGURE_LIMIT = np.int64(2**32 - 1)


class FanOut:
    """Counts connections per source address and reports each threshold that a window crosses.
    origin: what the reports say of where the rows come from."""

    def __init__(
        self, settings: FanOutSettings | None = None, origin: Origin = Origin.WIRE
    ) -> None:
        settings, self._origin = settings or FanOutSettings(), origin
        count = settings.subjects
        self._reports = _room(0)
        self._state = State(
            subjects=sparse_zeros((count,), SUBJECT),
            buckets=sparse_zeros((count, FANOUT_WINDOWS, BUCKETS), BUCKET),
            levels=np.zeros((count, FANOUT_WINDOWS, len(Measure)), np.uint8),
            sketches=sparse_zeros((count, FANOUT_WINDOWS, BUCKETS, 2), SKETCH),
            registers=sparse_zeros((count, FANOUT_WINDOWS, BUCKETS, 2, REGISTERS), np.uint8),
            samples=sparse_zeros((count, SAMPLE_TARGETS), TARGET),
            latest=sparse_zeros((count, FEW, 2), np.uint64),
            counters=np.zeros(len(COUNTERS), np.int64),
            windows=np.array(settings.windows_ns, np.int64),
            thresholds=np.array(
                [settings.hosts, settings.host_ports, settings.failures, settings.sequential_run],
                np.int64,
            ),
        )

    def update(self, connections: NDArray[np.void]) -> NDArray[np.void]:
        """Rows of event.FANOUT_EVENT for the thresholds that `connections` make windows cross.

        connections: record.CONNECTION (n,), in event time. A row of origin wire is an attempt
        (outcome pending or sent) or the end of an earlier one; a row of any other origin is a whole
        connection, attempt and end. At most one report per attempt and per end: the first measure
        of the first window that crossed; and, measure 0, one of each window that was reported and
        turns to its next bucket. Times of the result are ns since the epoch.
        """
        # An attempt, an end and every window.
        most = (2 + FANOUT_WINDOWS) * len(connections)
        if len(self._reports.rows) < most:
            self._reports = _room(most)
        written = count_connections(self._state, connections, self._reports)
        return self._events(self._reports, written)

    def totals(self) -> NDArray[np.void]:
        """A last row of event.FANOUT_EVENT, measure 0, for each source of which something was
        reported: what its longest window holds now."""
        reports = _room(len(self._state.subjects))
        return self._events(reports, final_reports(self._state, reports))

    def _events(self, reports: Reports, written: int) -> NDArray[np.void]:
        told = Reports(reports.rows[:written], reports.samples[:written])
        events = _events(told, self._state.windows)
        events["origin"] = self._origin
        return events

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._state.counters.tolist(), strict=True))


def _room(count: int) -> Reports:
    return Reports(np.zeros(count, REPORT), np.zeros((count, SAMPLE_TARGETS), TARGET))


def _events(told: Reports, windows: NDArray[np.int64]) -> NDArray[np.void]:
    reports = told.rows
    events = np.zeros(len(reports), FANOUT_EVENT)
    if not len(reports):
        return events
    subject, bucket = reports["subject"], reports["bucket"]
    events["time_ns"] = reports["time"]
    events["window_ns"] = windows[reports["window"]]
    events["window_start_ns"] = bucket["start"].astype(np.uint64)
    events["first_ns"] = bucket["first"].astype(np.uint64)
    events["kind"] = EventKind.FANOUT
    events["measure"] = reports["measure"] + Measure.HOSTS
    for name in ("attempts", "established", "refused", "failures", "sequential_run"):
        events[name] = np.minimum(bucket[name], _FIGURE_LIMIT)
    for name in ("hosts", "host_ports", "threshold"):
        events[name] = np.minimum(reports[name], _FIGURE_LIMIT)
    events["samples"] = np.minimum(subject["sampled"], SAMPLE_TARGETS)
    events["source"] = _address_bytes(subject)
    for name, targets in (
        ("first", subject["first"]),
        ("last", subject["last"]),
        ("sample", told.samples),
    ):
        events[name]["address"] = _address_bytes(targets)
        events[name]["port"] = targets["port"]
        events[name]["protocol"] = targets["protocol"]
    return events


def _address_bytes(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    """(..., 16) bytes in network order of rows with halves hi and lo."""
    halves = np.stack([rows["hi"], rows["lo"]], axis=-1).astype(">u8")
    return halves.view(np.uint8).reshape(*rows.shape, 16)
