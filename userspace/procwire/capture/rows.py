"""The arrays that the file readers' kernels fill, one row per packet, and the batch they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import fused
from procwire.compiled.prefetch import CACHE_LINE, prefetch

# libpcap's MAXIMUM_SNAPLEN: no capture tool writes larger packets, whatever the file header says.
SNAP_LIMIT = 262144
# libpcap asks for rings (TPACKET_V2) whose frames may lack 2 bytes of the snap length.
RING_ROUNDING = 2
LENGTH_LIMIT = 2**31 - 1

# Where the next header lies is known only from the one before, so all that comes is asked for: so
# many bytes ahead, and of one packet no more lines than Ethernet's largest has.
_BYTES_AHEAD, _LINES_A_PACKET = 1500, 24


class Rows(NamedTuple):
    """The columns of a PacketBatch before it is complete: same dtypes, shape (capacity,)."""

    start: NDArray[np.int64]
    captured: NDArray[np.int32]
    length: NDArray[np.int32]
    time: NDArray[np.int64]
    link: NDArray[np.uint16]
    cut: NDArray[np.bool_]


Index: TypeAlias = Callable[[NDArray[np.uint8], int, Any, Rows, int], tuple[int, int, int, int]]
"""Indexes the packets of data from an offset on, until rows are full or a fault, or what changes
how packets are read, is met. Given the pcap.Form or interfaces.Section of the packets, and how many
rows are used already; returns (rows used, offset stopped at, why, value found)."""


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


@fused
def ask_ahead(data: NDArray[np.uint8], at: int, size: int) -> None:
    """Ask for as much of the data as the packet at `at`, of `size` bytes with its header, is long,
    some way behind it."""
    lines = (size + CACHE_LINE - 1) // CACHE_LINE
    prefetch(data, at + _BYTES_AHEAD, 0, min(lines, _LINES_A_PACKET))
