"""Times as EVE has them, to the microsecond, and lengths of time for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Seconds from which on a unit is used -> its name and seconds.
_UNITS = {
    14 * 86_400: ("weeks", 7 * 86_400),
    2 * 86_400: ("days", 86_400),
    2 * 3600: ("h", 3600),
    120: ("min", 60),
    1: ("s", 1),
    1e-4: ("ms", 1e-3),
    1e-9: ("µs", 1e-6),
}
# What is longer is none, and would be remembered whole.
_LONGEST = 64


# Of most alerts all three times are the same; a larger memory hardly finds more.
@lru_cache(maxsize=64)
def timestamp(time: int) -> str:
    """ns since the epoch -> 2026-11-20T10:00:00.000000+0000. What int64 cannot hold is cut."""
    seconds, microseconds = divmod(max(-(2**63), min(time, 2**63 - 1)) // 1000, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}+0000"


def duration(seconds: float) -> str:
    """A length of time in the unit that fits it: 40 µs, 25 ms, 7.2 s, 38 s, 2.5 h, 4 weeks; 0 s
    where it is none."""
    for least, (name, unit) in _UNITS.items():
        if seconds >= least:
            number = seconds / unit
            digits = f"{number:.1f}".removesuffix(".0") if number < 10 else f"{number:.0f}"
            return f"{digits} {name}"
    return "0 s"


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
