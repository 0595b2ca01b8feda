"""The option that names the context, and how commands open it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from procwire.context.baseline import Learned, learned
from procwire.context.store import MEMORY, Store, default_path
from procwire.detect.zones import UNKNOWN
from procwire.errors import ProcwireError, Unavailable, UsageError
from procwire.output.printable import is_text, printable
from procwire.output.timestamp import duration


def context_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--context FILE, by default the machine's or the user's own."""
    option = click.option(
        "--context",
        # Opening it says what is wrong with it, and the remedy.
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        default=default_path,
        help="The file with what is known of this site; by default that of `procwire watch`.",
    )
    return option(command)


def owner_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--owner NAME, by default whoever runs the command, before sudo."""
    option = click.option(
        "--owner",
        callback=_text,
        default=_asker,
        help="Who answers for it; you by default.",
    )
    return option(command)


def opened(path: Path) -> Store:
    """The context in `path`, made where there is none."""
    return Store(path, tell=_tell)


def viewed(path: Path) -> Store:
    """The context in `path` as it is, for commands that make none. Raises UsageError where a path
    was given that nothing lies at."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path == default_path():
            return Store(MEMORY)
        raise UsageError(f"{path}: no such file; `procwire watch` makes one") from None
    except OSError:
        # Opening it says what is wrong, and the remedy.
        pass
    return opened(path)


def context_to_watch(path: Path) -> Store:
    """As opened(); where it may not be written, one that lasts as long as the watch, with what can
    be read."""
    try:
        return _hurried(opened(path))
    except Unavailable as missing:
        kept = Store(MEMORY)
        holds = "no allowlist and no inventory hold"
        try:
            with Store(path, read_only=True) as written:
                kept.take_over(written)
            holds = "its allowlist and inventory hold as they are now"
        except ProcwireError:
            pass
        _tell(f"{missing}; {holds}, and what is learned from now on will be forgotten")
        return kept


def beside(store: Store) -> Store:
    """The same context for somebody who asks by himself whether it changed."""
    return Store(MEMORY) if store.path == MEMORY else _hurried(opened(store.path))


def _hurried(store: Store) -> Store:
    store.hurry()
    return store


def tell_learning(store: Store, learning_s: float) -> None:
    """Say of each role and zone that is still learned how far that is; of a new store, that it
    begins."""
    groups = learned(store) or [Learned("", UNKNOWN, 0.0)]
    for group in groups:
        if group.observed_s < learning_s:
            role = f" role {group.role}" if group.role else ""
            known = f"{duration(group.observed_s)} of {duration(learning_s)}"
            _tell(f"learning what is usual in zone {group.zone}{role}: {known}")


def _asker() -> str:
    """Whose command it is, before sudo: by name, or by number where the account has none."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _text(context: click.Context, option: click.Parameter, value: str) -> str:
    if not is_text(value):
        raise click.BadParameter("not UTF-8")
    return value


def _tell(line: str) -> None:
    click.echo(f"procwire: {printable(line)}", err=True)
