"""The addresses that are this host's own, as its kernel's local routes have them, and its
interfaces."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from pyroute2 import IPRoute

# net/if.h
_IFF_UP = 1
# linux/rtnetlink.h
_TABLE_LOCAL, _RTN_LOCAL = 255, 2
_ZERO = {2: "0.0.0.0", 10: "::"}


def local_networks() -> list[IPv4Network | IPv6Network]:
    """Networks of which the host takes every address for its own, in this network namespace."""
    with IPRoute() as kernel:
        return [
            ip_network(f"{route.get_attr('RTA_DST') or _ZERO[route['family']]}/{route['dst_len']}")
            for route in kernel.get_routes(table=_TABLE_LOCAL)
            if route["type"] == _RTN_LOCAL and route["family"] in _ZERO
        ]


def interfaces_up() -> list[str]:
    """Names of the interfaces that are up, in this network namespace."""
    with IPRoute() as kernel:
        up = (link for link in kernel.get_links() if link["flags"] & _IFF_UP)
        return sorted(link.get_attr("IFLA_IFNAME") for link in up)
