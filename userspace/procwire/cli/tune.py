"""procwire tune: thresholds that would have been quieter, from what alerts rested on."""

from __future__ import annotations

import math
from pathlib import Path

import click

from procwire.cli.context import context_option, viewed
from procwire.context.tuning import Proposal, propose
from procwire.errors import UsageError
from procwire.output.eve import encode
from procwire.output.printable import printable
from procwire.output.timestamp import duration

_WEEK_S = 7 * 86_400


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
    """Propose thresholds from the history of alerts.

    Each stands with the number of alerts that it would have raised: higher where there were too
    many, lower where a lower one was in force for a week and there were few enough. None that loses
    an alert of high severity is proposed, and nothing is changed.

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
        _show(one)
    if not proposals:
        click.echo("no history yet; `procwire watch` writes it", err=True)
        return
    if any(choice.weeks < 1 for one in proposals for choice in one.choices):
        click.echo("what was watched for less than a week counts as one", err=True)
    lower = {one.setting: max(1.0, one.unknown_below // 2) for one in proposals}
    trial = " ".join(f"--set {printable(name)}={_number(low)}" for name, low in lower.items())
    click.echo(f"to know more, watch with lower ones for a week: {trial}", err=True)


def _show(proposal: Proposal) -> None:
    current, setting = proposal.current, printable(proposal.setting)
    now = "as it is" if proposal.threshold == current else f"now {_number(current)}"
    click.echo(f"--set {setting}={_number(proposal.threshold)}  ({now})")
    for choice in proposal.choices:
        mark = "->" if choice.threshold == proposal.threshold else "  "
        high = f", {choice.high:,} of them high" if choice.high else ""
        alerts = "alert " if choice.alerts == 1 else "alerts"
        click.echo(
            f"   {mark} {_number(choice.threshold):>10}  {choice.alerts:>8,} {alerts} in"
            f" {duration(choice.weeks * _WEEK_S)}{high}"
        )
    below = f"below {_number(proposal.unknown_below)}"
    click.echo(f"      {below:>10}  not known: nothing is told below the threshold in force")


def _number(value: float) -> str:
    """As settings are written: whole numbers without a point."""
    return str(int(value)) if value.is_integer() else str(value)
