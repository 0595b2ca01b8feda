"""PacketBatch: what every capture source yields. Views of memory, never copies of packets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Link types of https://www.tcpdump.org/linktypes.html, by the number stored in capture files.
NULL = 0
ETHERNET = 1
PPP = 9
RAW_BSD = 12
PPP_HDLC = 50
RAW = 101
CISCO_HDLC = 104
LOOP = 108
LINUX_SLL = 113
IPV4 = 228
IPV6 = 229
LINUX_SLL2 = 276


class PacketBatch(NamedTuple):
    """Consecutive packets of one source.

    data: uint8 (bytes,), the memory that the packets lie in; start: int64 (n,), index into data of
    each packet's first byte; captured, length: int32 (n,), bytes present and bytes on the wire;
    time: int64 (n,), ns since the epoch; link: uint16 (n,), LINKTYPE number; cut: bool (n,),
    whether bytes are missing that the snap length had room for; first: number of the first packet
    in its source, counting from 1.
    """

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    captured: NDArray[np.int32]
    length: NDArray[np.int32]
    time: NDArray[np.int64]
    link: NDArray[np.uint16]
    cut: NDArray[np.bool_]
    first: int


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
    data = batches[0].data
    if len(memories) > 1:
        data = np.concatenate(list(memories.values()))
        # As captured memory is: kernels are compiled for that kind of array alone.
        data.flags.writeable = False
    return PacketBatch(
        data=data,
        start=np.concatenate([one.start + begins[id(one.data)] for one in batches]),
        first=batches[0].first,
        **columns,
    )
