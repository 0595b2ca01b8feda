"""procwire enrich: EVE records in, the same with their processes out."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click

from procwire.cli.ending import Ending
from procwire.cli.results import private_file
from procwire.errors import INTERRUPTED, InputDamaged, UsageError
from procwire.output.amount import amount
from procwire.output.lines import NO_ROOM
from procwire.output.printable import printable
from procwire.owners.enrich import Enricher, Settling
from procwire.owners.history import default_history
from procwire.owners.past_owners import History
from procwire.runs.following import BLOCK, LONGEST_LINE, Following

POLL_S = 0.2


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    default=default_history,
    help="What `procwire watch --history` wrote; by default where it writes.",
)
@click.option("--follow", is_flag=True, help="Go on with what is appended, over log rotations.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, readable by its owner only, instead of stdout.",
)
def enrich(file: Path, history: Path, follow: bool, output: Path | None) -> int:
    """Add processes to Suricata's EVE records.

    Each record of FILE (- is standard input) gets the process whose flow it is about:
    alert.context.process in alerts, metadata.flowvars in other records.

    \b
    Examples:
      procwire enrich /var/log/suricata/eve.json | jq .alert.context.process.exe
      procwire enrich --follow /var/log/suricata/eve.json -o /var/log/suricata/eve-process.json
    """
    if follow and str(file) == "-":
        raise UsageError("standard input is followed by itself; leave --follow out")
    if not history.is_file() and not follow:
        raise UsageError(f"{history}: no history; `procwire watch --history` writes one")
    # Before results are begun, whose file would be emptied.
    if str(file) != "-" and not follow and not file.exists():
        raise UsageError(f"{file}: no such file")
    ending = Ending() if follow else None
    with ExitStack() as stack:
        out = (
            stack.enter_context(private_file(output, (file, history)))
            if output
            else sys.stdout.buffer
        )
        try:
            known = History(history)
            enricher = Enricher(known)
            if ending is not None:
                _follow(file, known, enricher, out, ending)
            else:
                _once(file, enricher, out)
        except OSError as problem:
            if problem.errno in (errno.EPIPE, *NO_ROOM):
                raise
            raise UsageError(f"{problem.filename or file}: {problem.strerror}") from None
    if known.unread:
        unread = f"left out {amount(known.unread, 'lines')} that no history has"
        click.echo(printable(f"procwire: {history}: {unread}"), err=True)
    counts = enricher.counters()
    click.echo(
        f"procwire: {counts['records']} records, {counts['enriched']} with their process", err=True
    )
    if enricher.first_other is not None:
        others = f"no JSON object; {counts['not_records']} such lines are kept as they are"
        raise InputDamaged(str(file), enricher.first_other, others)
    return INTERRUPTED if ending is not None and ending.is_interrupt else 0


def _once(file: Path, enricher: Enricher, out: BinaryIO) -> None:
    with ExitStack() as stack:
        whole = sys.stdin.buffer if str(file) == "-" else stack.enter_context(file.open("rb"))
        for lines in _blocks(whole):
            out.writelines(enricher.lines(lines))
            out.flush()


def _blocks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Lists of lines; the last may lack its end."""
    rest = b""
    # read1 hands over what a pipe has now, instead of waiting for a whole block.
    while data := stream.read1(BLOCK):  # type: ignore[attr-defined]
        whole, end, rest = (rest + data).rpartition(b"\n")
        lines = (whole + end).splitlines(keepends=True)
        if len(rest) > LONGEST_LINE:
            lines.append(rest)
            rest = b""
        yield lines
    if rest:
        yield [rest]


def _follow(
    file: Path, history: History, enricher: Enricher, out: BinaryIO, ending: Ending
) -> None:
    following, settling = Following(file), Settling()
    while not ending.is_due:
        lines = following.read()
        settling.add(time.monotonic(), lines)
        due = settling.due(time.monotonic())
        if due:
            history.refresh()
            out.writelines(enricher.lines(due))
            out.flush()
        if not lines:
            time.sleep(POLL_S)
    history.refresh()
    out.writelines(enricher.lines(settling.rest()))
    following.close()
