"""How records write addresses, times and numbers, and what these are. All raise ValueError for what
is none, with the text that was found.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from functools import lru_cache

_MAPPED = 0xFFFF << 32
_NANOSECONDS = 1_000_000_000
_ZONE_STEP = 900 * _NANOSECONDS
_LOW = (1 << 64) - 1
# What a signed count of ns since the epoch can hold, a margin for arithmetic left.
_EARLIEST, _LATEST = -(2**62), 2**62
_SHOWN = 60
_LONGEST_MOMENT = 64
_DIGITS = "0123456789"

PORTS = 65536
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58, "ipv6-icmp": 58, "sctp": 132}
"""IP protocol numbers by the names that records use, in lower case."""


def address(text: str) -> tuple[int, int]:
    """The halves of an address in 16 bytes of network order, IPv4 mapped; a zone is left out."""
    return _halves(text.partition("%")[0] if ":" in text else text)


@lru_cache(maxsize=65536)
def _halves(text: str) -> tuple[int, int]:
    try:
        if ":" in text:
            whole = int.from_bytes(socket.inet_pton(socket.AF_INET6, text))
            return whole >> 64, whole & _LOW
        return 0, _MAPPED | int.from_bytes(socket.inet_pton(socket.AF_INET, text))
    except (OSError, ValueError):
        raise ValueError(f"found {shown(text)}, expected an IP address") from None


def address_of(packed: bytes) -> tuple[int, int]:
    """The halves of 4 or 16 bytes."""
    whole = int.from_bytes(packed)
    return (0, _MAPPED | whole) if len(packed) == 4 else (whole >> 64, whole & _LOW)


def number(value: object, limit: int = 2**32) -> int:
    """A number below `limit` that may be written as text, in hexadecimal with 0x."""
    try:
        if isinstance(value, str):
            found = int(value, 16) if value[:2] in ("0x", "0X") else int(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            found = value
        else:
            raise ValueError
        if not 0 <= found < limit:
            raise ValueError
    except ValueError:
        raise ValueError(f"found {shown(value)}, expected a number below {limit}") from None
    return found


def moment(text: object) -> int:
    """ns since the epoch of 2020-10-22 08:29:52.016, with T and a zone or without (UTC)."""
    try:
        # What is longer is none, and would be remembered.
        if not isinstance(text, str) or len(text) > _LONGEST_MOMENT:
            raise ValueError
        whole, dot, rest = text.partition(".")
        zone = rest.lstrip(_DIGITS)
        digits = rest[: len(rest) - len(zone)]
        if dot and not digits:
            raise ValueError
        time = _seconds(whole + zone) * _NANOSECONDS + int(digits[:9].ljust(9, "0"))
    except (ValueError, OverflowError):
        raise ValueError(f"found {shown(text)}, expected a date and time") from None
    return _within(time, text)


def epoch(text: str) -> int:
    """ns since the epoch of seconds since the epoch, 1626611363.720."""
    whole, _, rest = text.partition(".")
    if not (whole.removeprefix("-").isdecimal() and (not rest or rest.isdecimal())):
        raise ValueError(f"found {shown(text)}, expected seconds since 1970")
    time = int(whole[:20]) * _NANOSECONDS
    fraction = int(rest[:9].ljust(9, "0"))
    return _within(time - fraction if whole.startswith("-") else time + fraction, text)


def local_moment(text: object, near: int) -> int:
    """ns since the epoch of a local time without its zone, which is that of whole quarters of an
    hour that brings it closest to `near`."""
    local = moment(text)
    return local + round((near - local) / _ZONE_STEP) * _ZONE_STEP


def shown(value: object) -> str:
    """A captured value, as short as an error text can bear."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@lru_cache(maxsize=4096)
def _seconds(text: str) -> int:
    when = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def _within(time: int, text: str) -> int:
    if not _EARLIEST < time < _LATEST:
        raise ValueError(f"found {shown(text)}, expected a time between 1824 and 2115")
    return time
