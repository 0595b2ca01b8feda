"""Whose a flow is: what the kernel told of sockets, asked by the ends of a packet and its time.

Strategy: flow events become claims in a ring, chained by the end or flow that they name. Whoever
asks is given the claim that held at the packet's time, so that neither the order of arrival nor a
port used again names a stranger; where more than one could be meant, the answer says so.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.detect.observation import Endpoint, ProcessId
from procwire.detect.zones import Zone, Zones
from procwire.event import (
    FLAG_OLDER,
    FLOW_EVENT,
    PROCESS_KEY,
    EventKind,
    FlowRole,
    Origin,
)
from procwire.output.address import mapped, packed
from procwire.owners.flow_keys import (
    WITHOUT_PORTS,
    WORDS,
    hashes,
    key_everywhere,
    key_of,
    keys_of_events,
)
from procwire.owners.translations import Translations

KERNEL, SNAPSHOT, INFERRED, NONE = "kernel", "snapshot", "inferred", "none"
SURENESS = (KERNEL, SNAPSHOT, INFERRED)
_KERNEL, _SNAPSHOT, _INFERRED = range(len(SURENESS))
Network = IPv4Network | IPv6Network

CAPACITY = 1 << 17
"""Claims kept, 100 bytes each: those of two minutes at a thousand new flows a second."""
# Wall clock and boot clock are joined when events are read; packets bear the wall clock.
_CLOCK_NS = 2_000_000
# A packet whose claim is so much younger is likely the claimant's.
_EARLY_NS = 1_000_000_000
# What was under way when a socket closed or its process ended.
_LATE_NS = 1_000_000_000
# Claims of one end that are looked at: many are those of a program that opens a port again.
_CHAIN = 64
_NO_NAMESPACE = 0
_NEVER = np.iinfo(np.int64).max

_CLAIM = np.dtype(
    [
        ("key", "u8", (WORDS,)),  # source, destination (two halves each), ports and protocol
        ("before", "i8"),  # number of the previous claim whose key has the same hash, or -1
        ("hash", "u8"),
        ("began", "i8"),  # ns since the epoch; 0: before the sensor
        ("process", PROCESS_KEY),
        ("namespace", "u4"),
        ("role", "u1"),
    ],
    align=True,
)


class Owner(NamedTuple):
    """Who holds an end. attribution: kernel, snapshot or inferred."""

    process: ProcessId
    attribution: str


class FlowOwners:
    """Claims of processes on ends and flows, of which the last `capacity` are kept.

    namespace: inode number of the network namespace whose packets are asked about; local: as
    networks() takes it, for that namespace. evicted: claims forgotten to make room;
    translations: of flows, which are held by what they are inside.
    """

    def __init__(
        self, namespace: int, local: Sequence[Network] = (), capacity: int = CAPACITY
    ) -> None:
        self._namespace = namespace
        self._claims = np.zeros(capacity, _CLAIM)
        self._latest: dict[int, int] = {}
        self._exits: OrderedDict[ProcessId, int] = OrderedDict()
        self._entered = 0
        self.translations = Translations()
        self.networks({namespace: local})

    @property
    def evicted(self) -> int:
        """Claims forgotten because there was no room."""
        return max(0, self._entered - len(self._claims))

    def __len__(self) -> int:
        return self._entered - self.evicted

    def networks(self, own: Mapping[int, Iterable[Network]]) -> None:
        """By network namespace of this host, what networks are its own from now on: there a socket
        on every address has its port. Loopback is each namespace's own, so that of others does not
        count."""
        self._hosts: dict[bytes, list[int]] = defaultdict(list)
        self._wide: list[tuple[Network, int]] = []
        every: set[Network] = set()
        for namespace, networks in own.items():
            for network in networks:
                if network.is_loopback and namespace != self._namespace:
                    continue
                every.add(network)
                if network.num_addresses == 1:
                    self._hosts[mapped(network.network_address.packed)].append(namespace)
                else:
                    self._wide.append((network, namespace))
        self._local = Zones([Zone("local", "it", tuple(every))])

    def update(self, events: NDArray[np.void]) -> None:
        """Enter (n,) FLOW_EVENT, times in ns since the epoch."""
        for start in range(0, len(events), len(self._claims)):
            self._enter(events[start : start + len(self._claims)])

    def connections(self, events: NDArray[np.void]) -> None:
        """Enter (n,) CONNECTION_EVENT whose source is known: all there is where the sensor sends no
        flow events."""
        kept = events[(events["origin"] == Origin.CONNECT) & (events["source_port"] > 0)]
        rows = np.zeros(len(kept), FLOW_EVENT)
        for name in set(kept.dtype.names or ()) & set(FLOW_EVENT.names or ()):
            rows[name] = kept[name]
        rows["role"] = FlowRole.CONNECTS
        self.update(rows)

    def processes(self, events: NDArray[np.void]) -> None:
        """Follow exits: (n,) PROCESS_EVENT."""
        ended = events[events["kind"] == EventKind.EXIT]
        self._exits.update(zip(ended["process"].tolist(), ended["time_ns"].tolist(), strict=True))
        while len(self._exits) > len(self._claims):
            self._exits.popitem(last=False)

    def owner(self, end: Endpoint, peer: Endpoint, protocol: int, time: int) -> Owner | None:
        """Who held `end` towards `peer` at `time`, ns since the epoch; None if nobody is known to.

        protocol: IP's number, 0 for ARP.
        """
        found = self._owner(end, peer, protocol, time)
        if found is None:
            inner = self.translations.inner(end, peer, protocol)
            found = self._owner(*inner, protocol, time) if inner is not None else None
        return found

    def _owner(self, end: Endpoint, peer: Endpoint, protocol: int, time: int) -> Owner | None:
        mine, theirs = end.port or 0, peer.port or 0
        if protocol in WITHOUT_PORTS:
            mine = theirs = 0
        flow = key_of(protocol, end.address, mine, peer.address, theirs)
        found = self._held(self._about(flow, end.address), time)
        if found is not None:
            return found
        claims = self._about(key_of(protocol, end.address, mine), end.address)
        for namespace in self._namespaces(end.address) if mine else ():
            claims += self._chain(key_everywhere(protocol, namespace, mine))
        return self._held(sorted(claims, key=itemgetter(0), reverse=True), time)

    def connected(self, keys: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.int8]:
        """What owner() would say of many flows at once, of those that a process of the namespace
        was seen to connect: places in SURENESS, -1 where owner() has to be asked.

        keys: (n, 5) as flow_keys.keys_of_contacts() makes them; times: (n,) ns since the epoch.
        """
        latest = np.array([self._latest.get(one, -1) for one in hashes(keys).tolist()], np.int64)
        claims = self._claims[latest % len(self._claims)]
        seen = (latest >= self.evicted) & (claims["key"] == keys).all(axis=1)
        seen &= (claims["role"] == FlowRole.CONNECTS) & (claims["began"] <= times + _CLOCK_NS)
        seen &= claims["namespace"] == self._namespace
        held = claims["process"][seen].tolist()
        ended = np.array([self._exits.get(process, _NEVER) for process in held], np.int64)
        sure = np.where(claims["began"][seen] == 0, _SNAPSHOT, _KERNEL)
        found = np.full(len(keys), -1, np.int8)
        found[seen] = np.where(ended < times[seen] - _LATE_NS, _INFERRED, sure)
        return found

    def is_local(self, address: bytes) -> bool:
        """Whether the address, 16 bytes, is known to be one of this host's."""
        return bool(self._namespaces(address))

    def are_local(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """The same of addresses as big-endian halves (n,)."""
        return self._local.of(hi, lo) > 0

    def _namespaces(self, address: bytes) -> list[int]:
        """Those of which the address is one."""
        where = ip_address(packed(address))
        wide = [namespace for network, namespace in self._wide if where in network]
        return self._hosts.get(address, []) + wide

    def _enter(self, events: NDArray[np.void]) -> None:
        capacity = len(self._claims)
        rows = np.zeros(len(events), _CLAIM)
        rows["key"] = keys_of_events(events)
        rows["hash"] = hashes(rows["key"])
        rows["began"] = np.where(events["flags"] & FLAG_OLDER, 0, events["time_ns"])
        rows["process"] = events["process"]
        rows["namespace"], rows["role"] = events["net_namespace"], events["role"]
        numbers = range(self._entered, self._entered + len(rows))
        slots = np.arange(numbers.start, numbers.stop) % capacity
        forgotten = self._claims["hash"][slots].tolist()
        before = []
        for number, old, new in zip(numbers, forgotten, rows["hash"].tolist(), strict=True):
            if number >= capacity and self._latest.get(old) == number - capacity:
                del self._latest[old]
            before.append(self._latest.get(new, -1))
            self._latest[new] = number
        rows["before"] = before
        self._claims[slots] = rows
        self._entered = numbers.stop

    def _about(self, key: NDArray[np.uint64], address: bytes) -> list[tuple[int, Any]]:
        """Claims on the key that may be about packets of the namespace asked about."""
        claims = self._chain(key)
        if not ip_address(packed(address)).is_loopback:
            return claims
        here = (self._namespace, _NO_NAMESPACE)
        return [one for one in claims if one[1]["namespace"] in here]

    def _chain(self, key: NDArray[np.uint64]) -> list[tuple[int, Any]]:
        """Claims on the key with their numbers, the latest first."""
        chain: list[tuple[int, Any]] = []
        number = self._latest.get(int(hashes(key[np.newaxis])[0]), -1)
        while number >= self.evicted and len(chain) < _CHAIN:
            claim = self._claims[number % len(self._claims)]
            chain.append((number, claim))
            number = int(claim["before"])
        return [one for one in chain if np.array_equal(one[1]["key"], key)]

    def _held(self, claims: Iterable[tuple[int, Any]], time: int) -> Owner | None:
        """Whose of the claims, the latest first, held at `time`."""
        held = early = None
        ended: set[ProcessId] = set()
        for _, claim in claims:
            process, role, began = claim["process"].item(), claim["role"], int(claim["began"])
            if began > time + _CLOCK_NS:
                early = claim if role != FlowRole.ENDS else early
            elif role == FlowRole.ENDS:
                if time > began + _LATE_NS:
                    ended.add(process)
            elif process in ended:
                continue
            elif held is None:
                held = claim
                if role == FlowRole.CONNECTS:
                    break
            elif process != held["process"].item():
                # Both hold the end: either may be meant.
                return Owner(held["process"].item(), INFERRED)
        if held is not None:
            return Owner(held["process"].item(), self._attribution(held, time))
        if early is not None and int(early["began"]) <= time + _EARLY_NS:
            return Owner(early["process"].item(), INFERRED)
        return None

    def _attribution(self, claim: Any, time: int) -> str:
        """How sure it is that the claim's process is the one: who accepts may not be who listens,
        and an ended process may have left its socket to a child."""
        ended = self._exits.get(claim["process"].item(), time)
        foreign = claim["namespace"] != self._namespace
        if claim["role"] == FlowRole.LISTENS or foreign or ended + _LATE_NS < time:
            return INFERRED
        return SNAPSHOT if claim["began"] == 0 else KERNEL
