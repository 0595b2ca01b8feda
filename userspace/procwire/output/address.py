"""How addresses and protocols are written: IPv4 unmapped, protocols by Suricata's names."""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import IPv6Address

_MAPPED = bytes(10) + b"\xff\xff"
_COMPATIBLE = bytes(12)

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


def packed(address: bytes) -> bytes:
    """4 bytes of IPv4 or 16 of IPv6, of an address in 16 bytes of network order."""
    return address[12:] if address.startswith(_MAPPED) else address


def mapped(address: bytes) -> bytes:
    """The inverse of packed()."""
    return address if len(address) == 16 else _MAPPED + address


# A larger memory hardly finds more.
@lru_cache(maxsize=64)
def address_text(address: bytes) -> str:
    """The address in 16 bytes of network order; ::ffff:a.b.c.d is a.b.c.d."""
    if address.startswith(_MAPPED):
        return socket.inet_ntoa(address[12:])
    # C has another way to write these, and takes a sixth of the time for all others.
    if address.startswith(_COMPATIBLE):
        return str(IPv6Address(address))
    return socket.inet_ntop(socket.AF_INET6, address)


def ip_version(address: bytes) -> int:
    """4 or 6."""
    return 4 if address.startswith(_MAPPED) else 6


def protocol_name(number: int) -> str:
    """Suricata's name of an IP protocol, three digits for one without."""
    return PROTOCOL_NAMES.get(number) or f"{number:03d}"
