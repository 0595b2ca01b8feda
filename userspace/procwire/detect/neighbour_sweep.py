"""ARP requests or neighbour solicitations for many addresses that nobody has.

Requests are broadcast and replies are not: who does not sit beside the asking host sees a gateway
ask for every host behind it, and no reply. So there must be a reply to be seen, or the order that
no gateway keeps.
"""

from __future__ import annotations

from procwire.detect.detector import NEIGHBOUR_SWEEP
from procwire.detect.figures import Figures, Verdict, reaches, share
from procwire.detect.observation import Evidence
from procwire.settings import Settings


def neighbour_sweep(figures: Figures, settings: Settings) -> Verdict | None:
    """Many addresses of the local network were asked for."""
    hosts, run = settings.fanout.hosts, settings.fanout.sequential_run
    least = settings.sweep.unanswered
    if not reaches(figures.hosts, hosts) or not figures.fails(least):
        return None
    in_order = reaches(figures.sequential_run, run)
    if figures.established == 0 and not (in_order or figures.by_scanner):
        return None
    return Verdict(
        NEIGHBOUR_SWEEP,
        figures.hosts,
        NEIGHBOUR_SWEEP.severity,
        (
            Evidence("hosts", figures.hosts, hosts, "fanout.hosts"),
            *share(figures, least, "sweep.unanswered"),
            Evidence("sequential_run", figures.sequential_run, run, "fanout.sequential_run"),
            *figures.plain("window_s"),
            *figures.outcomes(),
        ),
    )
