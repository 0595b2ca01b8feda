"""How many distinct targets each subject had of late, in NumPy, for batches of attempts.

Strategy: the windows of detect/window.py. Two buckets of the window's length lie half a window
apart on a fixed grid, figures are those of the older one, and so they cover half to a whole window.
Counts are exact. When the younger one holds half of what there is room for, the older one is given
up before its time, so that what comes counts; who is forgotten with it is counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.detect.key_map import KeyMap, combined

SAMPLES = 8
"""Targets of a subject that are told, the latest of a bucket."""

# latest: number of its latest target. previous: that of the subject's target before.
_SUBJECT = np.dtype([("first", "i8"), ("targets", "i4"), ("latest", "i4")])
_TARGET = np.dtype([("hi", "u8"), ("lo", "u8"), ("previous", "i4"), ("port", "u2")])
_NOBODY = -1
_NEVER = -(2**62)
# TCP gives up on a connection after 127 s by default (tcp_syn_retries, ip-sysctl).
LATENESS = 600_000_000_000
LIMIT = 1 << 14
"""Targets of all subjects that are held at a time: 1.5 MB, 2.5 if each subject has one."""


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
    first attempt in the window, ns; sample: (hi, lo, port) of its latest targets."""

    row: int
    targets: int
    attempts: int
    first: int
    sample: tuple[tuple[int, int, int], ...]


class Distinct:
    """Counts over a sliding window. limit: targets of all subjects that are held."""

    def __init__(self, window_ns: int, limit: int = LIMIT) -> None:
        self._older, self._younger = _Bucket(limit), _Bucket(limit)
        self._half, self._cell = window_ns // 2, _NEVER
        self._latest, self._evicted = _NEVER, 0

    def update(self, attempts: Attempts, threshold: int) -> list[Reached]:
        """Enter attempts in the order of their time; who reaches `threshold` distinct targets with
        one of them, or a further tenfold, in the order of the rows."""
        reached: list[Reached] = []
        cells = self._followed(attempts.time) // self._half
        turns = np.flatnonzero(np.diff(cells)) + 1
        for start, end in zip([0, *turns], [*turns, len(cells)], strict=True):
            if start == end:
                continue
            self._turn(int(cells[start]))
            while start < end:
                part = Attempts._make(column[start:end] for column in attempts)
                fitting = self._younger.fitting(part)
                part = Attempts._make(column[:fitting] for column in part)
                self._younger.enter(part, 0)
                found = self._older.enter(part, threshold)
                reached += [one._replace(row=one.row + int(start)) for one in found]
                start += fitting
                if start < end:
                    self._evicted += len(self._older) - len(self._younger)
                    self._swap()
        return reached

    def _turn(self, cell: int) -> None:
        """To the cell of the grid, half a window each."""
        if cell == self._cell:
            return
        self._swap()
        if cell != self._cell + 1:
            self._swap()
        self._cell = cell

    def _swap(self) -> None:
        """The younger becomes the older, which began before it and so has all that it has."""
        self._older, self._younger = self._younger, self._older
        self._younger.clear()

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
        return self._older.targets(subject)

    def counters(self) -> dict[str, int]:
        """evicted: subjects of which everything was forgotten for want of room."""
        return {"evicted": self._evicted}


