"""What an open episode is: what is known of it between its alerts."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from procwire.alert import FORGED_SOURCES, MOST_SOURCES, Alert
from procwire.detect.hits import Kept
from procwire.detect.observation import Evidence

Key = tuple[object, ...]
"""What an episode is of: a rule and the addresses that its findings share, or a detector's family,
the kind of attempts and their subject."""
Prober = tuple[int, int]
"""An address in halves."""


class Episode(msgspec.Struct, gc=False):
    """latest: its state when it was raised, grew or was last observed; count, last: as in Alert,
    up to date; told: the count last told; figure: the largest seen; next_raise: the figure at which
    it is told again; seen: event time reached when it last had news; raised: when it began; prober:
    whose it is, where it is part of what one prober does; due: when it closes, as queued; sources:
    of findings with forged ones a number of them, addresses in halves."""

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
    sources: set[tuple[int, int]] = msgspec.field(default_factory=set)


def see_sources(episode: Episode, kept: Kept, places: list[int]) -> None:
    """Count the forged sources of those findings, as far as such are counted."""
    if places and len(episode.sources) < MOST_SOURCES:
        episode.sources |= kept.sources(places)
        number = min(len(episode.sources), MOST_SOURCES)
        said = Evidence(FORGED_SOURCES, number)
        episode.latest = replace(episode.latest, evidence=(said,))
