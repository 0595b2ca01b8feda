"""The addresses that are this host's own, as its kernel's local routes have them, and its
interfaces. All raise OSError where the kernel does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pyroute2 import IPRoute, NetlinkError

# net/if.h
_IFF_UP = 1
# linux/rtnetlink.h
_TABLE_LOCAL, _RTN_LOCAL = 255, 2
_ZERO = {2: "0.0.0.0", 10: "::"}


@contextmanager
def _kernel() -> Iterator[IPRoute]:
    try:
        with IPRoute() as asked:
            yield asked
    except NetlinkError as error:
        # Some versions take it for a failure that routes changed while they were listed.
        raise OSError(error.code, f"rtnetlink: {error}") from error


def local_networks() -> list[IPv4Network | IPv6Network]:
    """Networks of which the host takes every address for its own, in this network namespace."""
    with _kernel() as kernel:
        return [
            ip_network(f"{route.get_attr('RTA_DST') or _ZERO[route['family']]}/{route['dst_len']}")
            for route in kernel.get_routes(table=_TABLE_LOCAL)
            if route["type"] == _RTN_LOCAL and route["family"] in _ZERO
        ]


def gateways() -> list[IPv4Address | IPv6Address]:
    """Every next hop of the host's routes, in this network namespace."""
    hops = []
    with _kernel() as kernel:
        for route in kernel.get_routes():
            for one in (route, *(route.get_attr("RTA_MULTIPATH") or ())):
                # RTA_VIA: the gateway of an IPv4 route that has an IPv6 address (RFC 5549).
                via = one.get_attr("RTA_VIA") or {}
                hops.append(one.get_attr("RTA_GATEWAY") or via.get("addr"))
    return [ip_address(hop) for hop in hops if hop]


def interfaces_up() -> list[str]:
    """Names of the interfaces that are up, in this network namespace."""
    with _kernel() as kernel:
        up = (link for link in kernel.get_links() if link["flags"] & _IFF_UP)
        return sorted(link.get_attr("IFLA_IFNAME") for link in up)
