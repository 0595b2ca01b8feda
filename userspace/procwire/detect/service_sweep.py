"""Services of administration tried on several hosts at once, whether or not they answer: who goes
through the few hosts of a small network never reaches the width at which a sweep is one.

Two shapes are told: one service on so many hosts as the caller says for the row (few where a new
program asks, whose failures need not be known), and two services on each of several hosts within
seconds, which no ordinary program speaks. service_hosts.py remembers what was tried where.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.aligned_records import zeros_in_lines
from procwire.detect.detector import SERVICE_SWEEP
from procwire.detect.observation import Evidence, Observation
from procwire.detect.row_hashes import row_hashes
from procwire.detect.service_hosts import (
    COUNTERS,
    HOST,
    NAMES,
    REPORT,
    SERVICES,
    SOURCE,
    State,
    follow,
)
from procwire.event import SAMPLE_TARGETS
from procwire.record import Attempt, Endpoint
from procwire.settings import Settings


class ServiceSweep:
    """Follows which services of administration sources try."""

    def __init__(self, settings: Settings | None = None) -> None:
        chosen = (settings or Settings()).service_sweep
        self._settings = chosen
        # Kept, because fresh pages cost more than the kernel.
        self._reports, self._samples = _room(0)
        services = np.zeros(65536, np.uint8)
        for port, name in SERVICES.items():
            services[port] = 1 << NAMES.index(name)
        self._state = State(
            sources=zeros_in_lines(chosen.sources, SOURCE),
            services=services,
            counters=np.zeros(len(COUNTERS), np.int64),
            limits=np.array([chosen.together_ns, chosen.window_ns, chosen.hosts], np.int64),
        )

    def update(
        self,
        connections: NDArray[np.void],
        service_hosts: NDArray[np.int64] | None = None,
        hashes: NDArray[np.void] | None = None,
    ) -> list[Observation]:
        """The sources that sweep a service, told again at tenfold hosts.

        connections: record.CONNECTION (n,), in event time; service_hosts: int64 (n,), how many
        hosts make one service a sweep for the source of that row, 0 = none; all 0 by default;
        hashes: row_hashes() of the connections.
        """
        if self._settings.hosts == 0:
            return []
        if service_hosts is None:
            service_hosts = np.zeros(len(connections), np.int64)
        if len(self._reports) < len(connections):
            self._reports, self._samples = _room(len(connections))
        reports, samples = self._reports, self._samples
        if hashes is None:
            hashes = row_hashes(connections)
        count = follow(self._state, connections, hashes, service_hosts, reports, samples)
        return [self._observation(reports[i], samples[i]) for i in range(count)]

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._state.counters.tolist(), strict=True))

    def _observation(self, report: np.void, samples: NDArray[np.void]) -> Observation:
        hosts, tried = int(report["hosts"]), int(report["services"])
        time, first = int(report["time"]), int(report["first"])
        names = [name for place, name in enumerate(NAMES) if tried >> place & 1]
        told = samples[: int(report["samples"])]
        targets = tuple(Endpoint(_address(one), int(one["port"])) for one in told)
        return Observation(
            detector=SERVICE_SWEEP,
            time=time,
            first=first,
            subject=None,
            source=Endpoint(_address(report)),
            protocol=int(report["protocol"]),
            kind=Attempt.CONNECT,
            figure=hosts,
            attempts=hosts,
            severity=SERVICE_SWEEP.severity - (len(names) > 1),
            evidence=(
                Evidence("hosts", hosts, int(report["threshold"]), "service_sweep.hosts"),
                Evidence("services", ", ".join(names)),
                Evidence("duration_s", (time - first) / 1e9),
            ),
            last_target=targets[-1],
            targets=targets,
        )


def _room(count: int) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Reports and their samples."""
    return np.empty(count, REPORT), np.empty((count, SAMPLE_TARGETS), HOST)


def _address(halves: np.void) -> bytes:
    return int(halves["hi"]).to_bytes(8, "big") + int(halves["lo"]).to_bytes(8, "big")
