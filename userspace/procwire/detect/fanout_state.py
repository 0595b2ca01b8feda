"""The memory of the fan-out windows: a slot per subject in every array.

Slots are given away one after the other, and a table says which is whose: subjects lie close
together, and of memory that the kernel has to zero few pages are touched by few subjects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.event import FANOUT_WINDOWS

COUNTERS = ("attempts", "ends", "reports", "evicted")
"""evicted: subjects forgotten with their counts because the table was full around them."""

BUCKETS = 2 * FANOUT_WINDOWS
"""Two of each window, one after the other."""
HOSTS, PAIRS = 0, 1
"""Sketches of a bucket."""
FEW = 24
"""Attempts of a subject that are remembered one by one: a bucket of no more has no sketches yet."""

TARGET = np.dtype([("hi", "u8"), ("lo", "u8"), ("port", "u2"), ("protocol", "u1")], align=True)
SUBJECT = np.dtype(
    [
        ("hi", "u8"),
        ("lo", "u8"),
        ("begun", "i8"),
        ("ends", "i8"),
        ("attempts", "i8"),
        ("established", "i8"),
        ("refused", "i8"),
        ("failures", "i8"),
        ("run", "i8"),
        ("least_run", "i8"),
        ("stride_hi", "u8"),
        ("stride_lo", "u8"),
        ("stride_port", "i8"),
        ("due", "u1"),
        ("oldest", "u1"),
        ("youngest", "u1"),
        ("kind", "u1"),
        ("sampled", "i8"),
        ("last", TARGET),
        ("first", TARGET),
    ],
    align=True,
)
"""What its buckets share: totals; begun, ends: within these times no bucket is over; run: the
current one; least_run: the least of what its buckets hold as longest run, 0 where one is empty;
due: whether a figure rose since the last judgement; oldest, youngest: the buckets with the most and
the fewest attempts; kind: of its attempts."""
BUCKET = np.dtype(
    [
        ("start", "i8"),
        ("first", "i8"),
        ("attempts", "i8"),
        ("established", "i8"),
        ("refused", "i8"),
        ("failures", "i8"),
        ("sequential_run", "i8"),
    ]
)
"""first: the time of its first attempt; attempts to failures: the subject's totals when it
began."""


class State(NamedTuple):
    """By place in the table: names[p], a hash of a subject, 0 where there is none; active[p], when
    it was last; slots[p], its slot. used[0]: slots given away. Per slot s, window w, bucket b and
    sketch k (hosts, pairs): subjects[s], buckets[s, b], steps[s, w, measure], the figure at which
    it is told again, 0 before it was; told[s], whether one of these is above 0; sketches[s, b, k],
    registers[s, b, k, 512], samples[s, 8], latest[s, FEW, k], the hashes of the last attempts.
    counters as in COUNTERS; windows: lengths in ns; thresholds: by kind of attempts and measure;
    origin: of the reports. Each kind has as many places, one kind's behind the other's. The
    sketches of a bucket of FEW attempts or less are not valid."""

    names: NDArray[np.uint64]
    active: NDArray[np.int64]
    slots: NDArray[np.int32]
    used: NDArray[np.int64]
    subjects: NDArray[np.void]
    buckets: NDArray[np.void]
    told: NDArray[np.bool_]
    steps: NDArray[np.int64]
    sketches: NDArray[np.void]
    registers: NDArray[np.uint8]
    samples: NDArray[np.void]
    latest: NDArray[np.uint64]
    counters: NDArray[np.int64]
    windows: NDArray[np.int64]
    thresholds: NDArray[np.int64]
    origin: int


class Crossing(NamedTuple):
    """window: its index; measure, threshold: as in event.FANOUT_EVENT; hosts, host_ports:
    the window's estimates."""

    window: int
    measure: int
    threshold: int | np.int64
    hosts: int | np.int64
    host_ports: int | np.int64
