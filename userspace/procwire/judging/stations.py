"""Weighs findings of group addresses as source by whether a station has the address.

A station sends again under the same address; tools that make captures anonymous, or that flood a
switch's table, draw a new one for each frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.rules import all_rules

_RULE = [check.id for check in all_rules()].index("eth.src_group_bit")
_OCTETS = np.arange(6)
_SHIFTS = np.arange(40, -8, -8, dtype=np.uint64)
REMEMBERED = 4096


class Stations:
    """Group addresses that sent a frame of one capture; the latest are remembered."""

    def __init__(self) -> None:
        self._known = np.empty(0, np.uint64)

    def weigh(self, batch: PacketBatch, findings: NDArray[np.void]) -> None:
        """Set in_context of the findings of eth.src_group_bit whose address had sent before.

        findings: FINDING (n,), in packet order, of the batch.
        """
        rows = np.flatnonzero(findings["rule"] == _RULE) if len(findings) else ()
        if not len(rows):
            return
        evidence = batch.start[findings["row"][rows]] + findings["start"][rows]
        octets = batch.data[evidence[:, None] + _OCTETS].astype(np.uint64)
        address = (octets << _SHIFTS).sum(axis=1)
        _, first, inverse = np.unique(address, return_index=True, return_inverse=True)
        again = first[inverse] != np.arange(address.size)
        findings["in_context"][rows] = again | np.isin(address, self._known)
        fresh = address[np.sort(first)]
        older = self._known[~np.isin(self._known, fresh)]
        self._known = np.concatenate([older, fresh])[-REMEMBERED:]
