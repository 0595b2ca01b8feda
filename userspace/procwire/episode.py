"""What an open episode is: what is known of it between its alerts."""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.alert import FORGED_SOURCES, MOST_SOURCES, Alert
from procwire.detect.detector import BLOCK, HOST_SWEEP, PORT_VERTICAL, Detector
from procwire.detect.finding_groups import WITH_PORTS
from procwire.detect.observation import Evidence
from procwire.event import SAMPLE_TARGETS
from procwire.record import Endpoint

Key = bytes | tuple[object, ...]
"""What an episode is of: what its findings share, of which folding.Kept makes bytes, or a rule and
its context alone, or a detector's family, the kind of attempts and their subject."""
Prober = bytes
"""An address in 16 bytes of network order."""
Of = int | str
"""A rule, by its index, or a detector's family."""

# So many ends are remembered, of so many findings of an episode: of forged sources, and of targets.
_FORGED, _PROBED = (MOST_SOURCES, 1000), (SAMPLE_TARGETS, 100)


class Episode(msgspec.Struct, gc=False):
    """latest: its state when it was raised, grew or was last observed; count, last: as in Alert,
    up to date; told: the count last told; figure: the largest seen; next_raise: the figure at which
    it is told again; seen: event time reached when it last had news; raised: when it began; prober:
    whose it is, where it is part of what one prober does; due: when it closes, as queued; others:
    of findings that fold by one address some of the others with their first ports."""

    key: Key
    rule: Of
    latest: Alert
    count: int
    last: int
    told: int
    figure: int
    next_raise: int
    seen: int
    raised: int
    prober: Prober | None
    due: int = 0
    others: dict[bytes, int | None] = msgspec.field(default_factory=dict)

    def see_others(self, members: NDArray[np.void], count: int) -> None:
        """Remember the other ends of those findings (Groups.members), of which it knows one: the
        targets of probes, as many as alerts list, or forged sources, as many as are counted. count:
        the findings before these."""
        others = self.others
        most, looked_at = _FORGED if self.prober is None else _PROBED
        if len(others) >= most or count >= looked_at:
            return
        for address, port, transport, _ in members[: looked_at - count].tolist():
            if address not in others:
                others[address] = port if transport in WITH_PORTS else None
                if len(others) == most:
                    break

    def with_others(self) -> Alert:
        """Its state with the other ends that were seen."""
        others = self.others
        if others and self.prober is None:
            said = Evidence(FORGED_SOURCES, len(others))
            return replace(self.latest, evidence=(said,))
        if len(others) < 2:
            return self.latest
        return replace(self.latest, targets=tuple(map(Endpoint, others, others.values())))


def wider(one: Detector, other: Detector) -> Detector:
    """What an episode is that two detectors see: one of them, or, of hosts and ports, a block."""
    if {one.id, other.id} == {HOST_SWEEP.id, PORT_VERTICAL.id}:
        return BLOCK
    return other if other.width > one.width else one
