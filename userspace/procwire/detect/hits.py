"""Which findings of a batch belong together: those of one rule between one pair of addresses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.decode.columns import Packets
from procwire.detect.detector import Endpoint

Key = tuple[int, int, int, int, int]
"""Index of the rule; source and destination as big-endian halves."""

_WITH_PORTS = frozenset((layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6))


class Hits(NamedTuple):
    """The findings of one batch and the packets they lie in.

    findings: record.FINDING (n,), in packet order; times: int64, ns since the epoch, one for each
    row of packets.
    """

    findings: NDArray[np.void]
    packets: Packets
    times: NDArray[np.int64]


def groups(hits: Hits) -> list[tuple[Key, NDArray[np.int64]]]:
    """Key and rows of `findings` of each group, rows ascending, groups by their first row."""
    if len(hits.findings) == 0:
        return []
    rows = hits.findings["row"]
    columns = [
        hits.findings["rule"].astype(np.uint64),
        hits.packets.src_hi[rows],
        hits.packets.src_lo[rows],
        hits.packets.dst_hi[rows],
        hits.packets.dst_lo[rows],
    ]
    order = np.lexsort(columns)
    keys = np.stack(columns, axis=1)
    ordered = keys[order]
    starts = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    parts = sorted(np.split(order, starts), key=lambda part: int(part[0]))
    firsts = keys[[part[0] for part in parts]].tolist()
    return [
        ((rule, src_hi, src_lo, dst_hi, dst_lo), part)
        for (rule, src_hi, src_lo, dst_hi, dst_lo), part in zip(firsts, parts, strict=True)
    ]


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
