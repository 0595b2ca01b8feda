"""Findings of several sources in one row of packets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import kernel
from procwire.record import FINDING


def in_packet_order(*parts: NDArray[np.void]) -> NDArray[np.void]:
    """Findings of several sources, each in packet order, in one FINDING array, those of one packet
    in the order given."""
    filled = [part for part in parts if len(part)]
    merged = filled[0] if filled else np.empty(0, FINDING)
    for part in filled[1:]:
        before, merged = merged, np.empty(len(merged) + len(part), FINDING)
        _merge(before, part, merged)
    return merged


@kernel
def _merge(one: NDArray[np.void], other: NDArray[np.void], merged: NDArray[np.void]) -> None:
    first = second = 0
    for at in range(len(merged)):
        is_first = second == len(other) or (
            first < len(one) and one[first].row <= other[second].row
        )
        if is_first:
            merged[at] = one[first]
            first += 1
        else:
            merged[at] = other[second]
            second += 1
