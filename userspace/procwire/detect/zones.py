"""Which zone an address lies in, for whole columns of addresses.

Strategy: networks may lie in one another, and the smallest counts; they are cut into ranges that do
not overlap, and a range is found by binary search, in 64 bits for IPv4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import numpy as np
from numpy.typing import NDArray

ICS, EXTERNAL = "ics", "external"
KINDS = (ICS, "it", "dmz", EXTERNAL)
UNKNOWN = "unknown"
"""The zone of addresses that lie in none; its number is 0."""

_MAPPED_HALF = np.uint64(0xFFFF)
_IPV4_BITS = np.uint64(32)


@dataclass(frozen=True)
class Zone:
    """Networks that are treated alike. kind: one of KINDS."""

    name: str
    kind: str
    networks: tuple[IPv4Network | IPv6Network, ...]


class Zones:
    """Zones by number: names and kinds, of which the first is that of unknown addresses."""

    def __init__(self, zones: Sequence[Zone] = ()) -> None:
        self.names = (UNKNOWN, *(zone.name for zone in zones))
        self.kinds = ("", *(zone.kind for zone in zones))
        self.is_ics = np.array([kind == ICS for kind in self.kinds])
        starts, numbers = _ranges(zones, IPv6Network("::/0"))
        self._starts = np.array([start.to_bytes(16, "big") for start in starts], "S16")
        self._numbers = np.array(numbers, np.uint16)
        starts, numbers = _ranges(zones, IPv4Network("0.0.0.0/0"))
        self._ipv4_starts = np.array(starts, np.uint64)
        self._ipv4_numbers = np.array(numbers, np.uint16)

    def __len__(self) -> int:
        """How many zones there are, without that of unknown addresses."""
        return len(self.names) - 1

    def number_of(self, address: bytes) -> int:
        """The number of the zone of one address in 16 bytes of network order."""
        halves = np.frombuffer(address, ">u8").astype(np.uint64)
        return int(self.of(halves[:1], halves[1:])[0])

    def of(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """The number of the zone of each address, given as big-endian halves (n,)."""
        if len(self) == 0:
            return np.zeros(len(hi), np.uint16)
        ipv4 = (hi == 0) & (lo >> _IPV4_BITS == _MAPPED_HALF)
        host = lo & np.uint64(0xFFFFFFFF)
        places = np.searchsorted(self._ipv4_starts, host, "right") - 1
        found: NDArray[np.uint16] = self._ipv4_numbers[places]
        if ipv4.all():
            return found
        others = np.flatnonzero(~ipv4)
        halves = np.stack((hi[others], lo[others]), axis=1).astype(">u8")
        places = np.searchsorted(self._starts, halves.view("S16")[:, 0], "right") - 1
        found[others] = self._numbers[places]
        return found


def _ranges(zones: Sequence[Zone], whole: IPv4Network | IPv6Network) -> tuple[list[int], list[int]]:
    """Starts of ranges that cover the `whole` without a gap, and the number of each: that of the
    zone with the smallest network around it, or 0. Networks contain each other or are apart."""
    starts, numbers = [0], [0]
    last_of_all = int(whole.broadcast_address)
    around: list[tuple[int, int]] = [(last_of_all, 0)]

    def begin(start: int, number: int) -> None:
        """Of several that begin at one address the last counts."""
        if starts[-1] == start:
            numbers[-1] = number
        elif start <= last_of_all:
            starts.append(start)
            numbers.append(number)

    def leave(limit: int) -> None:
        while around[-1][0] < limit:
            last, _ = around.pop()
            begin(last + 1, around[-1][1])

    spans = [
        (int(network.network_address), -int(network.broadcast_address), number)
        for number, zone in enumerate(zones, 1)
        for network in zone.networks
        if network.version == whole.version
    ]
    for first, negative_last, number in sorted(spans):
        leave(first)
        begin(first, number)
        around.append((-negative_last, number))
    leave(last_of_all)
    return starts, numbers
