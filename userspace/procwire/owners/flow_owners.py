"""Whose a flow is: what the kernel told of sockets, asked by the ends of a packet and its time.

Strategy: whoever asks is given the claim that held at the packet's time, so that neither the order
of arrival nor a port used again names a stranger; where more than one could be meant, the answer
says so.
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
    FLOW_EVENT,
    EventKind,
    FlowRole,
    Origin,
)
from procwire.output.address import mapped, packed
from procwire.owners.claims import NEVER, Claims
from procwire.owners.flow_keys import WITHOUT_PORTS, ends_of, everywhere, key_everywhere, key_of
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
_NO_NAMESPACE = 0
# Earlier claims on one end that are looked at for many packets at once.
_STEPS = 4


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
        self._claims, self._capacity = Claims(capacity), capacity
        self._exits: OrderedDict[ProcessId, int] = OrderedDict()
        self.translations = Translations()
        self.networks({namespace: local})

    @property
    def evicted(self) -> int:
        """Claims that had not ended and were forgotten because there was no room."""
        return self._claims.evicted

    def __len__(self) -> int:
        return len(self._claims)

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
        self._claims.enter(events)

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
        while len(self._exits) > self._capacity:
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
        for namespace in self._namespaces(end.address) if protocol else ():
            claims += self._claims.chain(key_everywhere(protocol, namespace, mine))
        return self._held(sorted(claims, key=itemgetter(0), reverse=True), time)

    def connected(self, keys: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.int8]:
        """What owner() would say of many flows at once, of those that a process of the namespace
        was seen to connect: places in SURENESS, -1 where owner() has to be asked.

        keys: (n, 5) as flow_keys.keys_of_contacts() makes them; times: (n,) ns since the epoch.
        """
        latest = self._claims.latest(keys, times + _CLOCK_NS)
        connects = self._claims.at(latest)["role"] == FlowRole.CONNECTS
        return self._sureness(np.where(connects, latest, -1), times)

    def ends(self, keys: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.int8]:
        """The same of flows that nobody claims, of which one process of the namespace holds this
        host's end."""
        until, ends = times + _CLOCK_NS, ends_of(keys)
        at_address = self._claims.latest(ends, until)
        at_every = self._claims.latest(everywhere(ends, self._namespace), until)
        latest = np.maximum(at_address, at_every)
        asked = self._are_ours_alone(ends) & (self._claims.latest(keys, until) < 0)
        sure = np.where(asked, self._sureness(latest, times), -1)
        claims, before = self._claims.at(latest), latest
        there = sure >= 0
        for _ in range(_STEPS):
            before = np.where(there, self._claims.at(before)["before"], -1)
            there = before >= self._claims.first
            if not there.any():
                break
            earlier = self._claims.at(before)
            ended = earlier["ended"] < times - _LATE_NS
            sure[there & ~ended & (earlier["process"] != claims["process"])] = -1
        sure[there | (np.minimum(at_address, at_every) >= 0)] = -1
        return sure

    def _are_ours_alone(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether each end's address (n, 5) is of the namespace asked about, and of no other."""
        addresses, which = np.unique(keys[:, :2], axis=0, return_inverse=True)
        alone = [
            self._namespaces(one.astype(">u8").tobytes()) == [self._namespace] for one in addresses
        ]
        return np.array(alone, bool)[which]

    def _sureness(self, numbers: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int8]:
        """Places in SURENESS of these claims (n,) at these times (n,), -1 where one does not hold,
        or its process is gone."""
        claims = self._claims.at(numbers)
        seen = (numbers >= 0) & (claims["namespace"] == self._namespace)
        # NEVER is the largest number that there is.
        seen &= claims["ended"] >= times - _LATE_NS
        held = claims[seen]
        exits = np.array(
            [self._exits.get(one, NEVER) for one in held["process"].tolist()], np.int64
        )
        sure = np.where(held["began"] == 0, _SNAPSHOT, _KERNEL)
        sure[held["role"] == FlowRole.LISTENS] = _INFERRED
        sure[exits < times[seen] - _LATE_NS] = -1
        found = np.full(len(numbers), -1, np.int8)
        found[seen] = sure
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

    def _about(self, key: NDArray[np.uint64], address: bytes) -> list[tuple[int, Any]]:
        """Claims on the key that may be about packets of the namespace asked about."""
        claims = self._claims.chain(key)
        if not ip_address(packed(address)).is_loopback:
            return claims
        here = (self._namespace, _NO_NAMESPACE)
        return [one for one in claims if one[1]["namespace"] in here]

    def _held(self, claims: Iterable[tuple[int, Any]], time: int) -> Owner | None:
        """Whose of the claims, the latest first, held at `time`."""
        early, holding = None, []
        for _, claim in claims:
            if claim["began"] > time + _CLOCK_NS:
                early = claim
            elif claim["ended"] >= time - _LATE_NS:
                holding.append(claim)
                if claim["role"] == FlowRole.CONNECTS:
                    break
        # Of an ended process's socket another may hold on to; but who is there comes first.
        there = [claim for claim in holding if not self._is_gone(claim, time)] or holding
        if there:
            processes = {claim["process"].item() for claim in there}
            sure = self._attribution(there[0], time) if len(processes) == 1 else INFERRED
            return Owner(there[0]["process"].item(), sure)
        if early is not None and early["began"] <= time + _EARLY_NS:
            return Owner(early["process"].item(), INFERRED)
        return None

    def _is_gone(self, claim: Any, time: int) -> bool:
        return self._exits.get(claim["process"].item(), time) + _LATE_NS < time

    def _attribution(self, claim: Any, time: int) -> str:
        """How sure it is that the claim's process is the one: who accepts may not be who listens,
        and an ended process may have left its socket to a child."""
        foreign = claim["namespace"] != self._namespace
        if claim["role"] == FlowRole.LISTENS or foreign or self._is_gone(claim, time):
            return INFERRED
        return SNAPSHOT if claim["began"] == 0 else KERNEL
