"""procwire suricata: the rules inside a Suricata."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec

from procwire.cli.context import context_option, context_to_watch
from procwire.cli.ending import Ending
from procwire.cli.settings import settings_options
from procwire.config import load
from procwire.errors import INTERRUPTED, UsageError
from procwire.output.printable import printable
from procwire.output.timestamp import nanoseconds
from procwire.runs.following import Following
from procwire.settings.section import NANOSECONDS
from procwire.suricata import install as installation
from procwire.suricata import ruleset
from procwire.suricata.block import Blocker
from procwire.suricata.program import find
from procwire.suricata.protected import Protected

FEED_POLL_S = 0.1

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
    """Run procwire's rules inside Suricata 7 and 8.

    Example: procwire suricata build /tmp/procwire-rules
    """


@suricata.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@drop_option
def build(directory: Path, drop: bool) -> None:
    """Write rules and scripts into DIRECTORY. The tarball of them is for suricata-update.

    Example: procwire suricata build /tmp/procwire-rules
    """
    files = ruleset.ruleset(drop)
    try:
        written = ruleset.write(directory, files)
        tarball = directory / ruleset.TARBALL
        tarball.write_bytes(ruleset.tarball(files))
    except OSError as problem:
        # What fails as it is written, and not as it is opened, has no name.
        place = problem.filename or directory
        raise UsageError(f"cannot write {place}: {problem.strerror}") from None
    for path in (*written, tarball):
        click.echo(printable(str(path)))


@suricata.command()
@suricata_options
@drop_option
@click.option("--write", is_flag=True, help="Add the settings that are lacking to CONFIG.")
def install(program: str, config: Path | None, drop: bool, write: bool) -> None:
    """Put rules and scripts where Suricata loads them.

    Suricata tries them first. Says which settings its configuration lacks.

    Example: sudo procwire suricata install --write
    """
    found = find(program, config)
    done = installation.install(found, drop, write)
    for path in done.paths:
        click.echo(printable(str(path)))
    if done.merged is not None:
        _tell(f"{done.merged} holds the rules already")
    if done.lines:
        _tell(f"{found.config} still needs these lines (--write adds them):")
        click.echo("\n".join(done.lines), err=True)
    click.echo("procwire: restart Suricata, or `suricatasc -c ruleset-reload-rules`", err=True)


@suricata.command()
@suricata_options
def uninstall(program: str, config: Path | None) -> None:
    """Remove what install placed. The lines that it added to the configuration go, too.

    Example: sudo procwire suricata uninstall
    """
    for path in installation.uninstall(find(program, config)):
        click.echo(printable(str(path)))


@suricata.command()
@click.argument("socket", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@context_option
@settings_options
def feed(
    socket: Path,
    file: Path,
    context: Path,
    config: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Have a Suricata block hosts whose scans are in FILE.

    SOCKET is where it takes commands; FILE is what procwire writes, on a sensor that runs
    elsewhere, and is followed until Ctrl-C. Of the settings those of [block] count.

    Example: procwire suricata feed /run/suricata-command.socket /var/log/procwire/eve.json
    """
    settings = load(config, overrides).block
    following = Following(file)
    # Whoever ends it, what it has blocked is let go.
    ending = Ending()
    with ExitStack() as stack:
        protected = Protected(settings.protected, stack.enter_context(context_to_watch(context)))
        blocker = Blocker(socket, settings, protected, _tell)
        stack.callback(blocker.close)
        stack.callback(following.close)
        _tell(f"blocking the scanners of {file}; Ctrl-C ends it")
        while not ending.is_due:
            try:
                lines = following.read()
            except OSError as problem:
                raise UsageError(f"{file}: {problem.strerror}") from None
            for record in _records(lines):
                age = _age_s(record)
                if age < settings.expire_s:
                    blocker.consider([record], time.monotonic() - age)
            blocker.keep(time.monotonic())
            if not lines:
                time.sleep(FEED_POLL_S)
    return INTERRUPTED if ending.is_interrupt else 0


def _records(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            yield msgspec.json.decode(line, type=dict[str, Any])


def _age_s(record: dict[str, Any]) -> float:
    """How long ago it was told, seconds; 0 where it does not say, or by a clock that is ahead."""
    moment = nanoseconds(record.get("timestamp"))
    return max(0.0, time.time() - moment / NANOSECONDS) if moment is not None else 0.0


def _tell(line: str) -> None:
    click.echo(f"procwire: {printable(line)}", err=True)
