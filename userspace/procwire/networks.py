"""Networks as users name them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

_BEFORE_IPV4 = 96


def network_of(text: str) -> IPv4Network | IPv6Network:
    """The network that a text names; ::ffff:a.b.c.d/120 is a.b.c.d/24, as addresses are unmapped
    before they are compared (RFC 4291 2.5.5.2). Raises ValueError where it names none, or an
    address with bits behind the prefix."""
    named = ip_network(text)
    if isinstance(named, IPv4Network) or named.prefixlen < _BEFORE_IPV4:
        return named
    unmapped = named.network_address.ipv4_mapped
    return named if unmapped is None else IPv4Network((unmapped, named.prefixlen - _BEFORE_IPV4))
