"""Flows whose addresses this host translates: what each end is on the other side.

A process in a container holds the inner flow, and outside the outer one is seen. Translations are
told when a flow begins, before its first packet leaves, and the latest are remembered.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from procwire.owners.flow_keys import WORDS

CAPACITY = 1 << 16
"""Translations remembered, some 500 bytes each."""

TRANSLATION = np.dtype([("outer", "u8", (WORDS,)), ("inner", "u8", (WORDS,))])
"""Keys of a flow, from this host's end: as it is seen outside, and as its process has it."""


class Translations:
    """evicted: those forgotten to make room."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._inner: OrderedDict[bytes, bytes] = OrderedDict()
        self.evicted = 0

    def update(self, rows: NDArray[np.void]) -> None:
        """Enter TRANSLATION (n,)."""
        for outer, inner in zip(_keys(rows["outer"]), _keys(rows["inner"]), strict=True):
            self._inner[outer] = inner
            self._inner.move_to_end(outer)
        while len(self._inner) > self._capacity:
            self._inner.popitem(last=False)
            self.evicted += 1

    def inner(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Which of these flows (n, 5) are translated: their rows (m,), and what they are inside (m,
        5)."""
        if not self._inner:
            return np.zeros(0, np.int64), np.zeros((0, WORDS), np.uint64)
        found = [self._inner.get(key, b"") for key in _keys(keys)]
        rows = [row for row, key in enumerate(found) if key]
        inner = np.frombuffer(b"".join(found), np.uint64).reshape(-1, WORDS)
        return np.array(rows, np.int64), inner.copy()


def _keys(words: NDArray[np.uint64]) -> list[bytes]:
    """Each key of (n, 5) as its bytes."""
    whole, size = np.ascontiguousarray(words).tobytes(), WORDS * words.itemsize
    return [whole[at : at + size] for at in range(0, len(whole), size)]
