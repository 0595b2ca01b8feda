"""The time that a run has reached with each packet, and parts of batches in which it only rises.

A packet that comes late changes nothing. Where many in a row lie further behind than an attempt may
wait, or further ahead than a network is silent, the clock was set, or was wrong before, and is
followed; a few such have time stamps of their own, and count as what is due. Alerts of one part are
told by time, parts in their order: so neither their order nor their times depend on where batches
end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.decode.columns import Decoded

SET = 16
"""So many packets in a row tell that a clock was set, or that so long a time has passed."""
AHEAD = 43_200_000_000_000
"""ns that a packet may lie ahead by itself: longer than a night's silence, and less than a day, by
which stray time stamps are wrong."""


class Part(NamedTuple):
    """Packets of one batch. reached: int64 (n,), the latest time so far with each of them, ns since
    the epoch; decoded: what decode() makes of them, if that is known."""

    batch: PacketBatch
    reached: NDArray[np.int64]
    decoded: Decoded | None = None


class Parts:
    """patience: ns that a packet may lie behind, that of contacts."""

    def __init__(self, patience: int) -> None:
        self._patience, self._behind, self._ahead = patience, 0, 0
        self._reached: int | None = None

    def of(self, batch: PacketBatch, decoded: Decoded | None = None) -> Iterator[Part]:
        """The parts of a batch, in order, none of them empty; batches have to be given in order,
        too. decoded: as of Part."""
        times = batch.time
        if not len(times):
            return
        begin = 0
        began = self._reached = int(times[0]) if self._reached is None else self._reached
        reached = _reached_with(times, began)
        is_ahead = (
            int(reached[-1]) - began > AHEAD and _most(np.diff(reached, prepend=began)) > AHEAD
        )
        if not is_ahead and _most(reached - times) <= self._patience:
            self._reached, self._behind, self._ahead = int(reached[-1]), 0, 0
            yield Part(batch, reached, decoded)
            return
        reached = np.empty(len(times), np.int64)
        for row, time in enumerate(times.tolist()):
            is_behind, is_ahead = (
                time < self._reached - self._patience,
                time > self._reached + AHEAD,
            )
            self._behind = self._behind + 1 if is_behind else 0
            self._ahead = self._ahead + 1 if is_ahead else 0
            if self._behind == SET:
                if row > begin:
                    yield Part(rows_of(batch, begin, row), reached[begin:row])
                begin, self._reached, self._behind = row, time, 0
            elif self._ahead == SET or not is_ahead:
                self._reached, self._ahead = max(self._reached, time), 0
            reached[row] = self._reached
        yield Part(rows_of(batch, begin, len(times)), reached[begin:])


def _reached_with(times: NDArray[np.int64], before: int) -> NDArray[np.int64]:
    """The time reached with each packet; before: with the last one before them. Where none goes
    back, nearly always, these are the times themselves."""
    if times[0] >= before and not (times[1:] < times[:-1]).any():
        return times
    return np.maximum.accumulate(np.maximum(times, before))


def _most(spans: NDArray[np.int64]) -> int:
    """The longest of spans of time, none below 0, also of those that take 64 bits."""
    return int(spans.view(np.uint64).max())


def rows_of(batch: PacketBatch, start: int, end: int) -> PacketBatch:
    """Packets `start` to `end` of a batch."""
    return batch._replace(
        start=batch.start[start:end],
        captured=batch.captured[start:end],
        length=batch.length[start:end],
        time=batch.time[start:end],
        link=batch.link[start:end],
        cut=batch.cut[start:end],
        first=batch.first + start,
    )


def joined(batches: Sequence[PacketBatch]) -> PacketBatch:
    """One batch of several that follow each other; packets are copied where they lie in different
    memory."""
    if len(batches) == 1:
        return batches[0]
    memories = {id(one.data): one.data for one in batches}
    ends = np.cumsum([len(data) for data in memories.values()])
    begins = dict(
        zip(memories, (ends - [len(data) for data in memories.values()]).tolist(), strict=True)
    )
    columns = {
        name: np.concatenate([getattr(one, name) for one in batches])
        for name in ("captured", "length", "time", "link", "cut")
    }
    return PacketBatch(
        data=np.concatenate(list(memories.values())) if len(memories) > 1 else batches[0].data,
        start=np.concatenate([one.start + begins[id(one.data)] for one in batches]),
        first=batches[0].first,
        **columns,
    )
