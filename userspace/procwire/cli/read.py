"""procwire read: captures and other tools' records in, alerts out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from procwire.capture.source import STANDARD_INPUT, check_file
from procwire.cli.progress import Progress
from procwire.cli.results import FINDINGS, Results, analysis_options, tell_summary
from procwire.cli.workers import workers_option
from procwire.config import load
from procwire.context.site import Site
from procwire.context.store import FILE_NAME, Store
from procwire.errors import InputDamaged, UsageError
from procwire.output.eve import Source
from procwire.output.printable import printable
from procwire.runs.inputs import Input, Inputs
from procwire.runs.reading import Reading

if TYPE_CHECKING:
    from procwire.runs.replay import Replay


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--continuous", is_flag=True, help="The files follow each other: one analysis.")
@workers_option
@click.option(
    "--context",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    help="Ask this file about each alert, as `procwire watch` does. Nothing is written to it.",
)
@analysis_options
def read(
    files: tuple[Path, ...],
    continuous: bool,
    workers: int,
    context: Path | None,
    output: Path | None,
    form: str,
    fail_on: str,
    config: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Analyse captures, and other tools' records.

    Captures are pcap and pcapng, and show protocol violations and scans; records, which show scans
    by process, are those of Sysmon and Windows' Security log, auditd, laurel, Zeek's conn.log and
    Suricata's EVE. What a file holds is told by its content; it may be compressed with gzip or
    zstd, or a zip archive; - is standard input.

    A folder is a record of `procwire watch --record`: it tells that run's alerts, with the run's
    settings unless others are given.

    A damaged file is analysed as far as it can be read; the exit code is then 3.

    Example: procwire read --format text capture.pcap
    """
    if files.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input can be read once; name - once")
    settings = load(config, overrides)
    folders = [path for path in files if path.is_dir()]
    # What is misspelt is told before results are begun, whose file would be emptied.
    for path in files:
        if path != STANDARD_INPUT and path not in folders:
            check_file(path)
    damaged = False
    with ExitStack() as stack:
        store = stack.enter_context(Store(context, read_only=True)) if context else None
        results = stack.enter_context(Results(output, form, fail_on, files))
        reading = Reading(settings, workers, Site(store))
        files = tuple(path for path in files if path not in folders)
        chosen = settings if config or overrides else None
        for path in folders:
            # Loads the sensor, which only a record needs.
            from procwire.runs.replay import Replay

            begin = partial(Replay, path, chosen, results.write, workers=workers)
            damaged |= _replay(path, begin, store, results, form)
        for number, path in enumerate(files):
            if number and not continuous:
                reading = Reading(settings, workers, Site(store))
            damaged |= _read(path, reading, results)
            if not continuous or number == len(files) - 1:
                _finish(reading, results, Source(pcap_filename=str(path)))
                if form == "text" or sys.stderr.isatty():
                    title = f"{len(files)} inputs" if continuous and number else path.name
                    tell_summary(title, reading.counters())
    if damaged:
        return InputDamaged.exit_code
    return FINDINGS if results.found else 0


def _replay(
    path: Path, begin: Callable[[Site], Replay], store: Store | None, results: Results, form: str
) -> bool:
    """Tell what a live run told that was recorded; whether the record was damaged. store: what is
    asked instead of the context that the run began with."""
    damaged = False
    with ExitStack() as stack:
        if store is None and (path / FILE_NAME).exists():
            store = stack.enter_context(Store(path / FILE_NAME, read_only=True))
        replay = begin(Site(store))
        try:
            replay.run()
        except InputDamaged as problem:
            damaged = True
            click.echo(f"procwire: {printable(str(problem))}", err=True)
        replay.finish()
        counters = replay.joined.counters()
        results.stats(replay.joined.last_time, counters, Source())
    if form == "text" or sys.stderr.isatty():
        tell_summary(path.name, counters)
    return damaged


def _read(path: Path, reading: Reading, results: Results) -> bool:
    """Analyse what a path holds; whether any of it was damaged."""
    damaged = False
    inputs = Inputs(path)
    recordings = iter(inputs)
    while True:
        try:
            found = next(recordings, None)
            if found is None:
                reading.skipped += inputs.skipped
                return damaged
            _analyse(path, found, reading, results)
        except InputDamaged as problem:
            damaged = True
            click.echo(f"procwire: {printable(str(problem))}", err=True)


def _analyse(path: Path, found: Input, reading: Reading, results: Results) -> None:
    source = Source(pcap_filename=str(path))
    with Progress(path, found.unit) as progress:
        for step in reading.steps(found):
            if step.alerts:
                # Both may go to the same terminal.
                progress.erase()
            results.write(step.alerts, source)
            progress.update(step.size, step.units)


def _finish(reading: Reading, results: Results, source: Source) -> None:
    results.write(reading.finish(), source)
    results.stats(reading.last_time, reading.counters(), source)
