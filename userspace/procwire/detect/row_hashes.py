"""Hashes of a batch of connections, made once for all detectors: each looks its rows' subjects up
in tables of its own, and asks for their memory some rows before it comes to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, prefetch
from procwire.decode.mix import GOLDEN, mix64

ROW_HASH = np.dtype([(name, "u8") for name in ("source", "host", "target", "pair", "network")])
"""Of the source, of the destination without and with its port, of source and destination, and of
the source and the destination's /24 or /120."""
HOST_BITS = np.uint64(8)
"""Of an address, those that its network of 256 does not have."""
_HALF = np.uint64(32)


def row_hashes(connections: NDArray[np.void]) -> NDArray[np.void]:
    """ROW_HASH (n,) of record.CONNECTION (n,)."""
    hashes = np.empty(len(connections), ROW_HASH)
    _hash(connections, hashes)
    return hashes


@kernel
def _hash(connections: NDArray[np.void], hashes: NDArray[np.void]) -> None:
    count, of_ipv4 = len(connections), mix64(GOLDEN)
    for i in range(count):
        # Row after row: widened by LLVM, which this keeps it from, the loop takes twice as long.
        prefetch(connections, min(i + AHEAD, count - 1), 0, 1)
        row, hashed = connections[i], hashes[i]
        # As mix_address() makes them; most addresses have the same upper half.
        source = mix64(row.src_hi + GOLDEN) if row.src_hi else of_ipv4
        host = mix64(row.dst_hi + GOLDEN) if row.dst_hi else of_ipv4
        hashed.source = mix64(source ^ row.src_lo)
        hashed.host = mix64(host ^ row.dst_lo)
        hashed.target = mix64(hashed.host ^ (np.uint64(row.dst_port) + GOLDEN))
        # Sums, in which hosts that ask themselves are as different as others. What is mixed stays
        # so, whatever is added.
        hashed.pair = hashed.source + (hashed.host ^ GOLDEN)
        hashed.network = hashed.source + (mix64(host ^ (row.dst_lo >> HOST_BITS)) ^ GOLDEN)


@fused
def home_of(hashed: np.uint64, count: int) -> int | np.int64:
    """Where in a table of `count` slots, less than 2^32, what has this hash is looked for first:
    by its upper half, without a division, which would cost as much as the hash."""
    return np.int64((hashed >> _HALF) * np.uint64(count) >> _HALF)
