"""Times as EVE has them, to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What is longer is none, and would be remembered whole.
_LONGEST = 64


# Of most alerts all three times are the same.
@lru_cache(maxsize=1024)
def timestamp(time: int) -> str:
    """ns since the epoch -> 2026-11-20T10:00:00.000000+0000. What int64 cannot hold is cut."""
    seconds, microseconds = divmod(max(-(2**63), min(time, 2**63 - 1)) // 1000, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}+0000"


def nanoseconds(text: object) -> int | None:
    """An EVE timestamp as ns since the epoch; None for what is none."""
    return _nanoseconds(text) if isinstance(text, str) and len(text) <= _LONGEST else None


@lru_cache(maxsize=1 << 16)
def _nanoseconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return (moment - _EPOCH) // _MICROSECOND * 1000


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    moment = _EPOCH + timedelta(seconds=seconds)
    return moment.strftime(f"{moment.year:04d}-%m-%dT%H:%M:%S")
