"""How addresses and protocols are written: IPv4 unmapped, protocols by Suricata's names."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

_MAPPED = bytes(10) + b"\xff\xff"

PROTOCOL_NAMES = {
    1: "ICMP",
    2: "IGMP",
    6: "TCP",
    17: "UDP",
    41: "IPv6",
    47: "GRE",
    50: "ESP",
    51: "AH",
    58: "IPv6-ICMP",
    132: "SCTP",
}


@lru_cache(maxsize=65536)
def address(packed: bytes) -> IPv4Address | IPv6Address:
    """The address in 16 bytes of network order; ::ffff:a.b.c.d is a.b.c.d."""
    return IPv4Address(packed[12:]) if packed.startswith(_MAPPED) else IPv6Address(packed)


def protocol_name(number: int) -> str:
    """Suricata's name of an IP protocol, three digits for one without."""
    return PROTOCOL_NAMES.get(number, f"{number:03d}")
