"""Has a Suricata that stands inline drop what hosts send and are sent, for a time.

The rules of `--drop` look each packet's source and destination up in a dataset; the address of a
scanner, or of what a denied process reached, is put there through the command socket, in version 8
with the process, which Suricata then shows in its alerts. What Suricata forgets, when it starts
again or loads its rules anew, is put there again. A lost connection is made anew by a thread: who
accepts it and never answers holds nobody up.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from procwire.errors import Unavailable
from procwire.settings.processes import BlockSettings
from procwire.suricata.commands import BLOCKED, CommandSocket, Refused
from procwire.suricata.offender import Address, Offender, offender
from procwire.suricata.protected import Protected

LOOK_EVERY_S, RETRY_EVERY_S = 1.0, 5.0
MOST_HOSTS, MOST_DESTINATIONS = 10_000, 1_000
# Suricata takes a kilobyte with each address: five texts of ASCII, escaped, and two numbers.
_SHOWN = ("pid", "uid", "user", "exe", "cmdline", "started", "container")
_LONGEST_TEXT = 80
_UNPROVEN = "its address may be forged: it completed no handshake (block.unproven)"


class Blocked(NamedTuple):
    """until: on the clock of the caller, in seconds; whom: why it was blocked, at first or once a
    process was told with it."""

    until: float
    whom: Offender


class _Connection(NamedTuple):
    """with_process: whether it takes the process with an address; loaded: when its rules were."""

    socket: CommandSocket
    with_process: bool
    loaded: Any


def _connect(path: Path) -> _Connection:
    connected = CommandSocket(path)
    try:
        version = str(connected.ask("version"))
        loaded = connected.ask("ruleset-reload-time")
    except Unavailable:
        connected.close()
        raise
    return _Connection(connected, not version.startswith("7."), loaded)


class _Attempt(threading.Thread):
    """Connects, meanwhile. It ends, as every answer has its time."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="connect to Suricata", daemon=True)
        self._path = path
        self._outcome: _Connection | Unavailable | None = None
        self.start()

    def run(self) -> None:
        try:
            self._outcome = _connect(self._path)
        except Unavailable as problem:
            self._outcome = problem

    def outcome(self) -> _Connection:
        """What came of it, once it has ended. Raises Unavailable."""
        assert self._outcome is not None
        if isinstance(self._outcome, Unavailable):
            raise self._outcome
        return self._outcome


