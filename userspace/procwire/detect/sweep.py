"""When a fan-out is a scan by its width: enough targets, and most attempts come to nothing.

Counts alone fail both ways (a browser or peer-to-peer client reaches 25 hosts in a second), so the
share of attempts that were not answered decides; order and near-total silence raise the severity.
Hosts that lie in networks of their own are a sweep if fewer answer than scattered.py says of peers.
Datagrams to a client's port of its own on each host look for none: a server sends such.
"""

from __future__ import annotations

from procwire.detect.detector import BLOCK, HOST_SWEEP, PORT_VERTICAL, Detector
from procwire.detect.figures import Figures, Verdict, reaches, share
from procwire.detect.observation import Evidence
from procwire.detect.scattered import SETTING, least_unanswered
from procwire.record import Attempt
from procwire.settings import Settings

# (many hosts, many ports per host) -> the scan it is. Most specific knowledge of scanners: Zeek's
# Scan module counts hosts and ports apart, Snort's port_scan separates sweeps from scans likewise.
_KINDS: dict[tuple[bool, bool], Detector] = {
    (True, False): HOST_SWEEP,
    (False, True): PORT_VERTICAL,
    (True, True): BLOCK,
}


def sweep(figures: Figures, settings: Settings) -> Verdict | None:
    """Many hosts, many ports of a host, or both."""
    wide, limits = settings.fanout, settings.sweep
    many_hosts = reaches(figures.hosts, wide.hosts)
    many_ports = (
        reaches(figures.host_ports, wide.host_ports)
        and figures.ports_per_host >= limits.ports_per_host
    )
    detector = _KINDS.get((many_hosts, many_ports))
    if detector is None or not figures.fails(min(limits.unanswered, limits.mostly_unanswered)):
        return None
    if detector is HOST_SWEEP and figures.kind is Attempt.DATAGRAM and figures.has_port_each:
        return None
    least, setting = _least_unanswered(figures, detector, settings)
    if not figures.fails(least):
        return None
    ordered = reaches(figures.sequential_run, wide.sequential_run)
    silent = figures.unanswered >= limits.mostly_unanswered
    return Verdict(
        detector,
        figures.hosts if detector is HOST_SWEEP else figures.host_ports,
        max(1, detector.severity - ordered - silent),
        (
            *_width(figures, detector, settings),
            *figures.plain("window_s"),
            *share(figures, least, setting),
            Evidence(
                "sequential_run",
                figures.sequential_run,
                wide.sequential_run,
                "fanout.sequential_run",
            ),
            *figures.outcomes(),
        ),
    )


def _least_unanswered(
    figures: Figures, detector: Detector, settings: Settings
) -> tuple[float, str]:
    """Which share has to come to nothing, and the setting that says so."""
    limits = settings.sweep
    # Nobody tries many ports of a peer.
    if detector is HOST_SWEEP and figures.is_scattered:
        least = least_unanswered(figures.hosts, settings.random_walk)
        return max(round(least, 3), limits.mostly_unanswered), SETTING
    # Datagrams are also sent to whom nobody expects to answer.
    if figures.kind is Attempt.CONNECT:
        return limits.unanswered, "sweep.unanswered"
    return limits.mostly_unanswered, "sweep.mostly_unanswered"


def _width(figures: Figures, detector: Detector, settings: Settings) -> tuple[Evidence, ...]:
    """The figures that decided for this kind of scan with their thresholds, and the others."""
    wide = settings.fanout
    hosts = Evidence("hosts", figures.hosts, wide.hosts, "fanout.hosts")
    pairs = Evidence("host_ports", figures.host_ports, wide.host_ports, "fanout.host_ports")
    mean, least = round(figures.ports_per_host, 1), settings.sweep.ports_per_host
    ratio = Evidence("ports_per_host", mean, least, "sweep.ports_per_host")
    return {
        HOST_SWEEP: (hosts, *figures.plain("host_ports")),
        PORT_VERTICAL: (pairs, ratio, *figures.plain("hosts")),
        BLOCK: (hosts, pairs, ratio),
    }[detector]
