"""Whose a flow was, by the history that `watch --history` wrote.

Strategy: flows by Community ID, because any record can be joined by it; what came to this host by
the end that was held, as accepted connections are their listener's. Both are dictionaries, and
bounded as the files are.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from procwire.alert import RECEIVER, SENDER
from procwire.event import FlowRole
from procwire.output.address import address_text
from procwire.owners.attribution import INFERRED, KERNEL, SNAPSHOT
from procwire.owners.history import Claim, Described, Exit, Hold, Line, Local, Start, older
from procwire.record import Endpoint, ProcessId
from procwire.runs.following import Following

# Claims of one flow, and on one end, that are remembered: who held it lately.
_DEEPEST = 64
# The clocks of the sensor and of who recorded a packet; and a packet may be read before its claim.
_EARLY_NS = 1_000_000_000
# How long after its claim a flow may begin, where its beginning is known: SYNs are sent again.
_LATE_NS = 4_000_000_000
# What was under way when an end was let go or its process ended.
_ENDED_NS = 1_000_000_000
_MOST_ADDRESSES = 1 << 16


class Owner(NamedTuple):
    """Whose a flow is. process: as in EVE records; attribution: kernel, snapshot or inferred; role:
    whether it is the sender's or the receiver's of whom the record names."""

    process: dict[str, Any]
    attribution: str
    role: str


class Flow(NamedTuple):
    """What a record tells of a flow: its ends, as the record has them, IP's protocol number, a time
    in ns since the epoch, and whether that is when the flow began, rather than any time of its."""

    source: Endpoint
    destination: Endpoint
    protocol: int
    time: int
    began: bool


class History:
    """The history at `path`, read as far as it goes and, with refresh(), further.

    unread: lines that were none of a history.
    """

    def __init__(self, path: Path) -> None:
        # As in the files: what a rotation takes away is forgotten with the next one.
        self._recent = _Index()
        self._before = _Index()
        self._starts: list[int] = []
        self._following = Following(path)
        self.unread = 0
        before = Following(older(path))
        while lines := before.read():
            self._enter(lines)
        before.close()
        self._before, self._recent = self._recent, _Index()
        self.refresh()

    def refresh(self) -> None:
        """Read what has been appended. Raises OSError where the file may not be read."""
        while True:
            rotations = self._following.rotations
            lines = self._following.read()
            if self._following.rotations != rotations:
                self._enter(lines)
                self._before, self._recent = self._recent, _Index()
            elif not lines:
                return
            else:
                self._enter(lines)

    def opener(self, community_id: str, time: int, began: bool, port: int | None) -> Owner | None:
        """Who began the flow, by any of its times; None if nobody is known to have. time, began: as
        of Flow; port: that of the record's source."""
        for index in (self._recent, self._before):
            for claim in reversed(index.claims.get(community_id, ())):
                if claim.time > time + _EARLY_NS and not claim.older:
                    continue
                # Of both ends on one host the later claim may be that of who accepted.
                accepted = claim.older and claim.port != port
                if accepted and any(one.port == port for one in index.claims[community_id]):
                    continue
                if began and time - claim.time > _LATE_NS:
                    break
                sure = SNAPSHOT if claim.older else KERNEL
                role = SENDER if claim.port == port else RECEIVER
                return Owner(index.processes[claim.key], sure if began else INFERRED, role)
        return None

    def holder(self, flow: Flow) -> Owner | None:
        """Who held an end of the flow, the sender's before the receiver's; None if nobody is known
        to have."""
        for end, role in ((flow.source, SENDER), (flow.destination, RECEIVER)):
            found = self._held(flow, end)
            if found is not None:
                hold, attribution = found
                return Owner(self._process(hold.key), attribution, role)
        return None

    def _held(self, flow: Flow, end: Endpoint) -> tuple[Hold, str] | None:
        held = early = None
        ended: set[tuple[ProcessId, int]] = set()
        for hold, run in self._holds(flow, end):
            if run < len(self._starts) and self._starts[run] < flow.time:
                # Of a run that was over by then: nobody saw the end of it.
                continue
            if hold.time > flow.time and not hold.older:
                early = hold if hold.role != FlowRole.ENDS else early
            elif hold.role == FlowRole.ENDS:
                if flow.time > hold.time + _ENDED_NS:
                    ended.add((hold.key, hold.socket))
            elif (hold.key, hold.socket) in ended or self._was_written(hold, flow):
                continue
            elif held is None:
                held = hold
            elif hold.key != held.key:
                # Both hold the end: either may be meant.
                return held, INFERRED
        if held is None:
            if early is None or early.time > flow.time + _EARLY_NS:
                return None
            return early, INFERRED
        # Who accepts may not be who listens, and who has ended may have left its socket to a child.
        unsure = held.role == FlowRole.LISTENS or held.namespace or self._is_over(held, flow)
        return held, INFERRED if unsure else SNAPSHOT if held.older else KERNEL

    def _holds(self, flow: Flow, end: Endpoint) -> Iterator[tuple[Hold, int]]:
        """Claims on an end with the number of their run, the latest first."""
        address, port = address_text(end.address), end.port or 0
        for index in (self._recent, self._before):
            exact = index.holds.get((flow.protocol, address, port), ())
            anywhere = index.holds.get((flow.protocol, "", port), ())
            if not anywhere:
                yield from reversed(exact)
                continue
            local = [one for one in anywhere if self._is_local(address, flow.time, one[0])]
            yield from sorted(chain(local, exact), key=_time_of, reverse=True)

    def _was_written(self, hold: Hold, flow: Flow) -> bool:
        """Whether only what a raw socket wrote names the end, and its process has ended."""
        return hold.role == FlowRole.WRITES and self._is_over(hold, flow)

    def _is_over(self, hold: Hold, flow: Flow) -> bool:
        """Whether its process has ended by the time of the flow."""
        ended = self._recent.exits.get(hold.key) or self._before.exits.get(hold.key)
        return ended is not None and ended + _ENDED_NS < flow.time

    def _is_local(self, address: str, time: int, hold: Hold) -> bool:
        """Whether the address was one of the namespace in which an end is held."""
        local: _Addresses | None = None
        for index in (self._recent, self._before):
            for local in reversed(index.local.get(hold.namespace, ())):
                if local.since <= time + _EARLY_NS:
                    return address in local
        # What is older than the sensor came to the addresses that it found.
        return local is not None and address in local

    def _process(self, key: ProcessId) -> dict[str, Any]:
        index = self._recent if key in self._recent.processes else self._before
        return index.processes[key]

    def _enter(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                one = _LINES.decode(line)
                if isinstance(one, Start):
                    self._starts.append(one.time)
                else:
                    self._recent.enter(one, len(self._starts))
            except (ValueError, RecursionError):
                self.unread += 1


class _Index:
    """One file of the history. claims: by flow; holds: by protocol, address and port, each with the
    number of its run; local: by network namespace; all in the order of their lines."""

    def __init__(self) -> None:
        self.processes: dict[ProcessId, dict[str, Any]] = {}
        self.exits: dict[ProcessId, int] = {}
        self.claims: dict[str, list[Claim]] = {}
        self.holds: dict[tuple[int, str, int], list[tuple[Hold, int]]] = {}
        self.local: dict[int, list[_Addresses]] = {}

    def enter(self, one: Described | Claim | Hold | Exit | Local, run: int) -> None:
        """Enter a line. Raises ValueError where its networks are none."""
        if isinstance(one, Local):
            self.local.setdefault(one.namespace, []).append(_Addresses(one))
        elif isinstance(one, Described):
            self.processes[one.key] = one.process
        elif isinstance(one, Exit):
            self.exits[one.key] = one.time
        elif one.key not in self.processes:
            return
        elif isinstance(one, Claim):
            _remember(self.claims.setdefault(one.community_id, []), one)
        else:
            place = one.protocol, one.address, one.port
            _remember(self.holds.setdefault(place, []), (one, run))


class _Addresses:
    """The host's own from a time on."""

    def __init__(self, local: Local) -> None:
        self.since = local.time
        self._networks = [ip_network(network) for network in local.networks]
        self._known: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MOST_ADDRESSES:
                self._known.clear()
            where = ip_address(address)
            known = self._known[address] = any(where in network for network in self._networks)
        return known


_One = TypeVar("_One")
_LINES = msgspec.json.Decoder(Line)


def _remember(latest: list[_One], one: _One) -> None:
    # Most lists have one entry; a deque would take a kilobyte for it.
    latest.append(one)
    del latest[:-_DEEPEST]


def _time_of(hold: tuple[Hold, int]) -> int:
    return hold[0].time
