"""Alerts that are expected: entries that say whose, with an owner, a reason and an end.

An entry matches an alert when everything it names does; of destinations and ports every one that
the alert shows. A suppressed alert is counted by its entry. Entries end by the alert's own time:
for `watch` that is the wall clock, and a replay tells what was told then.
"""

from __future__ import annotations

import pwd
import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

import msgspec

from procwire.alert import Alert
from procwire.context.moments import later
from procwire.context.store import Store
from procwire.errors import UsageError
from procwire.networks import network_of
from procwire.output.address import address_text
from procwire.output.printable import is_text
from procwire.record import CUT, Endpoint, Process

Digest = Callable[[Process], str | None]
"""The SHA-256 of a process's program in hex, None where it cannot be read any more."""

_CRITERIA = ("exe", "sha256", "user", "source", "destination", "port", "analytic")
_COLUMNS = (
    "id",
    *_CRITERIA,
    "owner",
    "reason",
    "created",
    "expires",
    "suppressed",
    "last_suppressed",
)
# Records of Windows name its programs too.
_WHOLE_PATH = re.compile(r"/|[A-Za-z]:\\")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
_TEXT_LIMIT = 500


class Entry(msgspec.Struct, frozen=True):
    """One entry. exe to analytic: what an alert has to be, None for anything; analytic: an ATT&CK
    analytic or a check's id; created, expires, last_suppressed: ns since the epoch; suppressed:
    alerts that it kept back."""

    id: int
    exe: str | None
    sha256: str | None
    user: str | None
    source: str | None
    destination: str | None
    port: int | None
    analytic: str | None
    owner: str
    reason: str
    created: int
    expires: int
    suppressed: int
    last_suppressed: int | None

    def is_valid(self, moment: int) -> bool:
        """Whether it holds at that time, ns since the epoch."""
        return moment < self.expires

    def criteria(self) -> dict[str, str | int]:
        """What it names."""
        named = ((name, getattr(self, name)) for name in _CRITERIA)
        return {name: value for name, value in named if value is not None}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for; fields as in Entry, expires as moments.later() reads it."""

    exe: str | None = None
    sha256: str | None = None
    user: str | None = None
    source: str | None = None
    destination: str | None = None
    port: int | None = None
    analytic: str | None = None
    owner: str
    reason: str
    expires: str


def add(store: Store, wish: Wish, checks: Collection[str], now: int | None = None) -> Entry:
    """The entry made of a wish. checks: ids that `analytic` may name; now: ns since the epoch.

    Raises UsageError for a wish that names nothing, or something that no alert can have.
    """
    now = time.time_ns() if now is None else now
    _check(wish, checks)
    values = {name: getattr(wish, name) for name in _CRITERIA}
    for name in ("source", "destination"):
        if values[name] is not None:
            values[name] = str(_network(values[name]))
    values |= {"owner": wish.owner, "reason": wish.reason, "created": now}
    values["expires"] = later(wish.expires, now)
    names, places = ", ".join(values), ", ".join("?" * len(values))
    with store.writing() as connection:
        made = connection.execute(
            f"INSERT INTO allowed ({names}) VALUES ({places})", tuple(values.values())
        )
        number = made.lastrowid
    return next(entry for entry in entries(store) if entry.id == number)


def entries(store: Store) -> list[Entry]:
    """Every entry, also those that have expired, by number."""
    rows = store.rows(f"SELECT {', '.join(_COLUMNS)} FROM allowed ORDER BY id")
    return [Entry(*row) for row in rows]


def remove(store: Store, number: int) -> Entry:
    """Delete an entry, and what it was. Raises UsageError where there is none of that number."""
    found = next((entry for entry in entries(store) if entry.id == number), None)
    if found is None:
        raise UsageError(f"no entry has the number {number}; `procwire allow list` shows them")
    with store.writing() as connection:
        connection.execute("DELETE FROM allowed WHERE id = ?", (number,))
    return found


def is_whole_path(exe: str) -> bool:
    """Whether an entry may name the program so."""
    return _WHOLE_PATH.match(exe) is not None and not exe.endswith(CUT)


def note_suppressed(store: Store, counted: Iterable[tuple[int, int, int]]) -> None:
    """Add to what entries kept back: number of the entry, alerts, time of the last, ns."""
    with store.writing() as connection:
        connection.executemany(
            "UPDATE allowed SET suppressed = suppressed + ?2,"
            " last_suppressed = max(coalesce(last_suppressed, ?3), ?3) WHERE id = ?1",
            counted,
        )


class Allowlist:
    """Entries, ready to be asked about alerts."""

    def __init__(self, listed: Iterable[Entry], digest: Digest) -> None:
        self._entries = [
            _Criteria(entry, _network(entry.source), _network(entry.destination))
            for entry in listed
        ]
        self._digest = digest

    def match(self, alert: Alert, expired: bool = False) -> Entry | None:
        """The first entry that expects the alert, or that did before its time was over."""
        found = (
            one.entry
            for one in self._entries
            if one.entry.is_valid(alert.time) is not expired and one.matches(alert, self._digest)
        )
        return next(found, None)


@dataclass(frozen=True)
class _Criteria:
    """An entry with its networks read once."""

    entry: Entry
    source: IPv4Network | IPv6Network | None
    destination: IPv4Network | IPv6Network | None

    def matches(self, alert: Alert, digest: Digest) -> bool:
        entry = self.entry
        return (
            entry.analytic in (None, alert.check.id, *alert.check.analytics)
            and self._matches_process(alert.process)
            and _lies_in((alert.source,), self.source)
            and _lies_in(_targets(alert), self.destination)
            and (entry.port is None or _ports(alert) == {entry.port})
            and self._matches_file(alert.process, digest)
        )

    def _matches_process(self, process: Process | None) -> bool:
        entry = self.entry
        if entry.exe is None and entry.user is None:
            return True
        if process is None:
            return False
        return entry.exe in (None, process.identity) and (
            entry.user in (None, process.user, str(process.uid))
        )

    def _matches_file(self, process: Process | None, digest: Digest) -> bool:
        """Asked last: it reads the program."""
        if self.entry.sha256 is None:
            return True
        return process is not None and digest(process) == self.entry.sha256


def _targets(alert: Alert) -> tuple[Endpoint | None, ...]:
    """Every destination that the alert shows."""
    return (alert.destination, *alert.targets)


def _ports(alert: Alert) -> set[int | None]:
    return {target.port if target is not None else None for target in _targets(alert)}


def _lies_in(
    endpoints: Iterable[Endpoint | None], network: IPv4Network | IPv6Network | None
) -> bool:
    """Whether all are known and inside of the network. Where none is asked for, they are."""
    if network is None:
        return True
    return all(
        endpoint is not None and ip_address(address_text(endpoint.address)) in network
        for endpoint in endpoints
    )


def _network(text: str | None) -> IPv4Network | IPv6Network | None:
    if text is None:
        return None
    try:
        return network_of(text)
    except ValueError as problem:
        raise UsageError(f"{problem}; give an address or a network such as 10.1.0.0/16") from None


def _is_account_number(text: str) -> bool:
    """Whether an account's number is written so; the greatest one stands for none."""
    return _NUMBER.fullmatch(text) is not None and int(text) < 2**32 - 1


