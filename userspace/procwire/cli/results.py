"""What commands that analyse share: where settings come from, where results go, how they end."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import click

from procwire.alert import Alert, Check
from procwire.cli.settings import settings_options
from procwire.detect.detector import DETECTORS
from procwire.errors import Unavailable, UsageError
from procwire.output import eve
from procwire.output.eve import Source
from procwire.output.eve_record import Record
from procwire.output.lines import Lines
from procwire.output.printable import printable
from procwire.output.summary import summary
from procwire.output.terminal import colours, columns, width_of
from procwire.output.text import SEVERITIES, text

LEVELS = {word.lower(): severity for severity, (word, _) in SEVERITIES.items()}
FINDINGS = 1
_OWNER_ONLY = 0o600
# The end of an input may tell tens of thousands of alerts, of 1 to 2 KB each as text.
_AT_A_TIME = 1000


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
    ]
    command = settings_options(command)
    for option in reversed(options):
        command = option(command)
    return command


class Results:
    """The output of a run. Knows whether something grave enough was found.

    inputs: files that must not be written over; lasting: a run that goes on where results cannot
    be written, and counts those that were lost; any other ends with Unavailable.
    """

    def __init__(
        self,
        path: Path | None,
        form: str,
        fail_on: str,
        inputs: Iterable[Path] = (),
        lasting: bool = False,
    ) -> None:
        self._limit = LEVELS[fail_on]
        self._is_text, self._lasting = form == "text", lasting
        self._name = "standard output" if path is None else str(path)
        self._file = None if path is None else private_file(path, inputs)
        self._lines = Lines(self._file or sys.stdout.buffer)
        self._encoding = "utf-8" if self._file else sys.stdout.encoding
        self._colour = self._file is None and colours(sys.stdout)
        self._width = width_of(sys.stdout) if self._file is None else None
        self._lost, self._told = 0, False
        self.found = False

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, alerts: Iterable[Alert], source: Source) -> None:
        """Append alerts."""
        listed = list(alerts)
        self.found = self.found or any(alert.gravity <= self._limit for alert in listed)
        for start in range(0, len(listed), _AT_A_TIME):
            some = listed[start : start + _AT_A_TIME]
            self._append(self._shown(some, source), len(some))

    def _shown(self, alerts: list[Alert], source: Source) -> bytes:
        if not self._is_text:
            return eve.lines(alerts, source)
        shown = "".join(text(alert, self._colour, self._width) for alert in alerts)
        return shown.encode(self._encoding, "backslashreplace")

    def denied(self, records: list[Record]) -> None:
        """Append what denied programs reached; text has it in their alerts."""
        if not self._is_text:
            self._append(b"".join(map(eve.encode, records)), len(records))

    def stats(self, time: int, counters: Mapping[str, int], source: Source) -> None:
        """Append the counters at the end of an input; text leaves them to tell_summary()."""
        if not self._is_text:
            self._append(eve.encode(eve.stats_record(time, counters, source)), 0)

    def counters(self) -> dict[str, int]:
        """output.lost: alerts that could not be written, if there were any."""
        return {"output.lost": self._lost} if self._lost else {}

    def _append(self, lines: bytes, alerts: int) -> None:
        try:
            self._lines.append(lines)
        except BrokenPipeError:
            raise
        except OSError as problem:
            failure = f"{self._name}: {problem.strerror}"
            if not self._lasting:
                raise Unavailable(failure, "free space, or name another file with -o") from None
            self._lost += alerts
            if not self._told:
                self._told = True
                told = f"procwire: {failure}; alerts are lost until there is room, and counted"
                click.echo(printable(told), err=True)


def tell_summary(title: str, counters: Mapping[str, int]) -> None:
    """Say on stderr what was seen, found and not seen."""
    checks: tuple[Check, ...] = DETECTORS
    if "packets" in counters:
        # The rules load numba, which a run without packets does without.
        from procwire.rules import all_rules

        checks = (*all_rules(), *DETECTORS)
    # Results come first, also where both go to one file.
    sys.stdout.flush()
    click.echo(summary(title, counters, checks, columns(sys.stderr), colours(sys.stderr)), err=True)


def private_file(path: Path, inputs: Iterable[Path]) -> BinaryIO:
    """A new file, or an emptied one, which only its owner may read. Raises UsageError where there
    can be none, and for one of the inputs, which it would empty."""
    if path.exists() and any(one.exists() and one.samefile(path) for one in inputs):
        raise UsageError(f"{path}: is the input; name another file for the results")

    def owner_only(name: str, flags: int) -> int:
        # Whoever copies and empties the file meanwhile, as log rotation may, finds no hole in it.
        descriptor = os.open(name, flags | os.O_APPEND, _OWNER_ONLY)
        # One that was there keeps its mode; devices have to keep theirs.
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, _OWNER_ONLY)
        return descriptor

    try:
        return open(path, "wb", opener=owner_only)  # noqa: SIM115
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}; name a file that can be written") from None
