"""The options by which a command is given settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A file of settings, `config`, and single ones, `overrides`, as config.load() takes them."""
    file = click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A TOML file of settings.",
    )
    single = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        help="Change one setting, for example fanout.hosts=40. May be repeated.",
    )
    return file(single(command))
