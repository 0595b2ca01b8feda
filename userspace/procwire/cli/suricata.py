"""procwire suricata: the rules inside a Suricata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from procwire.errors import UsageError
from procwire.suricata import install as installation
from procwire.suricata import ruleset
from procwire.suricata.program import find

drop_option = click.option(
    "--drop", is_flag=True, help="Drop packets that break a rule of tier A: for an inline Suricata."
)


def suricata_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which Suricata a command is about."""
    program = click.option(
        "--suricata",
        "program",
        default="suricata",
        metavar="PROGRAM",
        help="Suricata's program, by default the one on the path.",
    )
    config = click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Suricata's configuration, by default /etc/suricata/suricata.yaml.",
    )
    return program(config(command))


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


@suricata.command()
@suricata_options
@drop_option
@click.option("--write", is_flag=True, help="Add the settings that are lacking to CONFIG.")
def install(program: str, config: Path | None, drop: bool, write: bool) -> None:
    """Put rules and scripts where Suricata loads them, after a test run of Suricata with them, and
    say which settings its configuration lacks.

    Example: sudo procwire suricata install --write
    """
    found = find(program, config)
    done = installation.install(found, drop, write)
    for path in done.paths:
        click.echo(path)
    if done.merged is not None:
        click.echo(f"procwire: {done.merged} holds the rules already", err=True)
    if done.lines:
        click.echo(
            f"procwire: {found.config} still needs these lines (--write adds them):", err=True
        )
        click.echo("\n".join(done.lines), err=True)
    click.echo("procwire: restart Suricata, or `suricatasc -c ruleset-reload-rules`", err=True)


@suricata.command()
@suricata_options
def uninstall(program: str, config: Path | None) -> None:
    """Remove what install placed, and the lines it added to the configuration.

    Example: sudo procwire suricata uninstall
    """
    for path in installation.uninstall(find(program, config)):
        click.echo(path)
