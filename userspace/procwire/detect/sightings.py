"""What the detectors that know the site look at: a batch of connections with the zones of their
ends and the service that was asked for, found once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import Detector
from procwire.detect.distinct import Attempts, Reached
from procwire.detect.key_map import combined
from procwire.detect.observation import Endpoint, Evidence, Observation, ProcessId
from procwire.detect.services import services
from procwire.detect.zones import Zones
from procwire.event import Origin, Outcome
from procwire.record import Attempt

# Kinds whose destination has a port that names a service.
_WITH_SERVICE = (Attempt.CONNECT, Attempt.DATAGRAM)
# All of an IPv4 address, and enough of an IPv6 one.
_ADDRESS = np.uint64(0xFFFFFFFF)
_HAS_SERVICE = np.isin(list(Attempt), _WITH_SERVICE)


@dataclass(frozen=True)
class Sightings:
    """rows: record.CONNECTION (n,), in event time; zones: of the site. Columns (n,) are found when
    they are first asked for: packets without zones and processes need none."""

    rows: NDArray[np.void]
    zones: Zones

    @cached_property
    def is_attempt(self) -> NDArray[np.bool_]:
        """False for a row that only tells how an earlier attempt ended."""
        outcome = self.rows["outcome"]
        ended = (outcome != Outcome.PENDING) & (outcome != Outcome.SENT)
        wanted: NDArray[np.bool_] = (self.rows["origin"] != Origin.WIRE) | ~ended
        return wanted

    @cached_property
    def source_zone(self) -> NDArray[np.uint16]:
        """Numbers of the sources' zones."""
        return self.zones.of(self.rows["src_hi"], self.rows["src_lo"])

    @cached_property
    def zone(self) -> NDArray[np.uint16]:
        """Numbers of the destinations' zones."""
        return self.zones.of(self.rows["dst_hi"], self.rows["dst_lo"])

    @cached_property
    def service(self) -> NDArray[np.uint8]:
        """Indices into services.NAMES, 0 where the kind of attempt has none."""
        service = services(self.rows["protocol"], self.rows["dst_port"])
        service *= _HAS_SERVICE[self.rows["kind"]]
        return service

    def attempts(self, at: NDArray[np.int64], *more: NDArray[np.unsignedinteger]) -> Attempts:
        """The rows `at` as Distinct counts them, hosts as targets; `more`: columns (n,) that tell
        apart what one subject does."""
        rows = self.rows
        hi, lo = rows["dst_hi"][at], rows["dst_lo"][at]
        subject = combined(subjects(rows, at), *(column[at] for column in more))
        target = combined(hi, lo)
        return Attempts(rows["time"][at], subject, target, hi, lo, rows["dst_port"][at])


def subjects(rows: NDArray[np.void], at: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A key for who made each of the rows `at`: the process, or the source address."""
    # Columns first: rows are an order of magnitude slower to pick.
    process = rows["process"]
    parts = (process[name][at] for name in ("started_ns", "pid", "exec_count"))
    key = combined(*parts)
    unknown = np.flatnonzero(~is_known(process)[at])
    key[unknown] = combined(rows["src_hi"][at[unknown]], rows["src_lo"][at[unknown]])
    return key


def observation(
    detector: Detector, row: np.void, reached: Reached, evidence: tuple[Evidence, ...]
) -> Observation:
    """What is handed on of a subject whose targets became too many with a row."""
    kind = Attempt(int(row["kind"]))
    targets = tuple(_endpoint(hi, lo, port, kind) for hi, lo, port in reached.sample)
    source = address_of(int(row["src_hi"]), int(row["src_lo"]))
    return Observation(
        detector=detector,
        time=int(row["time"]),
        first=reached.first,
        subject=process_of(row),
        source=Endpoint(source) if any(source) else None,
        protocol=int(row["protocol"]),
        kind=kind,
        figure=reached.targets,
        attempts=reached.attempts,
        severity=detector.severity,
        evidence=evidence,
        last_target=_endpoint(int(row["dst_hi"]), int(row["dst_lo"]), int(row["dst_port"]), kind),
        targets=targets,
    )


def is_known(process: NDArray[np.void] | np.void) -> NDArray[np.bool_]:
    """Which process keys are those of a process. Recorders may not know its pid."""
    known: NDArray[np.bool_] = (process["pid"] != 0) | (process["exec_count"] != 0)
    return known


def from_somewhere(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which rows name a source: a connect that failed at once has none."""
    named: NDArray[np.bool_] = (rows["src_hi"] != 0) | (rows["src_lo"] & _ADDRESS != 0)
    return named


def address_of(hi: int, lo: int) -> bytes:
    """16 bytes in network order of big-endian halves."""
    return (hi << 64 | lo).to_bytes(16, "big")


def process_of(row: np.void) -> ProcessId | None:
    """The process of a row, None where it is unknown."""
    key = row["process"]
    if not is_known(key):
        return None
    return int(key["started_ns"]), int(key["pid"]), int(key["exec_count"])


def _endpoint(hi: int, lo: int, port: int, kind: Attempt) -> Endpoint:
    return Endpoint(address_of(hi, lo), port if kind in _WITH_SERVICE else None)
