"""What an open episode is: what is known of it between its alerts."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from procwire.alert import FORGED_SOURCES, MOST_SOURCES, Alert
from procwire.detect.hits import BY_TARGET, FOLD, NO_PORT, Kept
from procwire.detect.observation import Endpoint, Evidence
from procwire.event import SAMPLE_TARGETS

Key = tuple[object, ...]
"""What an episode is of: a rule and the addresses that its findings share, or a detector's family,
the kind of attempts and their subject."""
Prober = tuple[int, int]
"""An address in halves."""

# So many ends are remembered, of so many findings of an episode: of forged sources, and of targets.
_FORGED, _PROBED = (MOST_SOURCES, 1000), (SAMPLE_TARGETS, 100)


class Episode(msgspec.Struct, gc=False):
    """latest: its state when it was raised, grew or was last observed; count, last: as in Alert,
    up to date; told: the count last told; figure: the largest seen; next_raise: the figure at which
    it is told again; seen: event time reached when it last had news; raised: when it began; prober:
    whose it is, where it is part of what one prober does; due: when it closes, as queued; others:
    of findings that fold by one address some of the others, in halves, with their first ports."""

    key: Key
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
    others: dict[tuple[int, int], int] = msgspec.field(default_factory=dict)


def see_others(episode: Episode, kept: Kept, places: list[int], count: int) -> None:
    """Remember the other ends of those findings, of which the episode knows one: the targets of
    probes, as many as alerts list, or forged sources, as many as are counted. count: the findings
    before these."""
    others, before = episode.others, len(episode.others)
    is_forged = len(episode.key) > FOLD and episode.key[FOLD] == BY_TARGET
    most, looked_at = _FORGED if is_forged else _PROBED
    if before >= most or count >= looked_at or not places:
        return
    ends = kept.others()
    for place in places[: looked_at - count]:
        hi, lo, port = ends[place]
        if (hi, lo) not in others:
            others[hi, lo] = port
            if len(others) == most:
                break
    if len(others) == before:
        return
    if is_forged:
        said = Evidence(FORGED_SOURCES, len(others))
        episode.latest = replace(episode.latest, evidence=(said,))
    elif len(others) > 1:
        targets = tuple(_endpoint(*one, port) for one, port in others.items())
        episode.latest = replace(episode.latest, targets=targets)


def _endpoint(hi: int, lo: int, port: int) -> Endpoint:
    address = (hi << 64 | lo).to_bytes(16)
    return Endpoint(address, None if port == NO_PORT else port)
