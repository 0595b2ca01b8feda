"""Parts of batches in which the capture's clock is not set back.

Time reached never goes back but where a packet lies further behind than an attempt may wait: there
the clock was set, or was wrong before. Alerts of one part are told by time, parts in their order:
so neither their order nor their times depend on where batches end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch


class Parts:
    """patience: ns that a packet may lie behind, that of contacts, which reckon alike."""

    def __init__(self, patience: int) -> None:
        self._patience, self._reached = patience, 0

    def of(self, batch: PacketBatch) -> Iterator[PacketBatch]:
        """The parts of a batch, in order; batches have to be given in order, too."""
        times = batch.time
        if not len(times):
            return
        reached = reached_with(times, self._reached)
        if reached is times or (reached - times).max() <= self._patience:
            self._reached = int(reached[-1])
            yield batch
            return
        begin = 0
        for row, time in enumerate(times.tolist()):
            if time < self._reached - self._patience:
                if row > begin:
                    yield rows_of(batch, begin, row)
                begin, self._reached = row, time
            self._reached = max(self._reached, time)
        yield rows_of(batch, begin, len(times))


def reached_with(times: NDArray[np.int64], before: int) -> NDArray[np.int64]:
    """The time reached with each packet of a part; before: with the last one before it, all in ns
    since the epoch. Where none goes back, nearly always, these are the times themselves."""
    if times[0] >= before and not (times[1:] < times[:-1]).any():
        return times
    return np.maximum.accumulate(np.maximum(times, before))


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
