"""The memory of the fan-out windows: one slot per subject in every array, and what is reported."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.event import SAMPLE_TARGETS

COUNTERS = ("attempts", "ends", "reports", "evicted")
"""evicted: subjects forgotten with their counts because the table was full around them."""

BUCKETS = 2
FEW = SAMPLE_TARGETS
"""Attempts of a subject that are remembered one by one, and all sampled: a bucket of no more has no
sketches yet."""

TARGET = np.dtype([("hi", "u8"), ("lo", "u8"), ("port", "u2"), ("protocol", "u1")], align=True)
SUBJECT = np.dtype(
    [
        ("hi", "u8"),
        ("lo", "u8"),
        ("active", "i8"),
        ("run", "i8"),
        ("stride_hi", "u8"),
        ("stride_lo", "u8"),
        ("stride_port", "i8"),
        ("sampled", "i8"),
        ("attempts", "i8"),
        ("first", TARGET),
        ("last", TARGET),
        ("used", "u1"),
    ],
    align=True,
)
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
REPORT = np.dtype(
    [
        ("time", "i8"),
        ("window", "i8"),
        ("measure", "i8"),
        ("threshold", "i8"),
        ("subject", SUBJECT),
        ("bucket", BUCKET),
        ("hosts", "i8"),
        ("host_ports", "i8"),
    ]
)


class State(NamedTuple):
    """Per subject s, window w, bucket b and sketch k (hosts, pairs): subjects[s], buckets[s, w, b],
    levels[s, w, measure], sketches[s, w, b, k], registers[s, w, b, k, 512], samples[s, 8],
    latest[s, 8, k], the hashes of the last attempts; counters as in COUNTERS; windows: lengths in
    ns; thresholds: by measure. The sketches of a bucket of FEW attempts or less are not valid."""

    subjects: NDArray[np.void]
    buckets: NDArray[np.void]
    levels: NDArray[np.uint8]
    sketches: NDArray[np.void]
    registers: NDArray[np.uint8]
    samples: NDArray[np.void]
    latest: NDArray[np.uint64]
    counters: NDArray[np.int64]
    windows: NDArray[np.int64]
    thresholds: NDArray[np.int64]


class Crossing(NamedTuple):
    """window: its index; measure: the first is 0; threshold: what was crossed; hosts, host_ports:
    the window's estimates."""

    window: int
    measure: int
    threshold: int | np.int64
    hosts: int | np.int64
    host_ports: int | np.int64


class Reports(NamedTuple):
    """rows: REPORT (n,); samples: TARGET (n, 8), the subject's at that time."""

    rows: NDArray[np.void]
    samples: NDArray[np.void]
