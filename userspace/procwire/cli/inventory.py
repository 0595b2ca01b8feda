"""procwire inventory: what addresses are for, how much they matter, and what lies together."""

from __future__ import annotations

from pathlib import Path

import click

from procwire.cli.context import context_option, opened, viewed
from procwire.context.inventory import replace_all, stored
from procwire.context.inventory_files import read_inventory
from procwire.errors import UsageError
from procwire.output.amount import amount
from procwire.output.eve import encode
from procwire.output.printable import printable

MOST_FAULTS = 20


@click.group()
def inventory() -> None:
    """The site's assets and zones, by which alerts are weighed.

    Example: procwire inventory load zones.csv assets.csv
    """


@inventory.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@context_option
def load(files: tuple[Path, ...], context: Path) -> None:
    """Replace the inventory by what FILES (CSV or TOML) say together. A fault in one of them leaves
    it as it was. A running watch follows when it starts again.

    Example: procwire inventory load site.toml
    """
    found, faults = read_inventory(files)
    for fault in faults[:MOST_FAULTS]:
        click.echo(f"procwire: {printable(str(fault))}", err=True)
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise UsageError(f"{count}; the inventory stays as it was")
    with opened(context) as store:
        replace_all(store, found)
    click.echo(
        f"{amount(len(found.entries), 'zones')}, {amount(len(found.assets), 'assets')}", err=True
    )


@inventory.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@context_option
def show(as_json: bool, context: Path) -> None:
    """Zones with their networks, then assets.

    Example: procwire inventory show --json
    """
    with viewed(context) as store:
        known = stored(store)
    if as_json:
        click.echo(encode({"zones": known.entries, "assets": known.assets}), nl=False)
        return
    for zone in known.entries:
        click.echo(printable(f"zone   {zone.kind:<9} {zone.name:<20} {' '.join(zone.networks)}"))
    for asset in known.assets:
        line = f"asset  {asset.criticality:<9} {asset.name:<20} {asset.address:<20} {asset.role}"
        click.echo(printable(line.rstrip()))
    if not known.entries and not known.assets:
        click.echo("no inventory; `procwire inventory load` reads one", err=True)
