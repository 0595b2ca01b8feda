"""The arrays that the file readers' kernels fill, one row per packet, and the batch they become."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch

# libpcap's MAXIMUM_SNAPLEN: no capture tool writes larger packets, whatever the file header says.
SNAP_LIMIT = 262144
# libpcap asks for rings (TPACKET_V2) whose frames may lack 2 bytes of the snap length.
RING_ROUNDING = 2
LENGTH_LIMIT = 2**31 - 1


class Rows(NamedTuple):
    """The columns of a PacketBatch before it is complete: same dtypes, shape (capacity,)."""

    start: NDArray[np.int64]
    captured: NDArray[np.int32]
    length: NDArray[np.int32]
    time: NDArray[np.int64]
    link: NDArray[np.uint16]
    cut: NDArray[np.bool_]


def allocate(capacity: int) -> Rows:
    """Rows for up to `capacity` packets, uninitialised."""
    return Rows(
        start=np.empty(capacity, np.int64),
        captured=np.empty(capacity, np.int32),
        length=np.empty(capacity, np.int32),
        time=np.empty(capacity, np.int64),
        link=np.empty(capacity, np.uint16),
        cut=np.empty(capacity, np.bool_),
    )


def batch_of(data: NDArray[np.uint8], rows: Rows, used: int, first: int) -> PacketBatch:
    """The first `used` rows as a batch of packets that lie in `data`."""
    return PacketBatch(
        data=data,
        start=rows.start[:used],
        captured=rows.captured[:used],
        length=rows.length[:used],
        time=rows.time[:used],
        link=rows.link[:used],
        cut=rows.cut[:used],
        first=first,
    )
