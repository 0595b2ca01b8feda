"""PacketBatch: what every capture source yields. Views of memory, never copies of packets."""

from __future__ import annotations

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
