"""Which findings of a batch belong together: those of one rule between one pair of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.detect.detector import Endpoint

if TYPE_CHECKING:
    # Importing it loads numba, which the watch over processes does without.
    from procwire.decode.columns import Packets

Key = tuple[int, int, int, int, int, int]
"""Index of the rule and whether its context holds; source and destination as big-endian halves."""

_WITH_PORTS = frozenset((layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6))


class Hits(NamedTuple):
    """The findings of one batch and the packets they lie in.

    findings: record.FINDING (n,), in packet order; times: int64, ns since the epoch, one for each
    row of packets.
    """

    findings: NDArray[np.void]
    packets: Packets
    times: NDArray[np.int64]


def groups(hits: Hits) -> Iterator[tuple[Key, NDArray[np.int64]]]:
    """Key and rows of `findings` of each group, rows ascending, groups by their first row."""
    rows = hits.findings["row"]
    columns = [
        hits.findings["rule"].astype(np.uint64),
        hits.findings["in_context"].astype(np.uint64),
        hits.packets.src_hi[rows],
        hits.packets.src_lo[rows],
        hits.packets.dst_hi[rows],
        hits.packets.dst_lo[rows],
    ]
    order = np.lexsort(columns)
    begins = np.zeros(len(order), bool)
    begins[:1] = True
    for column in columns:
        ordered = column[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(begins)
    ends = np.append(starts, len(order))[1:]
    turn = np.argsort(order[starts])
    firsts = order[starts[turn]]
    keys = zip(*(column[firsts].tolist() for column in columns), strict=True)
    for key, start, end in zip(keys, starts[turn].tolist(), ends[turn].tolist(), strict=True):
        yield key, order[start:end]


def endpoints(packets: Packets, row: int) -> tuple[Endpoint | None, Endpoint | None]:
    """Source and destination of one packet; None for a packet without a network layer."""
    if packets.network[row] == 0:
        return None, None
    has_ports = int(packets.transport[row]) in _WITH_PORTS
    halves = (
        (packets.src_hi[row], packets.src_lo[row], packets.src_port[row]),
        (packets.dst_hi[row], packets.dst_lo[row], packets.dst_port[row]),
    )
    source, destination = (
        Endpoint(
            int(high).to_bytes(8, "big") + int(low).to_bytes(8, "big"),
            int(port) if has_ports else None,
        )
        for high, low, port in halves
    )
    return source, destination
