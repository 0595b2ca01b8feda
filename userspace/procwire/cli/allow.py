"""procwire allow: alerts that are expected, by whom, why and until when."""

from __future__ import annotations

import time
from pathlib import Path

import click

from procwire.cli.context import context_option, opened, owner_option, viewed
from procwire.context import allowlist
from procwire.context.moments import written
from procwire.context.program import digest_of_program
from procwire.detect.detector import DETECTORS
from procwire.errors import UsageError
from procwire.output.eve import encode
from procwire.output.printable import printable
from procwire.output.terminal import shown

THIS_FILE = "file"
# Columns before what a line is about.
_HANG = 26


@click.group()
def allow() -> None:
    """Allow expected alerts for a time: counted, not told.

    Example: procwire allow list
    """


@allow.command()
@click.option("--exe", metavar="PATH", help="The whole path of the program, or of the script.")
@click.option(
    "--sha256",
    metavar="HEX|file",
    help="The program's SHA-256; `file` takes that of --exe as it is now.",
)
@click.option("--user", help="The account's name or number.")
@click.option("--source", metavar="CIDR", help="An address or network the alert comes from.")
@click.option(
    "--destination", metavar="CIDR", help="Where every target that the alert shows has to lie."
)
@click.option("--port", type=int, help="The one port of every target that the alert shows.")
@click.option("--analytic", metavar="ID", help="An analytic (AN1057) or a check (scan.block).")
@click.option("--reason", required=True, help="Why it is expected, for whoever reads it next.")
@click.option(
    "--expires", required=True, metavar="WHEN", help="Its end: 30d, 12h, 2w or a date, in UTC."
)
@owner_option
@context_option
def add(
    exe: str | None,
    sha256: str | None,
    user: str | None,
    source: str | None,
    destination: str | None,
    port: int | None,
    analytic: str | None,
    reason: str,
    expires: str,
    owner: str,
    context: Path,
) -> None:
    """Add an entry. An alert has to be all that the entry names.

    \b
    Example: procwire allow add --exe /usr/bin/nmap --user nobody --destination 10.1.0.0/16
             --reason "weekly inventory" --expires 90d
    """
    if sha256 == THIS_FILE:
        if exe is None:
            raise UsageError("--sha256 file: say which file with --exe")
        sha256 = digest_of_program(Path(exe))
    wish = allowlist.Wish(
        exe=exe,
        sha256=sha256,
        user=user,
        source=source,
        destination=destination,
        port=port,
        analytic=analytic,
        reason=reason,
        expires=expires,
        owner=owner,
    )
    with opened(context) as store:
        click.echo(_line(allowlist.add(store, wish, _checks() if analytic else ())))


@allow.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@context_option
def list_entries(as_json: bool, context: Path) -> None:
    """Every entry, and how many alerts it has kept back. Expired ones are listed, too.

    Example: procwire allow list --json
    """
    with viewed(context) as store:
        listed = allowlist.entries(store)
    if as_json:
        click.echo(encode(listed), nl=False)
        return
    for entry in listed:
        click.echo(shown(_line(entry), _HANG))
    if not listed:
        click.echo("no entries; `procwire allow add` makes one", err=True)


@allow.command()
@click.argument("number", type=int)
@context_option
def remove(number: int, context: Path) -> None:
    """Delete an entry: its alerts are told again. A running watch follows within seconds.

    Example: procwire allow remove 3
    """
    with viewed(context) as store:
        click.echo(f"removed {_line(allowlist.remove(store, number))}")


def _line(entry: allowlist.Entry) -> str:
    state = "until" if entry.is_valid(time.time_ns()) else "EXPIRED"
    named = " ".join(f"{name}={value}" for name, value in entry.criteria().items())
    kept = f"{entry.suppressed:,} suppressed"
    return printable(
        f"{entry.id:>4}  {kept:>18}  {state} {written(entry.expires)}  {named}"
        f"  ({entry.owner}: {entry.reason})"
    )


def _checks() -> set[str]:
    # The rules load numba, which the other commands do without.
    from procwire.rules import all_rules

    checks = (*all_rules(), *DETECTORS)
    return {check.id for check in checks} | {name for check in checks for name in check.analytics}