class Blocker:
    """Blocks the hosts that records give reason to.

    path: Suricata's command socket; protected: asked before each; tell: called with a line for
    people. Raises Unavailable where no Suricata answers.
    """

    def __init__(
        self, path: Path, settings: BlockSettings, protected: Protected, tell: Callable[[str], None]
    ) -> None:
        self._path, self._settings, self._protected, self._tell = path, settings, protected, tell
        self._hosts: dict[Address, Blocked] = {}
        self._destinations = 0
        self._refused: set[tuple[Address, str]] = set()
        self._counts = Counter(
            blocked=0, refused=0, unproven=0, expired=0, freed=0, full=0, reconnected=0, failed=0
        )
        self._attempt: _Attempt | None = None
        self._next = 0.0
        self._socket: CommandSocket | None
        self._with_process: bool
        self._loaded: Any
        self._take(_connect(path))

    def close(self) -> None:
        """Let go of all that is blocked, as nobody would do so any more, and end the connection."""
        try:
            # What was lost may be there again, with all that is blocked.
            if self._socket is None and self._hosts:
                self._take(_connect(self._path))
            for one in self._hosts.values():
                self._ask("dataset-remove", datavalue=str(one.whom.address))
        except Unavailable as problem:
            self._tell(f"{problem.missing}; what is blocked stays so until Suricata starts again")
        if self._socket is not None:
            self._socket.close()

    def consider(self, records: Iterable[Mapping[str, Any]], now: float) -> None:
        """Block whom EVE records of procwire, made at `now`, tell of."""
        for record in records:
            one = offender(record, self._settings.severity)
            if one is not None:
                self._block(one, now)

    def keep(self, now: float) -> None:
        """What has to be done every now and then: let go what has expired, and find out whether
        Suricata has forgotten."""
        if now < self._next:
            return
        self._next = now + LOOK_EVERY_S
        try:
            if self._socket is None:
                if not self._tried_again():
                    return
                self._counts["reconnected"] += 1
                self._tell(f"Suricata answers again; {len(self._hosts)} hosts are blocked anew")
                self._add_all()
            self._let_go("expired", [one for one in self._hosts.values() if one.until <= now])
            if self._protected.renew():
                hosts = self._hosts.values()
                protected = [one for one in hosts if self._reason_against(one.whom)]
                for one in protected:
                    self._tell(f"{one.whom.address} is blocked no more: it is protected now")
                self._let_go("freed", protected)
            loaded = self._reload_time()
            if loaded != self._loaded:
                self._loaded = loaded
                self._add_all()
        except Unavailable as problem:
            self._lost(problem, now)

    def counters(self) -> dict[str, int]:
        """As block.NAME: blocked, hosts; refused, those that are protected; unproven, those whose
        address may be forged; expired; freed, those that are protected since; full, those for which
        there was no room; reconnected; failed, commands that Suricata refused."""
        return {f"block.{name}": n for name, n in self._counts.items()}

    def _block(self, whom: Offender, now: float) -> None:
        reason = self._reason_against(whom)
        if reason is not None:
            self._refuse(whom, reason)
            return
        known = self._hosts.get(whom.address)
        if known is not None:
            if known.whom.process is not None:
                whom = known.whom
            # It gives back the room that it took.
            whom = whom._replace(is_source=known.whom.is_source)
            self._hosts[whom.address] = Blocked(now + self._settings.expire_s, whom)
            return
        if len(self._hosts) >= MOST_HOSTS or (
            not whom.is_source and self._destinations >= MOST_DESTINATIONS
        ):
            self._counts["full"] += 1
            return
        held = self._hosts[whom.address] = Blocked(now + self._settings.expire_s, whom)
        self._destinations += not whom.is_source
        self._counts["blocked"] += 1
        self._tell(f"{whom.address} is blocked for {self._settings.expire_s:g} s: {whom.why}")
        try:
            self._add(held)
        except Unavailable as problem:
            self._lost(problem, now)

    def _refuse(self, whom: Offender, reason: str) -> None:
        """Say so, once."""
        if (whom.address, reason) not in self._refused and len(self._refused) < MOST_HOSTS:
            self._refused.add((whom.address, reason))
            self._counts["unproven" if reason is _UNPROVEN else "refused"] += 1
            self._tell(f"{whom.address} is not blocked for {whom.why}: {reason}")

    def _let_go(self, reason: str, held: list[Blocked]) -> None:
        for one in held:
            # Where no answer comes it is known as blocked, and let go when one does.
            self._ask("dataset-remove", datavalue=str(one.whom.address))
            del self._hosts[one.whom.address]
            self._destinations -= not one.whom.is_source
            self._counts[reason] += 1

    def _reason_against(self, whom: Offender) -> str | None:
        reason = self._protected.why(whom.address, whom.is_source)
        if reason is not None or whom.proven or self._settings.unproven:
            return reason
        # A scan by this host's own process, through raw sockets.
        own = whom.process is not None and self._protected.is_own(whom.address)
        return None if own else _UNPROVEN

    def _take(self, connection: _Connection) -> None:
        self._socket, self._with_process, self._loaded = connection

    def _tried_again(self) -> bool:
        """Whether there is a connection again. Raises Unavailable if an attempt failed."""
        if self._attempt is None:
            self._attempt = _Attempt(self._path)
        if self._attempt.is_alive():
            return False
        attempt, self._attempt = self._attempt, None
        self._take(attempt.outcome())
        return True

    def _lost(self, problem: Unavailable, now: float) -> None:
        if self._socket is not None:
            self._tell(f"{problem.missing}; trying again")
            self._socket.close()
        self._socket = None
        self._next = now + RETRY_EVERY_S

    def _reload_time(self) -> Any:
        assert self._socket is not None
        return self._socket.ask("ruleset-reload-time")

    def _add_all(self) -> None:
        for held in self._hosts.values():
            self._add(held)

    def _add(self, held: Blocked) -> None:
        address = str(held.whom.address)
        if not self._with_process:
            self._ask("dataset-add", datavalue=address)
            return
        self._ask("dataset-add-json", datavalue=address, datajson=_context(held.whom))

    def _ask(self, command: str, **arguments: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.ask(command, setname=BLOCKED, settype="ip", **arguments)
        except Refused as problem:
            self._counts["failed"] += 1
            if self._counts["failed"] == 1:
                self._tell(f"Suricata refuses: {problem.missing}; are the rules of --drop loaded?")


def _context(whom: Offender) -> str:
    """What Suricata shows with the address: as much of the process as it takes."""
    shown: dict[str, Any] = {"ip": str(whom.address)}
    for name in _SHOWN:
        value = (whom.process or {}).get(name)
        if isinstance(value, str):
            shown[name] = re.sub(r"[^ -~]", "?", value)[:_LONGEST_TEXT]
        elif isinstance(value, int):
            shown[name] = value
    return msgspec.json.encode(shown).decode()
