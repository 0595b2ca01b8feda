"""The sequential hypothesis test on first contacts (Jung, Paxson, Berger and Balakrishnan 2004).

Strategy: each host that a source contacts for the first time moves the source's likelihood ratio of
being a scanner: up where the contact failed, down where it succeeded. The walk is kept between the
two verdicts, so that neither is for ever. It needs few hosts and no rate: slow scans show as soon
as fast ones.

Who dials peers that others have named (peer-to-peer) finds half of them gone, yet chance alone
finds far fewer among hosts that each lie in a network of their own. So where a failed contact's
network is none of those that failed of late it moves the ratio by what the two hypotheses say of
such hosts. Successes count alike wherever they are: nobody gains by contacts with strangers.

walkers.py keeps the sources and the pairs that are known.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import SLOW_WALK
from procwire.detect.fanout_state import TARGET
from procwire.detect.observation import Evidence, Observation
from procwire.detect.row_hashes import row_hashes
from procwire.detect.walkers import COUNTERS, KNOWN, REPORT, WALKER, State, walk
from procwire.event import SAMPLE_TARGETS
from procwire.record import Attempt, Endpoint
from procwire.settings import Settings

_DECIDES = "random_walk.false_alarm"


class RandomWalk:
    """Tests the sources of connections."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        chosen, quiet_ns = settings.random_walk, settings.episodes.quiet_ns
        self._settings = chosen
        # Kept, because fresh pages cost more than the kernel.
        self._reports, self._samples = _room(0)
        benign, scanner = chosen.benign_success, chosen.scanner_success
        benign_far, scanner_far = chosen.scattered_benign_success, chosen.scattered_scanner_success
        self._state = State(
            walkers=np.zeros(chosen.sources, WALKER),
            samples=np.zeros((chosen.sources, SAMPLE_TARGETS), TARGET),
            known=np.zeros(KNOWN, np.uint32),
            counters=np.zeros(len(COUNTERS), np.int64),
            steps=np.array(
                [
                    math.log(scanner / benign),
                    math.log((1 - scanner) / (1 - benign)),
                    math.log(chosen.missed / (1 - chosen.false_alarm)),
                    math.log((1 - chosen.missed) / chosen.false_alarm),
                    math.log((1 - scanner_far) / (1 - benign_far)),
                ]
            ),
            # Twice within the time after which an episode ends without news.
            limits=np.array([chosen.memory_ns, chosen.hosts, quiet_ns // 2], np.int64),
        )

    def update(
        self, connections: NDArray[np.void], hashes: NDArray[np.void] | None = None
    ) -> list[Observation]:
        """The sources that `connections` show to be scanners, told again at tenfold failures. That
        they go on is said in between, with observations that raise nothing anew.

        connections: record.CONNECTION (n,), in event time; rows that end a CONNECT count; hashes:
        row_hashes() of them.
        """
        if self._settings.hosts == 0:
            return []
        if len(self._reports) < len(connections):
            self._reports, self._samples = _room(len(connections))
        reports, samples = self._reports, self._samples
        if hashes is None:
            hashes = row_hashes(connections)
        count = walk(self._state, connections, hashes, reports, samples)
        return [self._observation(reports[i], samples[i]) for i in range(count)]

    def totals(self) -> list[Observation]:
        """What became of each source that was told."""
        walkers = self._state.walkers
        told = np.flatnonzero(walkers["told"])
        reports = np.zeros(len(told), REPORT)
        reports["walker"], reports["time"] = walkers[told], walkers["active"][told]
        newest = (walkers["failed"][told] - 1) % SAMPLE_TARGETS
        reports["last"] = self._state.samples[told, newest]
        pairs = zip(reports, self._state.samples[told], strict=True)
        found = (self._observation(report, samples) for report, samples in pairs)
        return [replace(scan, final=True) for scan in found]

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._state.counters.tolist(), strict=True))

    def _observation(self, report: np.void, samples: NDArray[np.void]) -> Observation:
        walker, settings = report["walker"], self._settings
        failed, succeeded = int(walker["failed"]), int(walker["succeeded"])
        ratio, decisive = math.exp(walker["walk"]), math.exp(self._state.steps[3])
        kept = min(failed, SAMPLE_TARGETS)
        return Observation(
            detector=SLOW_WALK,
            time=int(report["time"]),
            first=int(walker["first"]),
            subject=None,
            source=Endpoint(_address(walker)),
            protocol=int(report["last"]["protocol"]),
            kind=Attempt.CONNECT,
            figure=failed,
            attempts=failed + succeeded,
            severity=SLOW_WALK.severity,
            evidence=(
                Evidence("failed_hosts", failed, settings.hosts, "random_walk.hosts"),
                Evidence("answering_hosts", succeeded),
                Evidence("likelihood_ratio", round(ratio, 1), round(decisive, 1), _DECIDES),
                Evidence("duration_s", (int(report["time"]) - int(walker["first"])) / 1e9),
            ),
            last_target=_endpoint(report["last"]),
            targets=tuple(_endpoint(target) for target in samples[:kept]),
            final=bool(report["goes_on"]),
        )


def _room(count: int) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Reports and their samples."""
    return np.empty(count, REPORT), np.empty((count, SAMPLE_TARGETS), TARGET)


def _address(halves: np.void) -> bytes:
    return int(halves["hi"]).to_bytes(8, "big") + int(halves["lo"]).to_bytes(8, "big")


def _endpoint(target: np.void) -> Endpoint:
    return Endpoint(_address(target), int(target["port"]))
