"""Of how many captured flows of this host the process is known, and how surely.

Strategy: flows that a process was seen to connect are looked up together. The others are grouped by
their end on this host, and ends that one process holds are looked up together, too. Each group that
is left asks once; of too many at a time the rest is counted as not asked about, so that no scan
costs more than a busy hour.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.detect.observation import Endpoint
from procwire.event import Outcome
from procwire.owners.flow_keys import ends_of, hashes, keys_of_contacts
from procwire.owners.flow_owners import NONE, SURENESS, FlowOwners
from procwire.record import Attempt

UNASKED = "unasked"
WAYS = (*SURENESS, NONE, UNASKED)
ASKED = 64
"""Ends of one batch that are asked about, of each side."""


class Side(NamedTuple):
    """Which rows of CONNECTION are counted as flows that this host began or took. own, peer:
    columns of its end and of the other's; is_counted: by kind of attempt."""

    name: str
    own: str
    peer: str
    outcome: Outcome
    is_counted: NDArray[np.bool_]


# The kernel itself asks for neighbours, refuses for closed ports and answers echoes.
_BEGUN = np.array([kind is not Attempt.NEIGHBOUR for kind in Attempt])
_TAKEN = np.array([kind in (Attempt.CONNECT, Attempt.DATAGRAM) for kind in Attempt])
SIDES = (
    Side("originated", "src", "dst", Outcome.PENDING, _BEGUN),
    Side("accepted", "dst", "src", Outcome.ESTABLISHED, _TAKEN),
)


class FlowCounts:
    """Counts flows by side and attribution. owners: asked whose they are."""

    def __init__(self, owners: FlowOwners) -> None:
        self._owners = owners
        names = (f"{side.name}_{way}" for side in SIDES for way in WAYS)
        self._counts = Counter(dict.fromkeys(names, 0))

    def update(self, contacts: NDArray[np.void]) -> None:
        """Take record.CONNECTION (n,) of a batch of packets: attempts and their ends."""
        if not len(contacts):
            return
        for side in SIDES:
            # NumPy copies such rows field by field, so they stay where they are.
            chosen = (contacts["outcome"] == side.outcome) & side.is_counted[contacts["kind"]]
            at = np.flatnonzero(chosen)
            hi, lo = (contacts[f"{side.own}_{half}"][at] for half in ("hi", "lo"))
            at = at[self._owners.are_local(hi, lo)]
            if len(at):
                self._count(side, contacts, at)

    def counters(self) -> dict[str, int]:
        """As originated_WAY and accepted_WAY, flows of which this host's process is known by a
        hook, by the snapshot, inferred, or not at all (none); unasked: too many at a time."""
        return dict(self._counts)

    def _count(self, side: Side, rows: NDArray[np.void], at: NDArray[np.int64]) -> None:
        keys = keys_of_contacts(rows, at, side.own, side.peer)
        connected = self._owners.connected(keys, rows["time"][at])
        for place, way in enumerate(SURENESS):
            self._counts[f"{side.name}_{way}"] += int(np.count_nonzero(connected == place))
        others = np.flatnonzero(connected < 0)
        if not len(others):
            return
        ends, times = hashes(ends_of(keys[others])), rows["time"][at[others]]
        _, firsts, sizes = np.unique(ends, return_index=True, return_counts=True)
        held = self._owners.ends(keys[others[firsts]], times[firsts])
        for place, way in enumerate(SURENESS):
            self._counts[f"{side.name}_{way}"] += int(sizes[held == place].sum())
        firsts, sizes = firsts[held < 0], sizes[held < 0]
        order = np.argsort(firsts)
        for place in order[:ASKED].tolist():
            row = rows[at[others[firsts[place]]]]
            own, peer = endpoint(row, side.own), endpoint(row, side.peer)
            owner = self._owners.owner(own, peer, int(row["protocol"]), int(row["time"]))
            way = owner.attribution if owner is not None else NONE
            self._counts[f"{side.name}_{way}"] += int(sizes[place])
        self._counts[f"{side.name}_{UNASKED}"] += int(sizes[order[ASKED:]].sum())


def endpoint(row: np.void, side: str) -> Endpoint:
    """One end of a row of record.CONNECTION. side: src or dst."""
    address = int(row[f"{side}_hi"]) << 64 | int(row[f"{side}_lo"])
    return Endpoint(address.to_bytes(16), int(row[f"{side}_port"]))
