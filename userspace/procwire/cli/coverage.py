"""procwire coverage: what a run could tell of each analytic, what it did not see, and what this
machine's kernel hides from any."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from procwire.analytic_coverage import covered, supplies
from procwire.output.coverage_page import coverage_page
from procwire.output.eve import encode
from procwire.output.printable import printable
from procwire.output.terminal import columns
from procwire.sensor.coverage import circumstances, of_run


@click.command()
@click.argument("results", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def coverage(results: Path | None, as_json: bool) -> int:
    """Say what a run saw of each analytic, and what not.

    Of each analytic what was seen of it and how long alerts took; then of each of its inputs what
    was lost or left out, and what could not be seen, why. The worst comes first.

    RESULTS is what `watch` or `read` wrote as EVE JSON lines; a `watch` that still runs adds its
    counters every minute. Without RESULTS the sensor is tried on this machine, which needs root.

    Example: procwire coverage /var/log/procwire/eve.json
    """
    from procwire.output.statistics import last_statistics

    if results is not None:
        statistics = last_statistics(results)
        time, counters = statistics.time, statistics.counters
    else:
        from procwire.sensor.loader import Sensor

        with Sensor() as sensor:
            time, counters = "", circumstances(sensor.loader, sensor.left_out)
    told, analytics, inputs = of_run(counters), covered(counters), supplies(counters)
    if as_json:
        shown = {"time": time, "analytics": analytics, "inputs": inputs}
        click.echo(encode({**shown, **msgspec.to_builtins(told)}), nl=False)
        return 0
    if results is not None:
        click.echo(f"{printable(str(results))}, up to {printable(time)}\n")
    for line in coverage_page(analytics, inputs, told, columns(sys.stdout)):
        click.echo(line)
    return 0
