"""procwire read: captures in, alerts out."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from procwire.analysis import Analysis
from procwire.capture.open import read_capture
from procwire.cli.progress import Progress
from procwire.cli.results import FINDINGS, Results, analysis_options, tell_summary
from procwire.config import load
from procwire.context.site import Site
from procwire.context.store import Store
from procwire.errors import InputDamaged
from procwire.output.eve import Source
from procwire.output.printable import printable
from procwire.pipeline import MOST_WORKERS, alerts_of, default_workers


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--continuous", is_flag=True, help="The files follow each other: one analysis.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=default_workers,
    help="Processor cores to use; as many as there are, up to 2, by default.",
)
@click.option(
    "--context",
    type=click.Path(path_type=Path, dir_okay=False),
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
    """Analyse pcap and pcapng files: protocol violations and scans. They may be compressed with
    gzip or zstd; - is standard input.

    A damaged file is analysed up to the damage; the exit code is then 3.

    Example: procwire read --format text capture.pcap
    """
    settings = load(config, overrides)
    damage: list[InputDamaged] = []
    with ExitStack() as stack:
        store = stack.enter_context(Store(context, read_only=True)) if context else None
        results = stack.enter_context(Results(output, form, fail_on))
        site = Site(store)
        analysis = Analysis(settings, site)
        for number, path in enumerate(files):
            if number and not continuous:
                site = Site(store)
                analysis = Analysis(settings, site)
            try:
                _read(path, analysis, results, workers)
            except InputDamaged as problem:
                damage.append(problem)
                click.echo(f"procwire: {printable(str(problem))}", err=True)
            if not continuous or number == len(files) - 1:
                source = Source(pcap_filename=str(path))
                results.write(analysis.finish(), source)
                counters = analysis.counters() | site.counters()
                results.stats(analysis.last_time, counters, source)
                if form == "text" or sys.stderr.isatty():
                    title = f"{len(files)} captures" if continuous and number else path.name
                    tell_summary(title, counters)
    if damage:
        return InputDamaged.exit_code
    return FINDINGS if results.found else 0


def _read(path: Path, analysis: Analysis, results: Results, workers: int) -> None:
    source = Source(pcap_filename=str(path))
    with Progress(path) as progress:
        for batch, alerts in alerts_of(analysis, read_capture(path), workers):
            if alerts:
                # Both may go to the same terminal.
                progress.erase()
            results.write(alerts, source)
            progress.update(batch)
