"""Hosts that each lie in a network of their own: a peer-to-peer client's peers, or a scan's targets
that were drawn.

Neither ports nor order tell the two apart: peers of one kind share a port, and nobody dials them in
order. What does is how many answer. Lists of peers go stale, but some of them live; hardly any
address that is drawn has a given port open. That a tenth answers, or a fiftieth, are the hypotheses
of a sequential test (Wald 1945), which needs the more hosts the more of them answer; both shares
are judgement, and settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from procwire.event import SAMPLE_TARGETS
from procwire.settings.scans import RandomWalkSettings

SETTING = "random_walk.scattered_benign_success"
"""The setting by which what follows can be changed."""
_MAPPED = bytes(10) + b"\xff\xff"


def are_scattered(addresses: Iterable[bytes]) -> bool:
    """Whether SAMPLE_TARGETS hosts, of 16 bytes each, lie in networks of their own, a /16 or a /32
    of IPv6; two may meet by chance."""
    # Of different lengths, so that one is none of the other.
    networks = {one[:14] if one.startswith(_MAPPED) else one[:4] for one in addresses}
    return len(networks) >= SAMPLE_TARGETS - 1


def least_unanswered(hosts: int, settings: RandomWalkSettings) -> float:
    """Which share of so many scattered hosts has to come to nothing before they are a scan; more
    than 1 where there are too few."""
    benign, scanner = settings.scattered_benign_success, settings.scattered_scanner_success
    answer, none = math.log(scanner / benign), math.log((1 - scanner) / (1 - benign))
    decisive = math.log((1 - settings.missed) / settings.false_alarm)
    return (decisive / max(hosts, 1) - answer) / (none - answer)
