"""When a fan-out is a scan: enough distinct targets, and most attempts come to nothing.

Counts alone fail both ways (a browser or peer-to-peer client reaches 25 hosts in a second), so the
share of attempts that were not established decides; order and near-total silence raise the
severity. Attempts still pending count as not established: a silent target never says more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.config import Settings
from procwire.detect.detector import (
    BLOCK,
    HOST_SWEEP,
    PORT_VERTICAL,
    Detector,
    Endpoint,
    Evidence,
    Observation,
)

# (many hosts, many ports per host) -> the scan it is. Most specific knowledge of scanners: Zeek's
# Scan module counts hosts and ports apart, Snort's port_scan separates sweeps from scans likewise.
_KINDS: dict[tuple[bool, bool], Detector] = {
    (True, False): HOST_SWEEP,
    (False, True): PORT_VERTICAL,
    (True, True): BLOCK,
}
_NOBODY = bytes(16)


class Sweep:
    """Judges fan-out rows of the kernel (a process) and of the wire (a source address) alike."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._wide, self._settings = settings.fanout, settings.sweep
        self._counts = {"judged": 0, "scans": 0, "answered": 0}

    def update(self, rows: NDArray[np.void]) -> list[Observation]:
        """The scans among `rows`.

        rows: event.FANOUT_EVENT (n,), times in ns since the epoch (rows of the kernel are in ns
        since boot and have to be shifted first).
        """
        return [scan for row in rows if (scan := self._judge(row)) is not None]

    def counters(self) -> dict[str, int]:
        """judged: rows seen; scans: called a scan; answered: wide enough for one, but mostly
        established."""
        return dict(self._counts)

    def _judge(self, row: np.void) -> Observation | None:
        wide, settings = self._wide, self._settings
        self._counts["judged"] += 1
        attempts = int(row["attempts"])
        # Estimates err to both sides; there are never more targets than attempts.
        hosts, pairs = (min(int(row[name]), attempts) for name in ("hosts", "host_ports"))
        ports_per_host = pairs / max(hosts, 1)
        many_hosts = 0 < wide.hosts <= hosts
        many_ports = 0 < wide.host_ports <= pairs and ports_per_host >= settings.ports_per_host
        detector = _KINDS.get((many_hosts, many_ports))
        if detector is None:
            return None
        # A window counts the ends that fell into it, of attempts that may have begun before it.
        unanswered = max(0.0, 1 - int(row["established"]) / max(attempts, 1))
        if unanswered < settings.unanswered:
            self._counts["answered"] += 1
            return None
        self._counts["scans"] += 1
        ordered = 0 < wide.sequential_run <= int(row["sequential_run"])
        silent = unanswered >= settings.mostly_unanswered
        key = row["process"]
        source = row["source"].tobytes()
        return Observation(
            detector=detector,
            time=int(row["time_ns"]),
            first=int(row["first_ns"]),
            subject=(int(key["started_ns"]), int(key["pid"]), int(key["exec_count"]))
            if key["pid"]
            else None,
            source=Endpoint(source) if source != _NOBODY else None,
            protocol=int(row["last"]["protocol"]),
            figure=hosts if detector is HOST_SWEEP else pairs,
            attempts=attempts,
            severity=max(1, detector.severity - ordered - silent),
            evidence=self._evidence(row, detector, hosts, pairs, unanswered),
            last_target=_endpoint(row["last"]),
            targets=tuple(_endpoint(target) for target in row["sample"][: int(row["samples"])]),
        )

    def _evidence(
        self, row: np.void, detector: Detector, host_count: int, pair_count: int, unanswered: float
    ) -> tuple[Evidence, ...]:
        """The figures, those that decided for this kind of scan with their thresholds."""
        limits, settings = self._wide, self._settings
        hosts = Evidence("hosts", host_count, limits.hosts, "fanout.hosts")
        pairs = Evidence("host_ports", pair_count, limits.host_ports, "fanout.host_ports")
        mean = round(pair_count / max(host_count, 1), 1)
        ratio = Evidence("ports_per_host", mean, settings.ports_per_host, "sweep.ports_per_host")
        run = int(row["sequential_run"])
        deciding = {
            HOST_SWEEP: (hosts, Evidence(pairs.name, pairs.value)),
            PORT_VERTICAL: (pairs, ratio, Evidence(hosts.name, hosts.value)),
            BLOCK: (hosts, pairs, ratio),
        }
        return (
            *deciding[detector],
            Evidence("window_s", int(row["window_ns"]) / 1e9),
            Evidence("unanswered", round(unanswered, 3), settings.unanswered, "sweep.unanswered"),
            Evidence("sequential_run", run, limits.sequential_run, "fanout.sequential_run"),
            *(
                Evidence(name, int(row[name]))
                for name in ("attempts", "established", "refused", "failures")
            ),
        )


def _endpoint(target: np.void) -> Endpoint:
    return Endpoint(target["address"].tobytes(), int(target["port"]))