class _Bucket:
    """limit: targets of all subjects, when it is the older one; as the younger it takes half."""

    def __init__(self, limit: int) -> None:
        self._room = limit // 2
        self._targets, self._subjects = KeyMap(limit), KeyMap(limit)
        self._empty()

    def __len__(self) -> int:
        return len(self._subjects)

    def clear(self) -> None:
        """Begin anew."""
        if len(self._subjects):
            self._targets.clear()
            self._subjects.clear()
            self._empty()

    def targets(self, subject: np.uint64) -> int:
        """How many targets a subject has."""
        (number,) = self._subjects.numbers(np.array([subject]))
        return int(self._counts["targets"][number]) if number >= 0 else 0

    def fitting(self, part: Attempts) -> int:
        """How many of the attempts, from the first on, the younger bucket has room for."""
        room = self._room - len(self._targets)
        if len(part.target) <= room:
            return len(part.target)
        keys = combined(part.subject, part.target)
        missing = np.flatnonzero(self._targets.numbers(keys) < 0)
        _, first = np.unique(keys[missing], return_index=True)
        return int(missing[np.sort(first)[room]]) if len(first) > room else len(keys)

    def _empty(self) -> None:
        self._counts = np.zeros(0, _SUBJECT)
        self._seen = np.zeros(0, _TARGET)
        self._attempts = np.zeros(0, np.int64)

    def enter(self, part: Attempts, threshold: int) -> list[Reached]:
        """Enter attempts; who reaches the threshold or a further tenfold, 0 being never."""
        subjects, began = self._subjects.enter(part.subject)
        targets, fresh = self._targets.enter(combined(part.subject, part.target))
        self._counts = _with_room(self._counts, len(self._subjects))
        self._seen = _with_room(self._seen, len(self._targets))
        self._attempts = _with_room(self._attempts, len(self._subjects))
        self._counts["first"][subjects[began]] = part.time[began]
        rows = np.flatnonzero(fresh)
        ranks = self._follow(part, rows, subjects[rows], targets[rows])
        told = np.flatnonzero(_is_step(ranks, threshold))
        reached = [
            self._reached(subjects, int(rows[i]), int(ranks[i]), int(targets[rows[i]]))
            for i in told
        ]
        # An array of its own: adding to a field of rows takes twenty times as long.
        np.add.at(self._attempts, subjects, 1)
        return reached

    def _follow(
        self,
        part: Attempts,
        rows: NDArray[np.int64],
        subjects: NDArray[np.int64],
        targets: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Append new targets (n,) to what each subject has: how many it has with each."""
        order = np.argsort(subjects, kind="stable")
        subject, target = subjects[order], targets[order]
        begins = np.ones(len(order), bool)
        begins[1:] = subject[1:] != subject[:-1]
        places = np.arange(len(order))
        nth = places - np.maximum.accumulate(np.where(begins, places, 0)) + 1
        ranks = np.empty(len(order), np.int64)
        ranks[order] = nth + self._counts["targets"][subject]
        before = np.concatenate(([_NOBODY], target[:-1])) if len(target) else target
        had = self._counts["targets"][subject] > 0
        first = np.where(had, self._counts["latest"][subject], _NOBODY)
        self._seen["previous"][target] = np.where(begins, first, before)
        for name in ("hi", "lo", "port"):
            self._seen[name][targets] = getattr(part, name)[rows]
        # Of several the last stays.
        self._counts["latest"][subject] = target
        self._counts["targets"][subject] = ranks[order]
        return ranks

    def _reached(self, subjects: NDArray[np.int64], row: int, count: int, target: int) -> Reached:
        subject = subjects[row]
        earlier = int(self._attempts[subject])
        return Reached(
            row=row,
            targets=count,
            attempts=earlier + int(np.count_nonzero(subjects[: row + 1] == subject)),
            first=int(self._counts["first"][subject]),
            sample=self._latest_targets(target),
        )

    def _latest_targets(self, target: int) -> tuple[tuple[int, int, int], ...]:
        """A target and those before it, in the order in which they came."""
        found: list[tuple[int, int, int]] = []
        while target != _NOBODY and len(found) < SAMPLES:
            hi, lo, previous, port = self._seen[target].item()
            found.append((hi, lo, port))
            target = previous
        return tuple(reversed(found))


def _with_room(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """The rows, at least `count`, new ones zero."""
    if count <= len(rows):
        return rows
    more = max(count, len(rows) + len(rows) // 2) - len(rows)
    return np.concatenate((rows, np.zeros(more, rows.dtype)))


def _is_step(counts: NDArray[np.int64], threshold: int) -> NDArray[np.bool_]:
    """Which counts are the threshold or a power of ten times it."""
    is_step = np.zeros(len(counts), bool)
    # np.isin would do, but loads masked arrays, three megabytes that nobody else needs.
    for power in range(10 if threshold else 0):
        is_step |= counts == threshold * 10**power
    return is_step
