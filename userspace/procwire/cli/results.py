"""What commands that analyse share: where settings come from, where results go, how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

import click

from procwire.alert import Alert, Check
from procwire.detect.detector import DETECTORS
from procwire.output.eve import EveWriter, Source
from procwire.output.summary import summary
from procwire.output.terminal import colours, columns
from procwire.output.text import SEVERITIES, TextWriter, gravity

LEVELS = {word.lower(): severity for severity, (word, _) in SEVERITIES.items()}
FINDINGS = 1


def analysis_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that analyses."""
    options = [
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write results to this file, readable by its owner only.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(["eve", "text"]),
            default="eve",
            show_default=True,
            help="EVE JSON lines, or lines for people.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice(list(LEVELS)),
            default="info",
            show_default=True,
            help="Exit with 1 only for findings this grave or graver.",
        ),
        click.option(
            "-c",
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A TOML file of settings.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="NAME=VALUE",
            help="Change one setting, for example fanout.hosts=40. May be repeated.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


class Results:
    """The output of a run. Knows whether something grave enough was found."""

    def __init__(self, path: Path | None, form: str, fail_on: str) -> None:
        self._limit = LEVELS[fail_on]
        self._binary: BinaryIO = private_file(path) if path else sys.stdout.buffer
        self._text: TextIO | None = None
        if form == "text":
            self._text = (
                open(self._binary.fileno(), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
                if path
                else sys.stdout
            )
        self._owned = path is not None
        self.found = False

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._text is not None:
            self._text.flush()
        if self._owned:
            self._binary.close()

    def write(self, alerts: Iterable[Alert], source: Source) -> None:
        """Append alerts."""
        listed = list(alerts)
        self.found = self.found or any(gravity(alert) <= self._limit for alert in listed)
        if self._text is not None:
            TextWriter(self._text).write(listed)
        else:
            EveWriter(self._binary, source).write(listed)

    def stats(self, time: int, counters: Mapping[str, int], source: Source) -> None:
        """Append the counters at the end of an input; text leaves them to tell_summary()."""
        if self._text is None:
            EveWriter(self._binary, source).stats(time, counters)


def tell_summary(title: str, counters: Mapping[str, int]) -> None:
    """Say on stderr what was seen, found and not seen."""
    checks: tuple[Check, ...] = DETECTORS
    if "packets" in counters:
        # The rules load numba, which a run without packets does without.
        from procwire.rules import all_rules

        checks = (*all_rules(), *DETECTORS)
    # Results come first, also where both go to one file.
    sys.stdout.flush()
    text = summary(title, counters, checks, columns(sys.stderr), colours(sys.stderr))
    click.echo(text, err=True)


def private_file(path: Path) -> BinaryIO:
    """A new file, or an emptied one, which only its owner may read."""

    def owner_only(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return open(path, "wb", opener=owner_only)  # noqa: SIM115
