"""Of how many captured flows of this host the process is known, and how surely."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.event import Outcome
from procwire.owners.attribution import NONE, SURENESS
from procwire.owners.flow_keys import keys_of_contacts
from procwire.record import Attempt

if TYPE_CHECKING:
    from procwire.owners.flow_owners import FlowOwners

WAYS = (*SURENESS, NONE)


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
            keys = keys_of_contacts(contacts, at, side.own, side.peer)
            places = self._owners.sureness(keys, contacts["time"][at])
            # Nobody's have -1, which is the last of them.
            counts = np.bincount(places % len(WAYS), minlength=len(WAYS)).tolist()
            self._counts.update(
                {f"{side.name}_{way}": n for way, n in zip(WAYS, counts, strict=True)}
            )

    def counters(self) -> dict[str, int]:
        """As originated_WAY and accepted_WAY, flows of which this host's process is known by a
        hook, by the snapshot, inferred, or not at all (none)."""
        return dict(self._counts)
