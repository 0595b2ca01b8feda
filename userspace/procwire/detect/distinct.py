"""How many distinct targets each subject had of late, in NumPy, for batches of attempts.

Strategy: the windows of detect/window.py. Two buckets of the window's length lie half a window
apart on a fixed grid, figures are those of the older one, and so they cover half to a whole window.
Counts are exact; a bucket that is full counts no more targets, and says so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.detect.key_map import KeyMap, combined

SAMPLES = 8
"""Targets that are remembered of each subject, the first of a bucket."""

_SUBJECT = np.dtype([("first", "i8"), ("attempts", "i8"), ("targets", "i8")])
_BUCKETS = 2
_NEVER = -(2**62)
# TCP gives up on a connection after 127 s by default (tcp_syn_retries, ip-sysctl).
LATENESS = 600_000_000_000


class Attempts(NamedTuple):
    """Columns (n,) of a batch. time: ns since the epoch; subject: key of who tries; hi, lo, port:
    the target; what counts as a target is the key `target`."""

    time: NDArray[np.int64]
    subject: NDArray[np.uint64]
    target: NDArray[np.uint64]
    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    port: NDArray[np.uint16]


class Reached(NamedTuple):
    """A subject whose targets became so many. row: of the attempt, in its batch; first: time of its
    first attempt in the window, ns; sample: (hi, lo, port) of its first targets."""

    row: int
    targets: int
    attempts: int
    first: int
    sample: tuple[tuple[int, int, int], ...]


class Distinct:
    """Counts over a sliding window. limit: targets of all subjects that a bucket holds."""

    def __init__(self, window_ns: int, limit: int) -> None:
        self._buckets = tuple(_Bucket(limit) for _ in range(_BUCKETS))
        self._window, self._latest = window_ns, _NEVER

    def update(self, attempts: Attempts, threshold: int) -> list[Reached]:
        """Enter attempts in the order of their time; who reaches `threshold` distinct targets with
        one of them, or a further tenfold, in the order of the rows."""
        reached: list[Reached] = []
        half = self._window // _BUCKETS
        cells = self._followed(attempts.time) // half
        turns = np.flatnonzero(np.diff(cells)) + 1
        for start, end in zip([0, *turns], [*turns, len(cells)], strict=True):
            if start == end:
                continue
            cell = int(cells[start])
            part = Attempts._make(column[start:end] for column in attempts)
            # In each half of a window the one that is not younger than half a window is told.
            older, younger = self._buckets[(cell + 1) % 2], self._buckets[cell % 2]
            older.turn((cell - 1) * half)
            younger.turn(cell * half)
            younger.enter(part, 0)
            found = older.enter(part, threshold)
            reached += [one._replace(row=one.row + int(start)) for one in found]
        return reached

    def _followed(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The times at which attempts count. What comes late counts at the latest time: the kernel
        tells of an attempt when it has ended. A clock that was set is followed."""
        if not len(times):
            return times
        reached = np.maximum.accumulate(np.maximum(times, self._latest))
        self._latest = int(reached[-1])
        return np.where(reached - times <= LATENESS, reached, times)

    def targets(self, subject: np.uint64) -> int:
        """How many targets one subject has in the window of the latest attempt."""
        return max(bucket.targets(subject) for bucket in self._buckets)

    def counters(self) -> dict[str, int]:
        """overflow: attempts that found a bucket full."""
        return {"overflow": max(bucket.overflow for bucket in self._buckets)}


class _Bucket:
    def __init__(self, limit: int) -> None:
        self._targets, self._subjects = KeyMap(limit), KeyMap(limit)
        self._start = _NEVER
        self._clear()

    @property
    def overflow(self) -> int:
        return self._targets.overflow

    def turn(self, start: int) -> None:
        """Begin anew, unless it began at `start`."""
        if self._start == start:
            return
        self._start = start
        if len(self._subjects):
            self._targets.clear()
            self._subjects.clear()
            self._clear()

    def targets(self, subject: np.uint64) -> int:
        """How many targets a subject has."""
        (number,) = self._subjects.numbers(np.array([subject]))
        return int(self._counts["targets"][number]) if number >= 0 else 0

    def _clear(self) -> None:
        self._counts = np.zeros(0, _SUBJECT)
        self._sample = np.zeros((0, SAMPLES, 3), np.uint64)

    def enter(self, part: Attempts, threshold: int) -> list[Reached]:
        """Enter attempts; who reaches the threshold or a further tenfold, 0 being never."""
        subjects, began = self._subjects.enter(part.subject)
        self._make_room(len(self._subjects))
        self._counts["first"][subjects[began]] = part.time[began]
        _, fresh = self._targets.enter(combined(part.subject, part.target))
        rows = np.flatnonzero(fresh & (subjects >= 0))
        ranks = self._counts["targets"][subjects[rows]] + _nth(subjects[rows])
        kept = ranks <= SAMPLES
        at, of = rows[kept], ranks[kept] - 1
        self._sample[subjects[at], of] = np.stack((part.hi[at], part.lo[at], part.port[at]), axis=1)
        told = np.flatnonzero(_is_step(ranks, threshold))
        reached = [self._reached(part, subjects, int(rows[i]), int(ranks[i])) for i in told]
        np.add.at(self._counts["targets"], subjects[rows], 1)
        np.add.at(self._counts["attempts"], subjects[subjects >= 0], 1)
        return reached

    def _reached(
        self, part: Attempts, subjects: NDArray[np.int64], row: int, targets: int
    ) -> Reached:
        subject = subjects[row]
        earlier = int(self._counts["attempts"][subject])
        return Reached(
            row=row,
            targets=targets,
            attempts=earlier + int(np.count_nonzero(subjects[: row + 1] == subject)),
            first=int(self._counts["first"][subject]),
            sample=tuple(map(tuple, self._sample[subject, : min(targets, SAMPLES)].tolist())),
        )

    def _make_room(self, count: int) -> None:
        if count > len(self._counts):
            more = max(count, 2 * len(self._counts)) - len(self._counts)
            self._counts = np.concatenate((self._counts, np.zeros(more, _SUBJECT)))
            self._sample = np.concatenate((self._sample, np.zeros((more, SAMPLES, 3), np.uint64)))


def _nth(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The how-manieth of its equals each (n,) is, from 1 on."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    begins = np.ones(len(order), bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    places = np.arange(len(order))
    nth = np.empty(len(order), np.int64)
    nth[order] = places - np.maximum.accumulate(np.where(begins, places, 0)) + 1
    return nth


def _is_step(counts: NDArray[np.int64], threshold: int) -> NDArray[np.bool_]:
    """Which counts are the threshold or a power of ten times it."""
    steps = [threshold * 10**power for power in range(10)] if threshold else []
    return np.isin(counts, steps)
