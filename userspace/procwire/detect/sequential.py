"""Targets tried one after the other: addresses or ports up or down by one stride, whatever it is.

The run is counted with the fan-out, in the kernel as on the wire; it needs fewer targets than a
sweep, because chance does not put twenty failed attempts in order, nor twenty hosts of which
nothing more is known. A run may be older than a window: only one that saw half of it can tell how
its attempts ended.
"""

from __future__ import annotations

from procwire.detect.detector import SEQUENTIAL
from procwire.detect.figures import Figures, Verdict, reaches, share
from procwire.detect.observation import Evidence
from procwire.record import Attempt
from procwire.settings import Settings


def sequential(figures: Figures, settings: Settings) -> Verdict | None:
    """A run of targets in order, most of which did not answer."""
    limits = settings.sweep
    connects = figures.kind is Attempt.CONNECT
    setting = "unanswered" if connects else "mostly_unanswered"
    least = limits.unanswered if connects else limits.mostly_unanswered
    run = settings.fanout.sequential_run
    if not reaches(figures.sequential_run, run) or 2 * figures.attempts < figures.sequential_run:
        return None
    # Ports in order may be those that a server gives out.
    are_hosts = figures.is_untold and figures.hosts >= run
    if not figures.fails(least) and not are_hosts:
        return None
    return Verdict(
        SEQUENTIAL,
        figures.sequential_run,
        SEQUENTIAL.severity - (figures.unanswered >= limits.mostly_unanswered),
        (
            Evidence("sequential_run", figures.sequential_run, run, "fanout.sequential_run"),
            *share(figures, least, f"sweep.{setting}"),
            *figures.plain("hosts", "host_ports", "window_s"),
            *figures.outcomes(),
        ),
    )
