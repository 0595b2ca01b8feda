"""Whose a flow is: what the kernel told of sockets, asked by the ends of a packet and its time.

Strategy: whoever asks is given the claim that held at the packet's time, so that neither the order
of arrival nor a port used again names a stranger; where more than one could be meant, the answer
says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

import numpy as np
from numpy.typing import NDArray

from procwire.detect.zones import Zone, Zones
from procwire.event import EventKind
from procwire.output.address import mapped
from procwire.owners.attribution import SURENESS, Owner
from procwire.owners.claims import (
    ENTERED,
    EVICTED,
    claim_table,
    claims_of,
    enter,
    exited,
    exits_of,
)
from procwire.owners.flow_keys import WITHOUT_PORTS, key_of
from procwire.owners.owner_lookup import FOUND, Places, find
from procwire.owners.translations import Translations
from procwire.record import Endpoint
from procwire.sensor.namespaces import Network

CAPACITY = 1 << 17
"""Claims kept, 112 bytes each and 32 to find them: those of four seconds at ten thousand new
datagram sockets a second."""


class FlowOwners:
    """Claims of processes on ends and flows, of which the last `capacity` are kept.

    namespace: inode number of the network namespace whose packets are asked about; local: as
    networks() takes it, for that namespace. translations: of flows, which are held by what they are
    inside.
    """

    def __init__(
        self, namespace: int, local: Sequence[Network] = (), capacity: int = CAPACITY
    ) -> None:
        self._namespace = namespace
        self._claims = claim_table(capacity)
        self._found = np.zeros(FOUND, np.int64)
        self.translations = Translations()
        self.networks({namespace: local})

    @property
    def evicted(self) -> int:
        """Claims that had not ended and were forgotten because there was no room."""
        return int(self._claims.state[EVICTED])

    def __len__(self) -> int:
        return min(int(self._claims.state[ENTERED]), len(self._claims.rows))

    def networks(self, own: Mapping[int, Iterable[Network]]) -> None:
        """By network namespace of this host, what networks are its own from now on: there a socket
        on every address has its port. Loopback is each namespace's own, so that of others does not
        count."""
        every = dict.fromkeys(
            (network, namespace)
            for namespace, networks in own.items()
            for network in networks
            if namespace == self._namespace or not network.is_loopback
        )
        networks = tuple(dict.fromkeys(network for network, _ in every))
        self._local = Zones([Zone("local", "it", networks)])
        first = _halves([network.network_address for network, _ in every])
        last = _halves([network.broadcast_address for network, _ in every])
        namespaces = np.array([namespace for _, namespace in every], np.int64)
        captured = np.array([self._namespace], np.int64)
        self._places = Places(*first, *last, namespaces, captured)

    def update(self, events: NDArray[np.void]) -> None:
        """Enter (n,) FLOW_EVENT, times in ns since the epoch."""
        enter(self._claims, claims_of(events))

    def processes(self, events: NDArray[np.void]) -> None:
        """Follow exits: (n,) PROCESS_EVENT."""
        exited(self._claims, exits_of(events[events["kind"] == EventKind.EXIT]))

    def owner(self, end: Endpoint, peer: Endpoint, protocol: int, time: int) -> Owner | None:
        """Who held `end` towards `peer` at `time`, ns since the epoch; None if nobody is known to.

        protocol: IP's number, 0 for ARP.
        """
        ports = (0, 0) if protocol in WITHOUT_PORTS else (end.port or 0, peer.port or 0)
        key = key_of(protocol, end.address, ports[0], peer.address, ports[1])
        return self.owners(key[np.newaxis], np.array([time], np.int64))[0]

    def owners(self, keys: NDArray[np.uint64], times: NDArray[np.int64]) -> list[Owner | None]:
        """The same of many flows at once.

        keys: (n, 5) as flow_keys.keys_of_contacts() makes them; times: (n,) ns since the epoch.
        """
        numbers, places = self._held(keys, times)
        at = numbers % len(self._claims.rows)
        names = (self._claims.rows[name][at] for name in ("started", "pid", "exec_count"))
        processes = zip(*(column.tolist() for column in names), strict=True)
        return [
            Owner(process, SURENESS[place]) if place >= 0 else None
            for process, place in zip(processes, places.tolist(), strict=True)
        ]

    def sureness(self, keys: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.int8]:
        """How surely owners() would name somebody: places in SURENESS, -1 where nobody is known."""
        return self._held(keys, times)[1]

    def is_local(self, address: bytes) -> bool:
        """Whether the address, 16 bytes, is known to be one of this host's."""
        return self._local.number_of(address) > 0

    def are_local(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """The same of addresses as big-endian halves (n,)."""
        return self._local.of(hi, lo) > 0

    def _held(
        self, keys: NDArray[np.uint64], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Numbers of the claims that held, 0 for none, and places in SURENESS, -1 for none."""
        numbers, sureness = self._find(keys, times)
        others = np.flatnonzero(sureness < 0)
        rows, inner = self.translations.inner(keys[others])
        if len(rows):
            rows = others[rows]
            numbers[rows], sureness[rows] = self._find(inner, times[rows])
        return numbers, sureness

    def _find(
        self, keys: NDArray[np.uint64], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        numbers, sureness = np.empty(len(keys), np.int64), np.empty(len(keys), np.int8)
        find(self._claims, self._places, keys, times, self._found, numbers, sureness)
        return numbers, sureness


def _halves(
    addresses: Sequence[IPv4Address | IPv6Address],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """High and low halves (n,), IPv4 mapped."""
    whole = b"".join(mapped(address.packed) for address in addresses)
    halves = np.frombuffer(whole, ">u8").astype(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])
