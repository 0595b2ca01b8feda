"""procwire suricata: the rules inside a Suricata."""

from __future__ import annotations

from pathlib import Path

import click

from procwire.errors import UsageError
from procwire.suricata import ruleset

drop_option = click.option(
    "--drop", is_flag=True, help="Drop packets that break a rule of tier A: for an inline Suricata."
)


@click.group()
def suricata() -> None:
    """Run procwire's rules inside Suricata 7 and 8."""


@suricata.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@drop_option
def build(directory: Path, drop: bool) -> None:
    """Write rules, scripts, and a tarball of them for suricata-update, into DIRECTORY.

    Example: procwire suricata build /tmp/procwire-rules
    """
    files = ruleset.ruleset(drop)
    try:
        written = ruleset.write(directory, files)
        tarball = directory / ruleset.TARBALL
        tarball.write_bytes(ruleset.tarball(files))
    except OSError as problem:
        raise UsageError(f"cannot write {problem.filename}: {problem.strerror}") from None
    for path in (*written, tarball):
        click.echo(path)
