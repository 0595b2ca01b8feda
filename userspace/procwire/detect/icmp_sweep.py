"""Echo requests to many hosts, most of which do not answer. A monitor's targets do.

The kernel does not tell who answered a raw socket; then it takes an order that no monitor keeps.
"""

from __future__ import annotations

from procwire.detect.detector import ICMP_SWEEP
from procwire.detect.figures import Figures, Verdict, reaches, share
from procwire.detect.observation import Evidence
from procwire.settings import Settings


def icmp_sweep(figures: Figures, settings: Settings) -> Verdict | None:
    """Many hosts were asked for an echo."""
    hosts, least = settings.fanout.hosts, settings.sweep.unanswered
    if not reaches(figures.hosts, hosts) or not figures.fails(least):
        return None
    in_order = reaches(figures.sequential_run, settings.fanout.sequential_run)
    if figures.raw and not (in_order or figures.by_scanner):
        return None
    return Verdict(
        ICMP_SWEEP,
        figures.hosts,
        ICMP_SWEEP.severity,
        (
            Evidence("hosts", figures.hosts, hosts, "fanout.hosts"),
            *share(figures, least, "sweep.unanswered"),
            *figures.plain("sequential_run", "window_s"),
            *figures.outcomes(),
        ),
    )
