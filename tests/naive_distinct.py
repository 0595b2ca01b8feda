"""Twins of detect/key_map.py, distinct.py and zones.py in plain Python."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

LATENESS = 600_000_000_000


class NaiveDistinct:
    """Two sets of (subject, target): of the half of a window that is now with the one before it,
    and of that half alone, which takes the other's place where it is as large as half the limit."""

    def __init__(self, window: int, limit: int) -> None:
        self.half, self.room = window // 2, limit // 2
        self.older: dict[int, list[int]] = {}
        self.younger: dict[int, list[int]] = {}
        self.cell = self.latest = None
        self.evicted = 0

    def attempt(self, time: int, subject: int, target: int) -> tuple[int, bool]:
        """The subject's distinct targets of late, and whether this one is new among them."""
        self.latest = time if self.latest is None else max(time, self.latest)
        if self.latest - time <= LATENESS:
            time = self.latest
        before, self.cell = self.cell, time // self.half
        if before is not None and self.cell == before + 1:
            self.older, self.younger = self.younger, {}
        elif self.cell != before:
            self.older, self.younger = {}, {}
        is_full = sum(map(len, self.younger.values())) == self.room
        if is_full and target not in self.younger.get(subject, ()):
            self.evicted += len(self.older.keys() - self.younger.keys())
            self.older, self.younger = self.younger, {}
        is_new = target not in self.older.setdefault(subject, [])
        for began in (self.older, self.younger):
            if target not in began.setdefault(subject, []):
                began[subject].append(target)
        return len(self.older[subject]), is_new


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
