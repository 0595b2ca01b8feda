"""procwire explain: why an episode was told, figure by figure."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from procwire.episode_records import packet_of, shown_packet, told_by_record, told_in
from procwire.errors import UsageError
from procwire.output.explanation import explanation
from procwire.output.printable import printable
from procwire.output.statistics import last_statistics
from procwire.output.terminal import colours, columns
from procwire.sensor.coverage import of_run


@click.command()
@click.argument("episode")
@click.argument("results", type=click.Path(path_type=Path, exists=True))
def explain(episode: str, results: Path) -> int:
    """Say why an alert or an anomaly was raised.

    Its figures against their thresholds, who did it and who started that, targets, the packet with
    the deciding bytes marked, how to allow it, what was not seen.

    EPISODE is its name (F-...); RESULTS is what `watch` or `read` wrote as EVE JSON lines, or the
    folder of `watch --record`.

    Example: procwire explain F-9HB8WP eve.json
    """
    recorded = results.is_dir()
    states = (told_by_record if recorded else told_in)(results, episode)
    if not states:
        if not recorded:
            # What holds none is no results, which it says.
            last_statistics(results)
        where = printable(f"{episode!r} in {results}")
        named = "`alert.metadata.episode` has the names"
        raise UsageError(f"nothing was told of an episode {where}; {named}")
    unseen = None
    if not recorded:
        try:
            unseen = of_run(last_statistics(results).counters)
        except UsageError:
            # A run that still goes on has not written any yet.
            unseen = None
    width, colour = columns(sys.stdout), colours(sys.stdout)
    click.echo(explanation(states, packet_of(shown_packet(states)), unseen, width, colour))
    return 0
