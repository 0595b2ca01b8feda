"""Where in a table something is kept that is found by its hash, and what gives way to it: a few
slots are probed from where the hash says on, beyond the last one the first. No slot that was taken
is free again, so nothing lies behind a free one."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused
from procwire.detect.row_hashes import home_of

PROBES = 8
PROBED_LINES = 2
"""Lines of the cache that hold what is asked of so many slots, in numbers of 8 bytes."""
TAKEN = np.uint64(1)
"""A bit of every name: no name is that of a free slot, which is 0."""

Whole: TypeAlias = int | np.int64


@fused
def named(names: NDArray[np.uint64], name: np.uint64) -> Whole:
    """The first slot of that name, -1 where there is none."""
    slot = home_of(name, len(names))
    for _probe in range(PROBES):
        if names[slot] == name:
            return slot
        if names[slot] == 0:
            break
        slot = after(names, slot)
    return -1


@fused
def yielding(names: NDArray[np.uint64], active: NDArray[np.int64], name: np.uint64) -> Whole:
    """The slot for a name that has none: the first free one, or the least recently active."""
    slot = best = home_of(name, len(names))
    for _probe in range(PROBES):
        if names[slot] == 0:
            return slot
        if active[slot] < active[best]:
            best = slot
        slot = after(names, slot)
    return best


@fused
def after(names: NDArray[np.uint64], slot: Whole) -> Whole:
    """The slot that is probed next."""
    return 0 if slot + 1 == len(names) else slot + 1
