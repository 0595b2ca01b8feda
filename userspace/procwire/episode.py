"""What an open episode is: what is known of it between its alerts."""

from __future__ import annotations

import msgspec

from procwire.alert import Alert

Key = tuple[object, ...]
"""What an episode is of: a rule and the addresses that its findings share, or a detector's family,
the kind of attempts and their subject."""
Prober = tuple[int, int]
"""An address in halves."""


class Episode(msgspec.Struct, gc=False):
    """latest: its state when it was raised, grew or was last observed; count, last: as in Alert,
    up to date; told: the count last told; figure: the largest seen; next_raise: the figure at which
    it is told again; seen: event time reached when it last had news; raised: when it began; prober:
    whose it is, where it is part of what one prober does; due: when it closes, as queued."""

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
