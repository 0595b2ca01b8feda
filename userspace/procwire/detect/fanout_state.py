"""The memory of the fan-out windows: a row per subject, and its sketches' registers.

Rows are given away one after the other, and a table says which is whose: subjects lie close
together, and of memory that the kernel has to zero few pages are touched by few subjects. A row
begins with what every attempt looks at, and ends with what only reports do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.aligned_records import Field, whole_lines
from procwire.compiled.prefetch import lines_of
from procwire.detect.sketch import SKETCH
from procwire.event import FANOUT_WINDOWS, SAMPLE_TARGETS, Measure

COUNTERS = ("attempts", "ends", "reports", "evicted")
"""evicted: subjects forgotten with their counts because the table was full around them."""

BUCKETS = 2 * FANOUT_WINDOWS
"""Two of each window, one after the other."""
HOSTS, PAIRS = 0, 1
"""Sketches of a bucket."""
SKETCHES = 2
FEW = 24
"""Attempts of a subject that are remembered one by one: a bucket of no more has no sketches yet."""
NEVER = -(2**62)
"""No time lies in a window that begins then."""
TOTALS = 2**32 - 1
"""The bits of a total that a bucket remembers."""
AGE_BITS = 4
AGE_MASK = (1 << AGE_BITS) - 1
BY_NUMBER = sum(bucket << AGE_BITS * bucket for bucket in range(BUCKETS))
"""Ages of buckets that nothing tells apart."""
SET_BACK = 1 << BUCKETS
"""Beside the buckets that are judged: of a window it is the one that began last."""

TARGET = np.dtype([("hi", "u8"), ("lo", "u8"), ("port", "u2"), ("protocol", "u1")], align=True)
BUCKET = np.dtype(
    [
        ("first_time", "i8"),
        ("established_before", "u4"),
        ("refused_before", "u4"),
        ("failures_before", "u4"),
    ],
    align=True,
)
"""first_time: of the first attempt; established_before to failures_before: the lowest 32 bits of
the subject's totals when it began."""
_BY_EVERY_ATTEMPT: tuple[Field, ...] = (
    ("hi", "u8"),
    ("lo", "u8"),
    ("begun", "i8"),
    ("ends", "i8"),
    ("attempts", "i8"),
    ("established", "i8"),
    ("refused", "i8"),
    ("failures", "i8"),
    ("failures_due", "i8"),
    ("stride_hi", "u8"),
    ("stride_lo", "u8"),
    ("stride_port", "i4"),
    ("run", "u4"),
    ("least_run", "u4"),
    ("ages", "u4"),
    ("kind", "u1"),
    ("due", "u1"),
    ("told", "u1"),
    ("judged", "u1"),
    ("sampled", "u1"),
    ("generations", "u1", (BUCKETS,)),
    ("last", TARGET),
    ("attempts_before", "u4", (BUCKETS,)),
    ("runs", "u4", (BUCKETS,)),
    ("starts", "i8", (BUCKETS,)),
    ("latest", "u2", (SKETCHES * FEW,)),
)
_BY_TURNS: tuple[Field, ...] = (("buckets", BUCKET, (BUCKETS,)),)
_BY_FIRST_ATTEMPTS: tuple[Field, ...] = (("first", TARGET), ("samples", TARGET, (SAMPLE_TARGETS,)))
_BY_REPORTS: tuple[Field, ...] = (
    ("sketches", SKETCH, (BUCKETS * SKETCHES,)),
    ("steps", "i8", (FANOUT_WINDOWS * len(Measure),)),
)
SUBJECT = whole_lines((*_BY_EVERY_ATTEMPT, *_BY_TURNS, *_BY_FIRST_ATTEMPTS, *_BY_REPORTS))
"""hi to failures, run, last, first: what its buckets share, totals and the current run; begun,
ends: within these times no bucket is over; least_run: the least of what its buckets hold as longest
run, 0 where one is empty; failures_due: at how many failures they are as many as is told; kind: of
its attempts; due: whether a figure that is judged rose since it was; told: whether one of `steps`
is above 0; judged: a bit for each bucket whose figures are, and SET_BACK; ages: its buckets, four
bits each, the youngest first; generations: by bucket, which of its registers' values are its own,
and not left from before; latest: hosts and then pairs of the last attempts, as code_of() gives
them; steps: by window and measure, the figure at which it is told again, 0 before it was, not valid
where none was told; samples: targets, of which `sampled` were written, less a multiple of their
room once it is full. By bucket: attempts_before, the lowest 32 bits of `attempts` when it began;
runs, the longest, at most TOTALS; starts, times; sketches, of hosts and of pairs, not valid for a
bucket of FEW attempts or less."""
_OF_SHORTEST_WINDOW = 2 * BUCKET.itemsize
SUBJECT_LINES = lines_of(
    np.dtype(list(_BY_EVERY_ATTEMPT), align=True).itemsize + _OF_SHORTEST_WINDOW
)
"""Of a subject, those that attempts look at, and those that the shortest window's turns do."""
BEGUN_LINES = lines_of(dict(SUBJECT.fields or {})["samples"][1] + TARGET.itemsize)
"""Of a subject, those that its first attempt writes."""


class State(NamedTuple):
    """By place in the table: names[p], a hash of a subject, 0 where there is none; active[p], when
    it was last; slots[p], its slot. used: slots and blocks given away. subjects[s]: SUBJECT of each
    slot; blocks[s]: its block of registers, 0 before its first sketch. registers[b * 2 * 512 + k *
    512 + r]: register r of a block's sketches of hosts (k = 0) or pairs, a byte for each bucket, a
    generation above a rank. cells: by bucket, when the latest cell of its grid began. counters as
    in COUNTERS; windows: lengths in ns; thresholds: by kind of attempts and measure; least: by
    kind, of how many targets is told at the earliest; places: of each kind in the table, one kind's
    behind the other's; origin: of the reports; unanswered: the least share that is told."""

    names: NDArray[np.uint64]
    active: NDArray[np.int64]
    slots: NDArray[np.int32]
    used: NDArray[np.int64]
    subjects: NDArray[np.void]
    blocks: NDArray[np.int32]
    registers: NDArray[np.uint64]
    cells: NDArray[np.int64]
    counters: NDArray[np.int64]
    windows: NDArray[np.int64]
    thresholds: NDArray[np.int64]
    least: NDArray[np.int64]
    places: int
    origin: int
    unanswered: float


class Crossing(NamedTuple):
    """window: its index; measure, threshold: as in event.FANOUT_EVENT; hosts, host_ports:
    the window's estimates."""

    window: int
    measure: int
    threshold: int | np.int64
    hosts: int | np.int64
    host_ports: int | np.int64
