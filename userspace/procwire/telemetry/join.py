"""Events of records -> CONNECTION rows with the process they belong to, in event time.

What Windows' kernel does for others is ascribed to them (asked.py). An attempt that two recorders
tell is counted once. Attempts are held back for a while and sorted by the clock of their machine
(clock.py).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire.event import Origin, Outcome
from procwire.record import CONNECTION, program_name
from procwire.settings import Settings
from procwire.telemetry.asked import MACHINES, Asked, Peer, is_kernel
from procwire.telemetry.clock import HELD, Clock
from procwire.telemetry.event import Attempted, Ended, Event, Resolved, Started
from procwire.telemetry.processes import Execution, Processes

COUNTERS = (
    "events",
    "connections",
    "starts",
    "to_groups",
    "inferred",
    "told_twice",
    "out_of_time",
)
"""to_groups: attempts to reach a multicast or broadcast address, which is no host; inferred:
attempts of Windows' kernel that were ascribed to a process; told_twice: attempts left out because
another recorder had told them; out_of_time: records that counted at another time than their own."""

# Programs that do what they are given, so that their name says nothing of what they do.
_SCRIPT_HOSTS = frozenset(
    ("cmd", "cscript", "mshta", "powershell", "pwsh", "python", "regsvr32", "rundll32", "wscript")
)
_NO_PROCESS = (0, 0, 0)
# Two recorders write one attempt down within this time, in ns.
_SAME_ATTEMPT = 10_000_000_000
_REMEMBERED = 65536
_HELD_LIMIT = 1 << 17
# A few addresses take as much memory as an attempt.
_ADDRESSES_OF_ONE = 4
_MAPPED = 0xFFFF


class Joined(NamedTuple):
    """connections: record.CONNECTION (n,) of origin import, for each machine in event time;
    service_hosts: int64 (n,), on how many hosts a service of administration has to be tried to be a
    sweep, 0 where only failures say so; started: executions whose start was recorded, with the
    time; now: ns, the time that all machines have reached by their own clocks."""

    connections: NDArray[np.void]
    service_hosts: NDArray[np.int64]
    started: list[tuple[int, Execution]]
    now: int


class _Held(msgspec.Struct, gc=False):
    """What waits for its turn. setting: how often its machine's clock had been set; size: what it
    takes of _HELD_LIMIT; joined: whether it has had its turn."""

    time: int
    setting: int
    clock: Clock
    event: Attempted | Resolved
    entry: Execution | None
    size: int = 1
    joined: bool = False

    @property
    def is_due(self) -> bool:
        """Whether nothing earlier can come any more."""
        return self.time < self.clock.settled or self.setting < self.clock.settings


class Join:
    """Follows the processes of all machines."""

    def __init__(self, settings: Settings) -> None:
        self.processes = Processes()
        self._new_ns = settings.new_process.age_ns
        self._few, self._many = settings.service_sweep.hosts, settings.fanout.hosts
        self._scanners = settings.sweep.scanner_names
        self._clocks: OrderedDict[str, Clock] = OrderedDict()
        self._held: list[_Held] = []
        self._asked = Asked()
        self._told: OrderedDict[tuple[object, ...], _Held] = OrderedDict()
        self._counts = Counter(dict.fromkeys(COUNTERS, 0))

    def update(self, events: Iterable[Event]) -> Joined:
        """The attempts that `events` settle."""
        started: list[tuple[int, Execution]] = []
        for event in events:
            self._counts["events"] += 1
            clock, time = self._clock(event)
            if isinstance(event, Started):
                entry = self.processes.start(event.host, event.actor, event.parent, time)
                started.append((time, entry))
            elif isinstance(event, Ended):
                self.processes.end(event.host, event.actor, time)
            else:
                self._hold(event, clock, time)
        self._counts["starts"] += len(started)
        self._held.sort(key=_turn)
        due: list[_Held] = []
        kept: list[_Held] = []
        for one in self._held:
            (due if one.is_due else kept).append(one)
        if sum(one.size for one in kept) < _HELD_LIMIT:
            self._held = kept
            return self._joined(due, started)
        return self._joined(self._let_go(), started)

    def finish(self) -> Joined:
        """The end: what is still held."""
        return self._joined(self._let_go(), [])

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, and processes_evicted, since the start."""
        return dict(self._counts) | {"processes_evicted": self.processes.evicted}

    def _clock(self, event: Event) -> tuple[Clock, int]:
        """The clock of the event's machine and the time at which it counts."""
        clock = self._clocks.get(event.host)
        if clock is None:
            clock = self._clocks[event.host] = Clock(event.time)
            if len(self._clocks) > MACHINES:
                self._clocks.popitem(last=False)
        before = clock.out_of_time
        time = clock.follow(event.time)
        self._counts["out_of_time"] += clock.out_of_time - before
        return clock, time

    def _hold(self, event: Attempted | Resolved, clock: Clock, time: int) -> None:
        if isinstance(event, Attempted) and _is_group(event.destination):
            self._counts["to_groups"] += 1
            return
        actor = event.actor
        known = actor is not None and (actor.pid or actor.guid)
        entry = self.processes.find(event.host, actor, time) if actor and known else None
        if isinstance(event, Attempted):
            # It is remembered once, with its execution.
            event.actor = None
        held = _Held(time, clock.settings, clock, event, entry)
        if isinstance(event, Resolved):
            held.size += len(event.addresses) // _ADDRESSES_OF_ONE
        if not (isinstance(event, Attempted) and self._is_told_twice(event, held)):
            self._held.append(held)

    def _let_go(self) -> list[_Held]:
        held, self._held = self._held, []
        return held

    def _is_told_twice(self, event: Attempted, held: _Held) -> bool:
        """Whether another recorder has told the same attempt; the one that tells how it ended is
        kept. Without a source port none is known to be the same."""
        if not event.recorder or not event.source_port:
            return False
        name = (event.host, event.source_port, event.destination, event.destination_port)
        before = self._told.get(name)
        if before is not None and abs(held.time - before.time) <= _SAME_ATTEMPT:
            other = before.event
            if isinstance(other, Attempted) and other.recorder != event.recorder:
                self._counts["told_twice"] += 1
                if other.outcome == Outcome.SENT and not before.joined:
                    before.event, before.time, before.entry = event, held.time, held.entry
                return True
        self._told[name] = held
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return False

    def _joined(self, due: Iterable[_Held], started: list[tuple[int, Execution]]) -> Joined:
        """Rows of what is due, in its order."""
        attempts: list[tuple[int, Attempted, Execution | None]] = []
        service_hosts: list[int] = []
        for one in due:
            one.joined = True
            event, entry = one.event, one.entry
            if isinstance(event, Attempted):
                behind = self._behind(event, entry, one.time)
                attempts.append((one.time, event, behind))
                service_hosts.append(self._service_hosts(one, behind))
            elif entry is not None:
                for peer in event.addresses:
                    self._asked.note(entry, peer, one.time)
        self._counts["connections"] += len(attempts)
        return Joined(
            _connections(attempts),
            np.array(service_hosts, np.int64),
            started,
            min((clock.settled for clock in self._clocks.values()), default=0),
        )

    def _behind(self, event: Attempted, entry: Execution | None, time: int) -> Execution | None:
        """Whose attempt it is."""
        if entry is None:
            return None
        if not is_kernel(entry.actor):
            self._asked.note(entry, event.destination, time)
            entry.tried = True
            return entry
        behind = self._asked.by(event.host, event.destination, time)
        if behind is None:
            return entry
        self._counts["inferred"] += 1
        behind.inferred += 1
        return behind

    def _service_hosts(self, attempt: _Held, behind: Execution | None) -> int:
        """On how many hosts a service of administration has to be tried to be a sweep."""
        if behind is None:
            return 0
        program = program_name(behind.actor.exe)
        strange = behind.unfamiliar or program in self._scanners
        age = attempt.time - behind.actor.started
        # A clock that was set back makes nobody new again.
        if behind.known and strange and -HELD <= age <= self._new_ns:
            return self._few
        if behind is not attempt.entry and program in _SCRIPT_HOSTS:
            return self._few
        silent = isinstance(attempt.event, Attempted) and attempt.event.silent
        return self._many if silent else 0


