"""PacketBatches of packets that were captured whole, without a file between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.decode.event_time import Timed


def batch_of(
    packets: Sequence[bytes], times: ArrayLike = 0, link: int = ETHERNET, first: int = 1
) -> PacketBatch:
    """times: of each packet or of all, ns; link: LINKTYPE number; first: number of the first."""
    sizes = np.array([len(data) for data in packets], np.int32)
    time = np.empty(len(packets), np.int64)
    time[:] = times
    return PacketBatch(
        data=np.frombuffer(b"".join(packets), np.uint8),
        start=np.cumsum(sizes, dtype=np.int64) - sizes,
        captured=sizes,
        length=sizes,
        time=time,
        link=np.full(len(packets), link, np.uint16),
        cut=np.zeros(len(packets), np.bool_),
        first=first,
    )


def timed(batch: PacketBatch) -> Timed:
    """A batch whose packets' times are the time reached with them."""
    return Timed(batch, batch.time, np.empty(0, np.int64))
