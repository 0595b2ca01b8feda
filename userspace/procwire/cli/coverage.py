"""procwire coverage: what a run could tell of each analytic, what it did not see, and what this
machine's kernel hides from any."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import click
import msgspec

from procwire.analytic_coverage import Covered, covered
from procwire.output.eve import encode
from procwire.output.printable import printable
from procwire.output.terminal import columns
from procwire.sensor.coverage import Unseen, circumstances, of_run

INDENT = "    "


@click.command()
@click.argument("results", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def coverage(results: Path | None, as_json: bool) -> int:
    """Say of each analytic what was seen of it, what was not, why, and how long alerts took; then
    all that was lost, left out, or could not be seen.

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
    told, analytics = of_run(counters), covered(counters)
    if as_json:
        shown = {"time": time, "analytics": analytics, **msgspec.to_builtins(told)}
        click.echo(encode(shown), nl=False)
        return 0
    if results is not None:
        click.echo(f"{printable(str(results))}, up to {printable(time)}")
    for one in analytics:
        analytic(one)
    if results is not None:
        counters_of("Lost", told.lost)
        counters_of("Left out on purpose", told.left_out)
    click.echo(f"What could not be seen{' here' if results is None else ''}:")
    for spot in told.not_seen:
        item(f"{spot.name}: {spot.reason}")
    return 0


def analytic(one: Covered) -> None:
    """One analytic: a line of what it is and how much of it was seen, and what that rests on."""
    title = f"{one.id} ({one.technique}), {one.title}: {one.state}"
    click.echo(textwrap.fill(title, columns(sys.stdout), subsequent_indent=INDENT))
    item(f"seen: {', '.join(one.sees) or 'nothing'}")
    if one.latency is not None:
        measured = one.latency
        item(
            f"told within {measured.median_ms:,} ms (median), {measured.p95_ms:,} ms (95 of 100), "
            f"{measured.samples:,} alerts measured"
        )
    for why, gaps in groupby(one.blind, key=attrgetter("why")):
        named = (f"{gap.count:,} {gap.what}" if gap.count else gap.what for gap in gaps)
        item(f"not seen: {printable(', '.join(named))}: {why}".removesuffix(": "))
    if one.never:
        item(f"never seen: {', '.join(one.never)}")


def counters_of(title: str, unseen: Iterable[Unseen]) -> None:
    """A list of counters, or that there is none."""
    listed = [f"{one.count:,} {printable(one.name)}: {one.meaning}" for one in unseen]
    click.echo(f"{title}:" if listed else f"{title}: nothing")
    for line in listed:
        item(line.removesuffix(": "))


def item(text: str) -> None:
    """One line of a list, folded to the terminal's width."""
    width = columns(sys.stdout)
    click.echo(textwrap.fill(text, width, initial_indent="  - ", subsequent_indent=INDENT))