def _turn(one: _Held) -> tuple[int, int]:
    return one.setting, one.time


def _is_group(peer: Peer) -> bool:
    """RFC 5771, RFC 919 and RFC 4291 2.7."""
    high, low = peer
    if high == 0 and low >> 32 == _MAPPED:
        return low & 0xF0000000 == 0xE0000000 or low & 0xFFFFFFFF == 0xFFFFFFFF
    return high >> 56 == 0xFF


def _connections(attempts: list[tuple[int, Attempted, Execution | None]]) -> NDArray[np.void]:
    """record.CONNECTION (n,)."""
    rows = np.zeros(len(attempts), CONNECTION)
    rows["origin"] = Origin.IMPORT
    # One column at a time: a row at a time costs NumPy ten times as much.
    events = [event for _, event, _ in attempts]
    rows["time"] = [time for time, _, _ in attempts]
    for side, addresses in (
        ("src", [event.source for event in events]),
        ("dst", [event.destination for event in events]),
    ):
        rows[f"{side}_hi"] = np.array([high for high, _ in addresses], np.uint64)
        rows[f"{side}_lo"] = np.array([low for _, low in addresses], np.uint64)
    rows["src_port"] = [event.source_port for event in events]
    rows["dst_port"] = [event.destination_port for event in events]
    rows["protocol"] = [event.protocol for event in events]
    rows["outcome"] = [event.outcome for event in events]
    rows["kind"] = [event.kind for event in events]
    mapped = (rows["dst_hi"] == 0) & (rows["dst_lo"] >> np.uint64(32) == _MAPPED)
    rows["family"] = np.where(mapped, 4, 6)
    keys = [_NO_PROCESS if entry is None else entry.key for _, _, entry in attempts]
    started, pids, numbers = (np.array(keys, np.int64).reshape(-1, 3)).T
    key = rows["process"]
    key["started_ns"], key["pid"], key["exec_count"] = started, pids, numbers
    return rows
