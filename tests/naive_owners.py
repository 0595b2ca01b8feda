"""Whose a flow is, claim by claim: what claims.py and owner_lookup.py have to agree with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from procwire.event import FLAG_ANY_ADDRESS, FLAG_OLDER, FlowRole
from procwire.owners.attribution import INFERRED, KERNEL, SNAPSHOT

S = 10**9
NEVER = 2**63 - 1


@dataclass
class Claim:
    """What an event says. end: address, port and protocol; peer: address and port, None of an end;
    address None: every one of the namespace."""

    end: tuple[str | None, int, int]
    peer: tuple[str, int] | None
    process: tuple[int, int, int]
    began: int
    namespace: int
    role: int
    socket: int
    ended: int = NEVER


class NaiveOwners:
    """local: (namespace, network) of this host; home: the namespace that is asked about."""

    def __init__(self, home: int, local, capacity: int) -> None:
        self.home, self.local, self.capacity = home, local, capacity
        self.claims: list[Claim] = []
        self.exits: dict[tuple[int, int, int], int] = {}
        self.evicted = 0

    def update(self, events: Iterable) -> None:
        for row in events:
            if row["role"] == FlowRole.ENDS:
                for claim in self._open():
                    if claim.socket == row["socket"] and claim.began <= row["time_ns"]:
                        claim.ended = int(row["time_ns"])
            else:
                self._enter(claim_of(row))

    def _open(self) -> list[Claim]:
        return [one for one in self.claims if one.socket and one.ended == NEVER]

    def _enter(self, claim: Claim) -> None:
        if len(self.claims) < self.capacity:
            self.claims.append(claim)
            return
        oldest = self.claims.pop(0)
        if oldest.ended != NEVER:
            self.claims.append(claim)
        elif oldest.socket and len(self._open()) < self.capacity // 2:
            self.claims.append(claim)
            self._enter(oldest)
        else:
            self.evicted += 1
            self.claims.append(claim)

    def owner(self, own, peer, protocol, time):
        """own, peer: address and port."""
        where = ip_address(own[0])
        latest = [
            one
            for one in reversed(self.claims)
            if not where.is_loopback or one.namespace in (self.home, 0)
        ]
        whole = [one for one in latest if (one.end, one.peer) == ((*own, protocol), peer)]
        here = {namespace for namespace, network in self.local if where in network}
        ends = [
            one
            for one in latest
            if one.peer is None
            and one.end[1:] == (own[1], protocol)
            and (one.end[0] == own[0] or (one.end[0] is None and one.namespace in here))
        ]
        return self._held(whole, time) or self._held(ends, time)

    def _held(self, claims, time):
        begun = [one for one in claims if one.began <= time + 50_000]
        holding = [one for one in begun if one.ended >= time - S]
        connects = [one.role == FlowRole.CONNECTS for one in holding]
        if any(connects):
            holding = holding[: connects.index(True) + 1]
        there = [one for one in holding if self.exits.get(one.process, NEVER) >= time - S]
        if holding:
            candidates = there or holding
            first = candidates[0]
            is_sure = there and {one.process for one in candidates} == {first.process}
            if not is_sure or first.namespace != self.home or first.role == FlowRole.LISTENS:
                return first.process, INFERRED
            return first.process, SNAPSHOT if first.began == 0 else KERNEL
        early = [one for one in claims if one not in begun]
        if early and early[-1].began <= time + S:
            return early[-1].process, INFERRED
        return None


def claim_of(row) -> Claim:
    role, flags = row["role"], row["flags"]
    whole = role == FlowRole.CONNECTS
    source, destination = (_text(row[name]) for name in ("source", "destination"))
    is_any = not whole and flags & FLAG_ANY_ADDRESS
    ends_unseen = role == FlowRole.WRITES or (whole and row["protocol"] == 6)
    return Claim(
        (None if is_any else source, int(row["source_port"]), int(row["protocol"])),
        (destination, int(row["destination_port"])) if whole else None,
        row["process"].item(),
        0 if flags & FLAG_OLDER else int(row["time_ns"]),
        int(row["net_namespace"]),
        role,
        0 if ends_unseen else int(row["socket"]),
    )


def _text(address) -> str:
    one = ip_address(address.tobytes())
    return str(one.ipv4_mapped or one)
