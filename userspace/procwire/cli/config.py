"""procwire config: the settings in force, and whether a file of them is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from procwire.cli.settings import settings_options
from procwire.config import load, names
from procwire.output.eve import encode
from procwire.output.printable import is_harmful, printable
from procwire.settings import Settings


@click.group()
def config() -> None:
    """Settings: what they are, and whether a file of them is right.

    Example: procwire config show
    """


@config.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Read a TOML FILE of settings and say what it changes. Exits with 2 if anything is wrong.

    Example: procwire config check procwire.toml
    """
    chosen, usual = _values(load(file)), _values(Settings())
    for name, value in chosen.items():
        if value != usual[name]:
            click.echo(f"{name} = {_text(value)}   (default {_text(usual[name])})")
    click.echo(printable(f"{file}: no faults"), err=True)


@config.command()
@settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of TOML.")
def show(config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Every setting with its value and meaning, as TOML that -c reads.

    Example: procwire config show --set fanout.hosts=40 > procwire.toml
    """
    values, meanings = _values(load(config, overrides)), names()
    if as_json:
        click.echo(encode(values), nl=False)
        return
    section = ""
    for name, value in values.items():
        part, _, key = name.partition(".")
        if part != section:
            click.echo(f"{'' if not section else chr(10)}[{part}]")
            section = part
        click.echo(f"# {meanings[name]}")
        click.echo(f"{key} = {_text(value)}")


def _values(settings: Settings) -> dict[str, Any]:
    """Every setting by its full name."""
    return {
        f"{section}.{name}": value
        for section, values in settings.model_dump().items()
        for name, value in values.items()
    }


def _text(value: Any) -> str:
    """A value as TOML writes it: numbers, texts and lists of them are as in JSON. What a terminal
    might obey stands escaped, as both allow it."""
    return "".join(map(_escaped, encode(value).decode().rstrip()))


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}" if is_harmful(character) else character
