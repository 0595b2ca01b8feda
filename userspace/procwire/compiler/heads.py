"""What Suricata asks of a packet before it looks at any bytes: the addresses and ports in the head
of a rule, and keywords for single fields.

They repeat what tests of bytes say, as far as they can, so that most packets need none.
"""

from __future__ import annotations

from functools import reduce
from ipaddress import IPv4Address
from typing import NamedTuple

from procwire.compiler.fields import Case, Field, Values, shared


class Head(NamedTuple):
    """Necessary for a case: address and port of each end, further keywords."""

    source: str = "any any"
    destination: str = "any any"
    keywords: tuple[str, ...] = ()


ANY = "any"
_ADDRESSES = {"ipv4.hdr": (12, 16)}
_PORTS = {"tcp.hdr": (0, 2), "udp.hdr": (0, 2)}
# Suricata keeps the rules of a protocol apart from those of others.
_PROTOCOL = ("ipv4.hdr", Field("p", 9, 1, 0, 8))
_ACKNOWLEDGES = Field("p", 13, 1, 4, 1)
_RESERVED, _MORE = Field("p", 6, 1, 7, 1), Field("p", 6, 2, 13, 1)
_FRAGMENT = Field("p", 6, 2, 0, 13)
# Where `prefilter` follows, one look at the packet does for all rules that ask the same.
_KEYWORDS: dict[tuple[str, Field, Values], str] = {
    ("ipv4.hdr", _RESERVED, ((1, 1),)): "fragbits:*R; prefilter;",
    ("ipv4.hdr", _MORE, ((1, 1),)): "fragbits:*M; prefilter;",
    ("ipv4.hdr", _FRAGMENT, ((1, 1),)): "fragoffset:1; prefilter;",
    ("ipv4.hdr", _FRAGMENT, ((1, 8191),)): "fragoffset:>0; prefilter;",
    # Not what begins or ends a connection: Suricata takes those letters as a demand of their own.
    ("tcp.hdr", _ACKNOWLEDGES, ((0, 0),)): "flags:!A; prefilter;",
}


def head(case: Case, buffer: str) -> Head:
    """What the head of a rule can say of the case, whose span p is in `buffer`."""
    words = [
        keyword
        for (of, field, values), keyword in _KEYWORDS.items()
        if of == buffer and case.fields.get(field) == values
    ]
    if buffer == _PROTOCOL[0]:
        protocol = case.fields.get(_PROTOCOL[1], ())
        words += [f"ip_proto:{low};" for low, high in protocol if protocol == ((low, low),)]
    source, destination = (
        f"{_address(case, buffer, end)} {_port(case, buffer, end)}" for end in (0, 1)
    )
    return Head(source, destination, tuple(words))


def _address(case: Case, buffer: str, end: int) -> str:
    if buffer not in _ADDRESSES:
        return ANY
    offset = _ADDRESSES[buffer][end]
    known = [
        tuple((low << 8 * (4 - size), (high + 1 << 8 * (4 - size)) - 1) for low, high in values)
        for size in (1, 4)
        for values in [case.fields.get(Field("p", offset, size, 0, 8 * size), ())]
        if values
    ]
    if not known:
        return ANY
    ranges = [f"{IPv4Address(low)}-{IPv4Address(high)}" for low, high in reduce(shared, known)]
    return f"[{','.join(ranges)}]"


def _port(case: Case, buffer: str, end: int) -> str:
    """A port that the case names."""
    if buffer not in _PORTS:
        return ANY
    ports = case.fields.get(Field("p", _PORTS[buffer][end], 2, 0, 16), ())
    return str(ports[0][0]) if len(ports) == 1 and ports[0][0] == ports[0][1] else ANY
