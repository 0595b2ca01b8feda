"""Who is never blocked, whatever is told of them, and why.

Strategy: what people say (settings, the inventory, read again when it changes) and what this host
could not do without (gateways, resolvers, asked for again every few seconds).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import NamedTuple

from procwire.context.inventory import SERIOUS, Inventory, stored
from procwire.context.store import Store
from procwire.errors import ProcwireError
from procwire.networks import network_of
from procwire.output.address import mapped
from procwire.suricata.offender import Address

LOOK_EVERY_S = 10.0
# resolv.conf(5), and where systemd-resolved keeps whom it asks itself.
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
# Addresses that are not one host's.
_NEVER = ("unspecified", "loopback", "multicast", "link_local", "reserved")


class Surroundings(NamedTuple):
    """What this host depends on, and what it is itself."""

    gateways: frozenset[Address]
    resolvers: frozenset[Address]
    local: tuple[IPv4Network | IPv6Network, ...]


def surroundings() -> Surroundings:
    """Those of now, in this network namespace. Raises OSError where they cannot be asked for."""
    # Importing it takes a third of a second.
    from procwire.sensor.networks import gateways, local_networks

    names = [
        words[1]
        for path in RESOLVERS
        if path.is_file()
        for words in map(str.split, path.read_text(errors="replace").splitlines())
        if len(words) > 1 and words[0] == "nameserver"
    ]
    resolvers = frozenset(one for name in names if (one := _resolver(name)) is not None)
    return Surroundings(frozenset(gateways()), resolvers, tuple(local_networks()))


class Protected:
    """Asked before a host is blocked. networks: of which no host is; store: where the inventory
    lies, which only this object asks whether it changed."""

    def __init__(self, networks: Sequence[str], store: Store | None = None) -> None:
        self._networks = [network_of(network) for network in networks]
        self._store = store
        self._inventory = stored(store) if store is not None else Inventory()
        self._around = surroundings()
        self._looked = time.monotonic()

    def renew(self) -> bool:
        """Look again; whether anything is protected now that may not have been before."""
        before = self._inventory.assets, self._around
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            self._looked = time.monotonic()
            # What cannot be asked now is as it was.
            with suppress(OSError):
                self._around = surroundings()
        if self._store is not None:
            try:
                if self._store.changed():
                    self._inventory = stored(self._store)
            except ProcwireError:
                # Somebody writes, or has left half an inventory: the last whole one counts.
                pass
        return before != (self._inventory.assets, self._around)

    def is_own(self, address: Address) -> bool:
        """Whether the address is this host's."""
        return any(address in network for network in self._around.local)

    def why(self, address: Address, is_source: bool) -> str | None:
        """Why the address must not be blocked, as the source of a scan or as a destination; None if
        it may be. This host's own may be blocked for what its processes do."""
        for kind in _NEVER:
            if getattr(address, f"is_{kind}"):
                return f"its address is {kind.replace('_', '-')}"
        for network in self._networks:
            if address in network:
                return f"block.protected names {network}"
        if address in self._around.gateways:
            return "it is a gateway of this host"
        if address in self._around.resolvers:
            return "it is a resolver of this host"
        if not is_source and self.is_own(address):
            return "it is this host"
        asset = self._inventory.asset_of(mapped(address.packed))
        if asset is None or asset.criticality not in SERIOUS:
            return None
        return f"the inventory protects {asset.name} ({asset.criticality})"


def _resolver(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
