"""Which addresses are not forged: who opens a connection and completes the handshake had to see the
number that it acknowledges, and who forges an address does not (RFC 6528).

A table of fixed size, in which who completed no handshake for longest gives way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.decode.mix import mix_address

PROOF = np.dtype([("hi", "u8"), ("lo", "u8"), ("first", "i8"), ("last", "i8")])
"""An address that opened connections, completing their handshakes: first and latest time, ns since
the epoch. That of a free entry is the unspecified one, which opens none (RFC 4291 2.5.2)."""

PROOFS = 1 << 16
_PROBES = 8


@kernel
def is_proven(proofs: NDArray[np.void], halves: NDArray[np.uint64], time: int) -> bool:
    """Whether the address, of two 64-bit halves, has completed a handshake by `time`. proofs: PROOF
    (PROOFS,)."""
    proof = proofs[_place_of(proofs, halves[0], halves[1])]
    same = proof.hi == halves[0] and proof.lo == halves[1]
    is_free = proof.hi == 0 and proof.lo == 0
    return bool(same and not is_free and proof.first <= time)


@fused
def prove(proofs: NDArray[np.void], hi: np.uint64, lo: np.uint64, time: int) -> None:
    """An address has completed a handshake."""
    proof = proofs[_place_of(proofs, hi, lo)]
    if proof.lo != lo or proof.hi != hi:
        proof.hi, proof.lo, proof.first = hi, lo, time
    proof.last = time


@fused
def _place_of(proofs: NDArray[np.void], hi: np.uint64, lo: np.uint64) -> int:
    """Place of an address's proof; where it has none a free one, or that of whoever completed no
    handshake for longest."""
    mask = len(proofs) - 1
    start = np.int64(mix_address(hi, lo) & np.uint64(mask))
    best = start
    for probe in range(_PROBES):
        place = (start + probe) & mask
        proof = proofs[place]
        # No entry becomes free again, so the address would have been given this one.
        if (proof.lo == lo and proof.hi == hi) or (proof.lo == 0 and proof.hi == 0):
            return int(place)
        if proof.last < proofs[best].last:
            best = place
    return int(best)
