"""Which packets may open or end an attempt: one in six of mixed traffic.

Strategy: a small loop passes over the packets of settled flows, and asks for the memory of those to
come that are not, and for the link's header, which says to how many they go.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.compiled.jit import called, fused
from procwire.compiled.prefetch import AHEAD, prefetch
from procwire.decode.columns import Packets
from procwire.decode.contact_table import (
    DUE,
    Table,
    is_settled,
    look_ahead,
)

_TCP, _UDP = layers.TCP, layers.UDP
_SYN, _RST = 0x02, 0x04


@fused
def _may_matter(table: Table, packets: Packets, row: int, flow: np.uint64) -> bool:
    """Whether a packet may open or end an attempt."""
    if packets.transport[row] in (_TCP, _UDP):
        opens = packets.tcp_flags[row] & (_SYN | _RST)
        return bool(opens or not is_settled(table.settled, flow))
    return bool(packets.transport[row] or packets.network[row] == layers.ARP)


@called
def next_candidate(
    table: Table,
    packets: Packets,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    reached: NDArray[np.int64],
    flows: NDArray[np.uint64],
    first: int,
) -> int:
    """The next row, from `first` on, that may do something, or at which an attempt is due; their
    number if there is none. Most packets do nothing, which a small loop finds out soonest. data,
    starts: of the batch."""
    state, count = table.state, len(flows)
    for i in range(first, count):
        if i + AHEAD < count and _may_matter(table, packets, i + AHEAD, flows[i + AHEAD]):
            look_ahead(table, flows[i + AHEAD])
            prefetch(data, starts[i + AHEAD], 0, 1)
        if state[DUE] <= reached[i] or _may_matter(table, packets, i, flows[i]):
            return i
    return count
