"""UDP scans by their echo: closed ports answer with port unreachable (RFC 1122 4.1.3.1).

Hosts ration these messages (Linux: one a second after a burst of six), so a few of them among many
unanswered datagrams are enough.
"""

from __future__ import annotations

from procwire.detect.detector import UDP_UNREACHABLE
from procwire.detect.figures import Figures, Verdict, share
from procwire.detect.observation import Evidence
from procwire.settings import Settings


def udp_unreachable(figures: Figures, settings: Settings) -> Verdict | None:
    """Datagrams to many ports, several of them refused, few answered."""
    limits = settings.datagrams
    if figures.host_ports < limits.targets or figures.refused < limits.refused:
        return None
    if figures.unanswered < limits.unanswered:
        return None
    return Verdict(
        UDP_UNREACHABLE,
        figures.host_ports,
        UDP_UNREACHABLE.severity,
        (
            Evidence("host_ports", figures.host_ports, limits.targets, "datagrams.targets"),
            Evidence("refused", figures.refused, limits.refused, "datagrams.refused"),
            *share(figures, limits.unanswered, "datagrams.unanswered"),
            *figures.plain("hosts", "window_s", "attempts", "established", "failures"),
        ),
    )
