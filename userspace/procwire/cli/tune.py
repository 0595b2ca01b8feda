"""procwire tune: thresholds that would have been quieter, from what alerts rested on."""

from __future__ import annotations

import math
from pathlib import Path

import click

from procwire.cli.context import context_option, viewed
from procwire.context.tuning import propose
from procwire.errors import UsageError
from procwire.output.eve import encode
from procwire.output.printable import printable


@click.command()
@click.option(
    "--per-week",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Alerts a week that are wanted of each setting, at most.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of text.")
@context_option
def tune(per_week: float, as_json: bool, context: Path) -> None:
    """Propose thresholds from the history of alerts, with the number of alerts that each would have
    raised: higher where there were too many, lower where a lower one was in force for a week and
    there were few enough. None that loses an alert of high severity is proposed, and nothing is
    changed.

    Example: procwire tune --per-week 2
    """
    if math.isnan(per_week):
        raise UsageError("--per-week nan: give a number of alerts")
    with viewed(context) as store:
        proposals = propose(store, per_week)
    if as_json:
        click.echo(encode(proposals), nl=False)
        return
    for one in proposals:
        now = "as it is" if one.threshold == one.current else f"now {_number(one.current)}"
        setting = printable(one.setting)
        click.echo(f"--set {setting}={_number(one.threshold)}  ({now})")
        for choice in one.choices:
            mark = "->" if choice.threshold == one.threshold else "  "
            high = f", {choice.high:,} of them high" if choice.high else ""
            alerts = "alert " if choice.alerts == 1 else "alerts"
            click.echo(
                f"   {mark} {_number(choice.threshold):>10}  {choice.alerts:>8,} {alerts} in"
                f" {choice.weeks:.1f} weeks{high}"
            )
        below = f"below {_number(one.unknown_below)}"
        click.echo(f"      {below:>10}  not known: nothing is told below the threshold in force")
    if proposals:
        trial = f"--set {setting}={_number(max(1.0, one.unknown_below // 2))}"
        click.echo(f"to know more, watch with lower ones for a week: {trial}", err=True)
    if not proposals:
        click.echo("no history yet; `procwire watch` writes it", err=True)


def _number(value: float) -> str:
    """As settings are written: whole numbers without a point."""
    return str(int(value)) if value.is_integer() else str(value)
