"""Twins of detect/key_map.py, distinct.py and zones.py in plain Python."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

LATENESS = 600_000_000_000


class NaiveDistinct:
    """Two sets of (subject, target), each for two halves of a window."""

    def __init__(self, window: int) -> None:
        self.half = window // 2
        self.began: dict[int, dict[int, list[int]]] = {0: {}, 1: {}}
        self.cell = {0: None, 1: None}
        self.latest = None

    def attempt(self, time: int, subject: int, target: int) -> tuple[int, bool]:
        """The subject's distinct targets in the older bucket, and whether this one is new there."""
        self.latest = time if self.latest is None else max(time, self.latest)
        if self.latest - time <= LATENESS:
            time = self.latest
        cell = time // self.half
        for start in (cell - 1, cell):
            if self.cell[start % 2] != start:
                self.cell[start % 2] = start
                self.began[start % 2] = {}
        for start in (cell, cell - 1):
            targets = self.began[start % 2].setdefault(subject, [])
            is_new = target not in targets
            if is_new:
                targets.append(target)
        return len(targets), is_new


def naive_zone(
    address: str, zones: dict[str, list[IPv4Network | IPv6Network]], unknown: str
) -> str:
    """The zone of the smallest network that an address lies in."""
    ip = ip_address(address)
    around = [
        (network.prefixlen, name)
        for name, networks in zones.items()
        for network in networks
        if network.version == ip.version and ip in network
    ]
    return max(around, default=(0, unknown))[1]
