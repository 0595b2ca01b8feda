"""Has a Suricata that stands inline drop what scanning hosts send, for a time.

The rules of `--drop` look each packet's source up in a dataset; a scanner's address is put there
through the command socket, in version 8 with its process, which Suricata then shows in its alerts.
What Suricata forgets, when it starts again or loads its rules anew, is put there again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from procwire.context.inventory import SERIOUS, Inventory
from procwire.errors import Unavailable
from procwire.output.address import mapped
from procwire.settings.processes import BlockSettings
from procwire.suricata.commands import BLOCKED, CommandSocket, Refused

LOOK_EVERY_S, RETRY_EVERY_S = 1.0, 5.0
MOST_HOSTS = 10_000
# Suricata takes a kilobyte with each address: five texts of ASCII, escaped, and two numbers.
_SHOWN = ("pid", "uid", "user", "exe", "cmdline", "started", "container")
_LONGEST_TEXT = 80
# Addresses that are not one host's.
_NEVER = ("unspecified", "loopback", "multicast", "link_local", "reserved")

Address = IPv4Address | IPv6Address
Protects = Callable[[Address], str | None]
"""An address -> why it must not be blocked; None if it may be."""


def by_inventory(inventory: Inventory) -> Protects:
    """Protects the assets that matter most."""

    def protects(address: Address) -> str | None:
        asset = inventory.asset_of(mapped(address.packed))
        if asset is None or asset.criticality not in SERIOUS:
            return None
        return f"the inventory protects {asset.name} ({asset.criticality})"

    return protects


class Blocked(NamedTuple):
    """until: on the clock of the caller, in seconds; process: as in EVE records, if known."""

    until: float
    process: dict[str, Any] | None


class Blocker:
    """Blocks the sources of scans that EVE records tell of.

    path: Suricata's command socket; protects: asked before each; tell: called with a line for
    people. Raises Unavailable where no Suricata answers.
    """

    def __init__(
        self, path: Path, settings: BlockSettings, protects: Protects, tell: Callable[[str], None]
    ) -> None:
        self._path, self._settings, self._protects, self._tell = path, settings, protects, tell
        self._protected = [ip_network(network) for network in settings.protected]
        self._hosts: dict[Address, Blocked] = {}
        self._refused: set[Address] = set()
        self._counts = Counter(blocked=0, refused=0, expired=0, full=0, reconnected=0, failed=0)
        self._socket: CommandSocket | None = None
        self._with_process = False
        self._loaded: Any = None
        self._next = 0.0
        self._connect()

    def close(self) -> None:
        """End the connection; what is blocked stays blocked until Suricata is told otherwise."""
        if self._socket is not None:
            self._socket.close()

    def consider(self, records: Iterable[dict[str, Any]], now: float) -> None:
        """Block the source of each record that tells of a scan, from `now` on."""
        for record in records:
            found = self._scanner(record)
            if found is not None:
                self._block(*found, now)

    def keep(self, now: float) -> None:
        """What has to be done every now and then: let go what has expired, and find out whether
        Suricata has forgotten."""
        if now < self._next:
            return
        self._next = now + LOOK_EVERY_S
        try:
            if self._socket is None:
                self._connect()
                self._counts["reconnected"] += 1
                self._tell(f"Suricata answers again; {len(self._hosts)} hosts are blocked anew")
                self._add_all()
            for address in [one for one, held in self._hosts.items() if held.until <= now]:
                del self._hosts[address]
                self._counts["expired"] += 1
                self._ask("dataset-remove", datavalue=str(address))
            loaded = self._reload_time()
            if loaded != self._loaded:
                self._loaded = loaded
                self._add_all()
        except Unavailable as problem:
            self._lost(problem, now)

    def counters(self) -> dict[str, int]:
        """As block.NAME: blocked, hosts; refused, those that are protected; expired; full, those
        for which there was no room; reconnected; failed, commands that Suricata refused."""
        return {f"block.{name}": n for name, n in self._counts.items()}

    def _scanner(self, record: dict[str, Any]) -> tuple[Address, str, dict[str, Any] | None] | None:
        """Address, name of the check and process of the scan that a record tells of."""
        alert = record.get("alert")
        if not isinstance(alert, dict):
            return None
        severity = alert.get("severity")
        if not isinstance(severity, int) or severity > self._settings.severity:
            return None
        rule, state = _first(alert, "rule"), _first(alert, "state")
        if not rule.startswith("scan.") or state == "closed":
            return None
        try:
            address = ip_address(record["src_ip"])
        except (KeyError, ValueError):
            return None
        context = alert.get("context")
        process = context.get("process") if isinstance(context, dict) else None
        return address, rule, process if isinstance(process, dict) else None

    def _block(
        self, address: Address, rule: str, process: dict[str, Any] | None, now: float
    ) -> None:
        reason = self._reason_against(address)
        if reason is not None:
            if address not in self._refused and len(self._refused) < MOST_HOSTS:
                self._refused.add(address)
                self._counts["refused"] += 1
                self._tell(f"{address} is not blocked for {rule}: {reason}")
            return
        known = address in self._hosts
        if not known and len(self._hosts) >= MOST_HOSTS:
            self._counts["full"] += 1
            return
        if process is None and known:
            process = self._hosts[address].process
        held = self._hosts[address] = Blocked(now + self._settings.expire_s, process)
        if not known:
            self._counts["blocked"] += 1
            self._tell(f"{address} is blocked for {self._settings.expire_s:g} s: {rule}")
            try:
                self._add(address, held)
            except Unavailable as problem:
                self._lost(problem, now)

    def _reason_against(self, address: Address) -> str | None:
        for kind in _NEVER:
            if getattr(address, f"is_{kind}"):
                return f"its address is {kind.replace('_', '-')}"
        for network in self._protected:
            if address in network:
                return f"block.protected names {network}"
        return self._protects(address)

    def _connect(self) -> None:
        self._socket = CommandSocket(self._path)
        version = str(self._socket.ask("version"))
        self._with_process = not version.startswith("7.")
        self._loaded = self._reload_time()

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
        for address, held in self._hosts.items():
            self._add(address, held)

    def _add(self, address: Address, held: Blocked) -> None:
        if not self._with_process:
            self._ask("dataset-add", datavalue=str(address))
            return
        self._ask("dataset-add-json", datavalue=str(address), datajson=_context(address, held))

    def _ask(self, command: str, **arguments: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.ask(command, setname=BLOCKED, settype="ip", **arguments)
        except Refused as problem:
            self._counts["failed"] += 1
            if self._counts["failed"] == 1:
                self._tell(f"Suricata refuses: {problem}; are the rules of --drop loaded?")


def _first(alert: dict[str, Any], name: str) -> str:
    """The first of the values that an alert's metadata has of a name, empty where there is none."""
    metadata = alert.get("metadata")
    values = metadata.get(name) if isinstance(metadata, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _context(address: Address, held: Blocked) -> str:
    """What Suricata shows with the address: as much of the process as it takes."""
    shown: dict[str, Any] = {"ip": str(address)}
    for name in _SHOWN:
        value = (held.process or {}).get(name)
        if isinstance(value, str):
            shown[name] = re.sub(r"[^ -~]", "?", value)[:_LONGEST_TEXT]
        elif isinstance(value, int):
            shown[name] = value
    return msgspec.json.encode(shown).decode()
