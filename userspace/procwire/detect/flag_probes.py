"""Scans with segments that open nothing: RFC 9293 3.10.7.1 has a closed port answer them with a
reset and an open one drop them, and a filter that looks for SYN lets them pass.

FIN with ACK, and ACK alone, also end and keep alive connections that are older than the capture;
these are answered by more than a reset.
"""

from __future__ import annotations

from procwire.detect.detector import ACK_PROBES, FIN_PROBES, MAIMON_PROBES, NULL_PROBES, XMAS_PROBES
from procwire.detect.figures import Figures, Verdict, reaches, share
from procwire.detect.observation import Evidence
from procwire.record import Attempt
from procwire.settings import Settings

DETECTORS_BY_KIND = {
    Attempt.NULL: NULL_PROBES,
    Attempt.FIN: FIN_PROBES,
    Attempt.XMAS: XMAS_PROBES,
    Attempt.MAIMON: MAIMON_PROBES,
    Attempt.ACK: ACK_PROBES,
}

_OF_CONNECTIONS = (Attempt.MAIMON, Attempt.ACK)


def flag_probes(figures: Figures, settings: Settings) -> Verdict | None:
    """Lone segments of one kind to several targets."""
    targets, least = settings.probes.targets, settings.sweep.mostly_unanswered
    if not reaches(figures.host_ports, targets) or figures.unanswered < least:
        return None
    if figures.kind in _OF_CONNECTIONS and figures.has_another_port_each:
        return None
    detector = DETECTORS_BY_KIND[figures.kind]
    return Verdict(
        detector,
        figures.host_ports,
        detector.severity,
        (
            Evidence("host_ports", figures.host_ports, targets, "probes.targets"),
            *share(figures, least, "sweep.mostly_unanswered"),
            *figures.plain("hosts", "window_s"),
            *figures.outcomes(),
        ),
    )
