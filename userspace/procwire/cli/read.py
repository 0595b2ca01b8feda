"""procwire read: captures in, alerts out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from procwire.analysis import Analysis
from procwire.capture.open import read_capture
from procwire.cli.progress import Progress
from procwire.cli.results import FINDINGS, Results, analysis_options, tell_summary
from procwire.config import load
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
@analysis_options
def read(
    files: tuple[Path, ...],
    continuous: bool,
    workers: int,
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
    with Results(output, form, fail_on) as results:
        analysis = Analysis(settings)
        for number, path in enumerate(files):
            if number and not continuous:
                analysis = Analysis(settings)
            try:
                _read(path, analysis, results, workers)
            except InputDamaged as problem:
                damage.append(problem)
                click.echo(f"procwire: {printable(str(problem))}", err=True)
            if not continuous or number == len(files) - 1:
                _finish(analysis, results, Source(pcap_filename=str(path)))
                if form == "text" or sys.stderr.isatty():
                    title = f"{len(files)} captures" if continuous and number else path.name
                    tell_summary(title, analysis.counters())
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


def _finish(analysis: Analysis, results: Results, source: Source) -> None:
    results.write(analysis.finish(), source)
    results.stats(analysis.last_time, analysis.counters(), source)
