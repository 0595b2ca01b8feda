"""procwire doctor: what this machine lets procwire see, and the command that mends the rest."""

from __future__ import annotations

import sys

import click

from procwire.errors import Unavailable
from procwire.output.eve import encode
from procwire.output.terminal import colours, columns, folded, shown

# (ok, required) -> word and colour.
MARKS = {
    (True, True): ("ok  ", "green"),
    (True, False): ("ok  ", "green"),
    (False, True): ("MISS", "red"),
    (False, False): ("opt ", "yellow"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def doctor(as_json: bool) -> int:
    """Check privileges, kernel features and packages.

    Says what stays unseen, too. Exits with 4 if something is missing that `watch` needs.

    Example: sudo procwire doctor
    """
    from procwire.sensor.doctor import checks

    results = checks()
    if as_json:
        click.echo(encode(results), nl=False)
    else:
        width = max(len(check.name) for check in results)
        for check in results:
            word, colour = MARKS[check.ok, check.required]
            line = shown(f"{word} {check.name:<{width}}  {check.found}", width + 7)
            marked = click.style(word, fg=colour) if colours(sys.stdout) else word
            click.echo(marked + line[len(word) :])
            if not check.ok and check.remedy:
                click.echo(shown(f"     {'':<{width}}  -> {check.remedy}", width + 10))
            for hook in check.hooks:
                remedy = f" -> {hook.remedy}" if hook.remedy else ""
                click.echo(shown(f"       {hook.name}: {hook.found}{remedy}", 9))
        losses = [loss for check in results for loss in check.losses if loss.count]
        if losses:
            click.echo("\nLost or left out meanwhile (of a run, `procwire coverage` tells):")
        for loss in losses:
            item(f"{loss.count:,} {loss.name}: {loss.meaning}.")
        spots = [spot for check in results for spot in check.not_seen]
        if spots:
            click.echo("\nWhat the sensor does not see here:")
        for spot in spots:
            item(f"{spot.name}: {spot.reason}.")
    missing = any(not check.ok and check.required for check in results)
    return Unavailable.exit_code if missing else 0


def item(text: str) -> None:
    """One line of a list, folded to the terminal's width."""
    click.echo(folded(f"- {text}", columns(sys.stdout), 2))
