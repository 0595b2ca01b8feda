"""The option --workers: how many threads analyse packets."""

from __future__ import annotations

import os

import click

MOST_WORKERS = 8
"""Whoever concludes has half of the work: more would wait for it."""


def default_workers() -> int:
    """As many as there are processors for this process, and work for them."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)))


workers_option = click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=default_workers,
    help=f"Processor cores to use for packets, up to {MOST_WORKERS}; as many as there are by "
    "default. It changes nothing in the alerts.",
)
