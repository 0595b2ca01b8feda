"""Flows whose addresses this host translates: what each end is on the other side.

A process in a container holds the inner flow, and outside the outer one is seen. Translations are
told when a flow begins, before its first packet leaves, and the latest are remembered.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from procwire.detect.observation import Endpoint
from procwire.owners.flow_keys import WORDS, key_of

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
        for row in rows:
            outer = row["outer"].tobytes()
            self._inner[outer] = row["inner"].tobytes()
            self._inner.move_to_end(outer)
        while len(self._inner) > self._capacity:
            self._inner.popitem(last=False)
            self.evicted += 1

    def inner(
        self, end: Endpoint, peer: Endpoint, protocol: int
    ) -> tuple[Endpoint, Endpoint] | None:
        """What `end` and its peer are to the process; None where nothing is translated."""
        if not self._inner:
            return None
        outer = key_of(protocol, end.address, end.port or 0, peer.address, peer.port or 0)
        found = self._inner.get(outer.tobytes())
        if found is None:
            return None
        words = np.frombuffer(found, np.uint64)
        halves, ports = words[:4].astype(">u8").tobytes(), int(words[4])
        return (
            Endpoint(halves[:16], ports >> 32 & 0xFFFF),
            Endpoint(halves[16:], ports >> 16 & 0xFFFF),
        )
