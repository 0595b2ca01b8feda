"""Points in time as people write them, and back: 30d, 12h, 2027-01-31, 2027-01-31T18:00."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from procwire.errors import UsageError

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}
_NANOSECONDS = 1_000_000_000
# What an 8-byte count of nanoseconds holds.
_LAST = (2**63 - 1) // _NANOSECONDS


def later(text: str, now: int) -> int:
    """ns since the epoch of `text`, a duration from `now` on or a date with or without a time, UTC
    unless it says otherwise. Raises UsageError for anything else and for what is not after `now`.
    """
    wrong = UsageError(f"{text!r}: give a time to come, such as 30d, 12h, 2w or 2027-01-31")
    duration = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if duration:
        seconds = now // _NANOSECONDS + int(duration[1]) * _SECONDS[duration[2]]
    else:
        try:
            moment = datetime.fromisoformat(text)
            seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            raise wrong from None
    if not now < seconds * _NANOSECONDS or seconds > _LAST:
        raise wrong
    return seconds * _NANOSECONDS


def written(time: int) -> str:
    """ns since the epoch -> 2027-01-31 18:00, in UTC. What no calendar holds is cut."""
    seconds = max(0, min(time // _NANOSECONDS, _LAST))
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
