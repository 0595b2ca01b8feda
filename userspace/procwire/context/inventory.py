"""The site's assets and zones: what addresses are for, how much they matter, what lies together.

Files say it (inventory_files.py), the context keeps it, and a load replaces all of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import msgspec

from procwire.context.store import Store
from procwire.detect.zones import Zone, Zones
from procwire.errors import UsageError
from procwire.networks import network_of
from procwire.output.address import packed

CRITICALITIES = ("low", "medium", "high", "critical")
"""In rising order."""
SERIOUS = ("high", "critical")


class Asset(msgspec.Struct, frozen=True):
    """A station, or a network of stations of one kind. criticality: one of CRITICALITIES."""

    name: str
    address: str
    role: str
    criticality: str


class ZoneEntry(msgspec.Struct, frozen=True):
    """A zone as it is listed."""

    name: str
    kind: str
    networks: tuple[str, ...]


class Inventory:
    """Assets and zones, ready to be asked about addresses."""

    def __init__(self, zones: Sequence[ZoneEntry] = (), assets: Sequence[Asset] = ()) -> None:
        self.entries, self.assets = tuple(zones), tuple(assets)
        self.zones = Zones([Zone(one.name, one.kind, _networks(one.networks)) for one in zones])
        # By what stations of a network share: the longest prefix is asked first.
        self._by_prefix: dict[tuple[int, int], dict[int, Asset]] = {}
        for asset in assets:
            network = _networks((asset.address,))[0]
            bits = network.max_prefixlen - network.prefixlen
            prefix = int(network.network_address) >> bits
            self._by_prefix.setdefault((network.max_prefixlen, bits), {})[prefix] = asset
        self._prefixes = sorted(self._by_prefix)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was loaded."""
        return not self.entries and not self.assets

    def asset_of(self, address: bytes) -> Asset | None:
        """The asset with that address (16 bytes, IPv4 mapped), the most exact one."""
        bare = packed(address)
        number = int.from_bytes(bare)
        found = (
            self._by_prefix[length, bits].get(number >> bits)
            for length, bits in self._prefixes
            if length == 8 * len(bare)
        )
        return next((asset for asset in found if asset is not None), None)

    def role_of(self, address: bytes) -> str:
        """The role of the asset with that address; empty where it has none."""
        asset = self.asset_of(address)
        return asset.role if asset is not None else ""


def replace_all(store: Store, inventory: Inventory) -> None:
    """Keep this inventory and no other."""
    with store.writing() as connection:
        for table in ("networks", "zones", "assets"):
            connection.execute(f"DELETE FROM {table}")
        connection.executemany(
            "INSERT INTO zones (name, kind) VALUES (?, ?)",
            [(zone.name, zone.kind) for zone in inventory.entries],
        )
        connection.executemany(
            "INSERT INTO networks (network, zone) VALUES (?, ?)",
            [(network, zone.name) for zone in inventory.entries for network in zone.networks],
        )
        connection.executemany(
            "INSERT INTO assets (name, address, role, criticality) VALUES (?, ?, ?, ?)",
            [msgspec.structs.astuple(asset) for asset in inventory.assets],
        )


def stored(store: Store) -> Inventory:
    """The inventory that the context holds. Raises UsageError where that is none."""
    networks: dict[str, list[str]] = {}
    for network, zone in store.rows("SELECT network, zone FROM networks ORDER BY rowid"):
        networks.setdefault(zone, []).append(network)
    zones = [
        ZoneEntry(name, kind, tuple(networks.get(name, ())))
        for name, kind in store.rows("SELECT name, kind FROM zones ORDER BY rowid")
    ]
    assets = store.rows("SELECT name, address, role, criticality FROM assets ORDER BY rowid")
    return Inventory(zones, [Asset(*row) for row in assets])


def _networks(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(network_of(text) for text in texts)
    except ValueError as problem:
        raise UsageError(f"inventory: {problem}; load it again") from None