def _check(wish: Wish, checks: Collection[str]) -> None:
    if all(getattr(wish, name) is None for name in _CRITERIA):
        raise UsageError("an entry without criteria would allow everything; name at least one")
    for name in ("owner", "reason"):
        if not getattr(wish, name).strip():
            raise UsageError(f"--{name} is empty; whoever reads the list next needs it")
    for name in (*_CRITERIA, "owner", "reason"):
        if not is_text(str(getattr(wish, name) or "")):
            raise UsageError(f"--{name}: not UTF-8")
    for name in ("owner", "reason", "exe", "user"):
        if len((getattr(wish, name) or "").encode(errors="replace")) > _TEXT_LIMIT:
            raise UsageError(f"--{name}: more than {_TEXT_LIMIT} bytes")
    if wish.exe is not None and not is_whole_path(wish.exe):
        raise UsageError(f"--exe {wish.exe}: give the program's whole path")
    for name in ("source", "destination"):
        if "%" in (getattr(wish, name) or ""):
            raise UsageError(f"--{name}: no alert says by which link; leave % and its name out")
    if wish.sha256 is not None and not _SHA256.fullmatch(wish.sha256):
        raise UsageError(f"--sha256 {wish.sha256}: give 64 lower-case hexadecimal digits")
    if wish.port is not None and not 0 <= wish.port <= 65535:
        raise UsageError(f"--port {wish.port}: ports are 0 to 65535")
    # Accounts of Windows are not looked for here.
    if wish.user is not None and not _is_account_number(wish.user) and "\\" not in wish.user:
        try:
            pwd.getpwnam(wish.user)
        except KeyError:
            raise UsageError(f"--user {wish.user}: no such account; give its number") from None
    if wish.analytic is not None and wish.analytic not in checks:
        raise UsageError(
            f"--analytic {wish.analytic}: neither an analytic such as AN1057 nor a check's id; "
            "`procwire rules list` shows them"
        )
