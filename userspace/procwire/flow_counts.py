"""Of how many captured flows of this host the process is known, and how surely.

Strategy: attempts are grouped by their end on this host, and each group asks once; who asks too
many at a time is counted as not asked about, so that a scan costs no more than a busy hour.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.detect.observation import Endpoint
from procwire.event import Outcome
from procwire.flow_owners import INFERRED, KERNEL, NONE, SNAPSHOT, FlowOwners
from procwire.record import Attempt

UNASKED = "unasked"
WAYS = (KERNEL, SNAPSHOT, INFERRED, NONE, UNASKED)
ASKED = 256
"""Ends of one batch that are asked about, of each side."""


class Side(NamedTuple):
    """Which rows of CONNECTION are counted as flows that this host began or took. own, peer:
    columns of its end and of the other's; kinds: of attempts."""

    name: str
    own: str
    peer: str
    outcome: Outcome
    kinds: tuple[Attempt, ...]


SIDES = (
    # Neighbours are asked for by the kernel itself.
    Side(
        "originated",
        "src",
        "dst",
        Outcome.PENDING,
        tuple(kind for kind in Attempt if kind is not Attempt.NEIGHBOUR),
    ),
    # A closed port refuses, and the kernel answers echoes: neither is any process's.
    Side("accepted", "dst", "src", Outcome.ESTABLISHED, (Attempt.CONNECT, Attempt.DATAGRAM)),
)


class FlowCounts:
    """Counts flows by side and attribution. owners: asked whose they are."""

    def __init__(self, owners: FlowOwners) -> None:
        self._owners = owners
        names = (f"{side.name}_{way}" for side in SIDES for way in WAYS)
        self._counts = Counter(dict.fromkeys(names, 0))

    def update(self, contacts: NDArray[np.void]) -> None:
        """Take record.CONNECTION (n,) of a batch of packets: attempts and their ends."""
        for side in SIDES:
            rows = contacts[contacts["outcome"] == side.outcome]
            rows = rows[np.isin(rows["kind"], side.kinds)]
            rows = rows[self._owners.are_local(rows[f"{side.own}_hi"], rows[f"{side.own}_lo"])]
            if len(rows):
                self._count(side, rows)

    def counters(self) -> dict[str, int]:
        """As originated_WAY and accepted_WAY, flows of which this host's process is known by a
        hook, by the snapshot, inferred, or not at all (none); unasked: too many at a time."""
        return dict(self._counts)

    def _count(self, side: Side, rows: NDArray[np.void]) -> None:
        ends = np.empty((len(rows), 3), np.uint64)
        ends[:, 0], ends[:, 1] = rows[f"{side.own}_hi"], rows[f"{side.own}_lo"]
        ends[:, 2] = rows[f"{side.own}_port"].astype(np.uint64) << np.uint64(8) | rows["protocol"]
        _, firsts, sizes = np.unique(ends, axis=0, return_index=True, return_counts=True)
        order = np.argsort(firsts)
        for place in order[:ASKED].tolist():
            row = rows[firsts[place]]
            own, peer = endpoint(row, side.own), endpoint(row, side.peer)
            owner = self._owners.owner(own, peer, int(row["protocol"]), int(row["time"]))
            way = owner.attribution if owner is not None else NONE
            self._counts[f"{side.name}_{way}"] += int(sizes[place])
        self._counts[f"{side.name}_{UNASKED}"] += int(sizes[order[ASKED:]].sum())


def endpoint(row: np.void, side: str) -> Endpoint:
    """One end of a row of record.CONNECTION. side: src or dst."""
    address = int(row[f"{side}_hi"]) << 64 | int(row[f"{side}_lo"])
    return Endpoint(address.to_bytes(16), int(row[f"{side}_port"]))
