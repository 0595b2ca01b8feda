"""procwire baseline: what this site is used to, and what waits to be approved or denied."""

from __future__ import annotations

from pathlib import Path

import click

from procwire.cli.context import context_option, owner_option, viewed
from procwire.context import baseline as kept
from procwire.context.moments import written
from procwire.detect.habits import APPROVED, DENIED, PENDING, STATES
from procwire.detect.shown import thing
from procwire.output.eve import encode
from procwire.output.printable import printable
from procwire.output.terminal import shown
from procwire.output.timestamp import duration

# Columns before what a line is about.
_HANG = 27


@click.group()
def baseline() -> None:
    """What is usual here, and what waits for a decision.

    Programs on the network, what they ask for, what passes between zones.

    Example: procwire baseline pending
    """


@baseline.command()
@click.option("--state", type=click.Choice(STATES), help="Only what is in this state.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@context_option
def show(state: str | None, as_json: bool, context: Path) -> None:
    """Everything that was seen. Says how long each role and zone was observed, too.

    Example: procwire baseline show --state learned
    """
    with viewed(context) as store:
        listed = kept.known(store, (state,) if state else STATES)
        observed = kept.learned(store)
    if as_json:
        click.echo(encode({"observed": observed, "habits": listed}), nl=False)
        return
    for group in observed:
        role = f" role {group.role}" if group.role else ""
        known = duration(group.observed_s)
        click.echo(printable(f"observed for {known}: zone {group.zone}{role}"))
    _table(listed, "nothing is known yet: `procwire watch` learns")


@baseline.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@context_option
def pending(as_json: bool, context: Path) -> None:
    """What came for the first time after its role and zone was learned. Nobody has decided yet.

    Example: procwire baseline pending --json
    """
    with viewed(context) as store:
        listed = kept.known(store, (PENDING,))
    if as_json:
        click.echo(encode(listed), nl=False)
    else:
        _table(listed, "nothing waits: `procwire baseline show` lists what is known")


@baseline.command()
@click.argument("numbers", nargs=-1, required=True, type=int)
@owner_option
@context_option
def approve(numbers: tuple[int, ...], owner: str, context: Path) -> None:
    """Take NUMBERS for usual from now on. A program takes all that waits with it along.

    Example: procwire baseline approve 12 13
    """
    _decide(numbers, APPROVED, owner, context)


@baseline.command()
@click.argument("numbers", nargs=-1, required=True, type=int)
@owner_option
@context_option
def deny(numbers: tuple[int, ...], owner: str, context: Path) -> None:
    """Be told of NUMBERS whenever they come again.

    Example: procwire baseline deny 12
    """
    _decide(numbers, DENIED, owner, context)


def _decide(numbers: tuple[int, ...], state: str, owner: str, context: Path) -> None:
    with viewed(context) as store:
        _table(kept.decide(store, numbers, state, owner))


def _table(listed: list[kept.Known], none: str = "") -> None:
    for one in listed:
        by = f" by {one.decided_by}" if one.decided_by else ""
        times = "once" if one.count == 1 else f"{one.count:,} times"
        line = printable(
            f"{one.id:>6}  {one.state:<8}  {one.habit.kind:<7}  {thing(one.habit)}"
            f"  ({times} since {written(one.first)}, last {written(one.last)}{by})"
        )
        click.echo(shown(line, _HANG))
    if not listed:
        click.echo(none, err=True)
