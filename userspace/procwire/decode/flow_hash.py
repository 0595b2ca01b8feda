"""Hashes of flows, the same for both directions: a packet's is made once, whatever it is looked up
for, while its columns are at hand."""

from __future__ import annotations

import numpy as np

from procwire.compiled.jit import fused
from procwire.decode.columns import Packets
from procwire.decode.mix import GOLDEN, mix64

_HALF = np.uint64(32)


@fused
def end_hash(high: np.uint64, low: np.uint64, port: int) -> np.uint64:
    """Of one end: its address in halves, and its port."""
    return mix64((high * GOLDEN ^ low) + (np.uint64(port) << _HALF))


@fused
def flow_hash(one: np.uint64, other: np.uint64, protocol: int) -> np.uint64:
    """Of a flow, from the hashes of its ends and the IP protocol."""
    return mix64(one + other + np.uint64(protocol))


@fused
def hash_of(packets: Packets, row: int) -> np.uint64:
    """Of a packet's flow; of what has no ports it is none."""
    source = end_hash(packets.src_hi[row], packets.src_lo[row], packets.src_port[row])
    destination = end_hash(packets.dst_hi[row], packets.dst_lo[row], packets.dst_port[row])
    return flow_hash(source, destination, packets.protocol[row])
