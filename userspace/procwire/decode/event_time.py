"""The event time that a run has reached with each packet, and the stretches in which it only rises.

A packet that comes late changes nothing. Where many in a row lie further behind than an attempt may
wait, or further ahead than a network is silent, the clock was set, or was wrong before, and is
followed; a few such have time stamps of their own, and count as what is due. Alerts of one stretch
are told by time, stretches in their order: so neither their order nor their times depend on where
batches end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import fused, kernel

SET = 16
"""So many packets in a row tell that a clock was set, or that so long a time has passed."""
AHEAD = 43_200_000_000_000
"""ns that a packet may lie ahead by itself: longer than a night's silence, and less than a day, by
which stray time stamps are wrong."""

# Slots of what is remembered from batch to batch, an int64 array.
_REACHED, _BEHIND, _AHEAD = range(3)


class Timed(NamedTuple):
    """A batch of n packets in event time. reached: int64 (n,), the latest time so far with each of
    them, ns since the epoch; turns: int64, the rows at which it goes back, in order."""

    batch: PacketBatch
    reached: NDArray[np.int64]
    turns: NDArray[np.int64]

    def stretches(self) -> Iterator[tuple[int, int]]:
        """First row, and the one behind the last, of each stretch in which time only rises. None is
        empty."""
        count = len(self.reached)
        if count:
            turns = self.turns.tolist()
            yield from zip([0, *turns], [*turns, count], strict=True)


class EventTime:
    """patience: ns that a packet may lie behind, that of contacts."""

    def __init__(self, patience: int) -> None:
        self._patience, self._state = np.uint64(patience), np.zeros(3, np.int64)
        self._has_begun = False

    def of(self, batch: PacketBatch) -> Timed:
        """A batch in event time; batches have to be given in order."""
        times, count = batch.time, len(batch.time)
        if count and not self._has_begun:
            self._state[_REACHED], self._has_begun = times[0], True
        reached, turns = np.empty(count, np.int64), np.empty(count // SET + 1, np.int64)
        rising, used = _reach(times, self._state, self._patience, reached, turns)
        # Nearly always none goes back, and the times themselves are what is reached.
        return Timed(batch, times if rising == count else reached, turns[:used])


@kernel
def _reach(
    times: NDArray[np.int64],
    state: NDArray[np.int64],
    patience: np.uint64,
    reached: NDArray[np.int64],
    turns: NDArray[np.int64],
) -> tuple[int, int]:
    """Fill reached and turns. How many times only rise before the first that does not, and how many
    turns there are; where all rise `reached` is not filled."""
    latest, count, rising = state[_REACHED], times.size, 0
    while rising < count and latest <= times[rising]:
        if _further(times[rising], latest, np.uint64(AHEAD)):
            break
        latest = times[rising]
        rising += 1
    if rising:
        state[_BEHIND] = state[_AHEAD] = 0
    if rising < count:
        for row in range(rising):
            reached[row] = times[row]
    used = 0
    for row in range(rising, count):
        time = times[row]
        is_ahead = _further(time, latest, np.uint64(AHEAD))
        state[_BEHIND] = state[_BEHIND] + 1 if _further(latest, time, patience) else 0
        state[_AHEAD] = state[_AHEAD] + 1 if is_ahead else 0
        if state[_BEHIND] == SET:
            if row:
                turns[used] = row
                used += 1
            latest, state[_BEHIND] = time, 0
        elif state[_AHEAD] == SET or not is_ahead:
            latest, state[_AHEAD] = max(latest, time), 0
        reached[row] = latest
    state[_REACHED] = latest
    return rising, used


@fused
def _further(later: int, earlier: int, span: np.uint64) -> bool:
    """Whether `later` comes more than a span after `earlier`, in ns, however far apart they are."""
    return bool(later > earlier and np.uint64(np.int64(later) - np.int64(earlier)) > span)
