"""By which settings each detector decides."""

from __future__ import annotations

from collections.abc import Iterator

from procwire.detect import detector as by_name
from procwire.detect.detector import Detector
from procwire.settings import Settings

_SHARES = ("sweep.unanswered", "sweep.mostly_unanswered")
_SCATTERED = ("random_walk.scattered_benign_success", "random_walk.scattered_scanner_success")
_WINDOWS = ("fanout.windows_s", *_SHARES, "sweep.known_scanners")
_HOSTS = ("fanout.hosts", "fanout.sequential_run")
_PORTS = ("fanout.host_ports", "sweep.ports_per_host", "fanout.sequential_run")
_LONE_SEGMENTS = ("probes.targets", "fanout.windows_s", "sweep.mostly_unanswered")
_LEARNED = ("baseline.learning_s",)

_DECIDED_BY: dict[Detector, tuple[str, ...]] = {
    by_name.HOST_SWEEP: (*_HOSTS, *_WINDOWS, *_SCATTERED),
    by_name.PORT_VERTICAL: (*_PORTS, *_WINDOWS),
    by_name.BLOCK: ("fanout.hosts", *_PORTS, *_WINDOWS),
    by_name.SEQUENTIAL: ("fanout.sequential_run", "coverage.hosts", "coverage.memory_s", *_WINDOWS),
    by_name.SLOW_WALK: (
        "random_walk.hosts",
        "random_walk.benign_success",
        "random_walk.scanner_success",
        *_SCATTERED,
        "random_walk.false_alarm",
        "random_walk.missed",
        "random_walk.memory_s",
    ),
    by_name.UDP_UNREACHABLE: (
        "datagrams.targets",
        "datagrams.refused",
        "datagrams.unanswered",
        "fanout.windows_s",
    ),
    by_name.NEIGHBOUR_SWEEP: (*_HOSTS, *_WINDOWS),
    by_name.REPEATED_ATTEMPTS: (
        "fanout.failures",
        "repeated.failures_per_target",
        *_WINDOWS,
    ),
    by_name.ICMP_SWEEP: (*_HOSTS, *_WINDOWS),
    by_name.NULL_PROBES: _LONE_SEGMENTS,
    by_name.FIN_PROBES: _LONE_SEGMENTS,
    by_name.XMAS_PROBES: _LONE_SEGMENTS,
    by_name.MAIMON_PROBES: _LONE_SEGMENTS,
    by_name.ACK_PROBES: _LONE_SEGMENTS,
    by_name.PROTOCOL_SCAN: ("probes.protocols", "fanout.windows_s"),
    by_name.BACKSCATTER: (*_HOSTS, "fanout.windows_s"),
    by_name.SLOW_PORTS: ("port_coverage.ports", "port_coverage.memory_s", "sweep.unanswered"),
    by_name.SERVICE_SWEEP: (
        "service_sweep.hosts",
        "service_sweep.window_s",
        "service_sweep.together_s",
        "new_process.age_s",
    ),
    by_name.KNOWN_SCANNER: ("sweep.known_scanners",),
    by_name.ICS_ENTERPRISE: ("ics.hosts", "ics.window_s"),
    by_name.ICS_NEIGHBOURS: ("ics.neighbours", "ics.window_s"),
    by_name.NEW_PROCESS: ("new_process.hosts", "new_process.age_s", *_SHARES, *_SCATTERED),
    by_name.FIRST_PROGRAM: _LEARNED,
    by_name.FIRST_SERVICE: _LEARNED,
    by_name.FIRST_USE: _LEARNED,
    by_name.FIRST_FLOW: _LEARNED,
    by_name.FIRST_FAN_OUT: _LEARNED,
}


def decided_by(detector: Detector, settings: Settings) -> Iterator[tuple[str, str, str]]:
    """The settings that the detector decides by, the leading one first: name, value, what it is."""
    for name in _DECIDED_BY[detector]:
        section, _, field = name.partition(".")
        values = getattr(settings, section)
        value, about = getattr(values, field), type(values).model_fields[field].description
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        yield name, shown, about or ""
