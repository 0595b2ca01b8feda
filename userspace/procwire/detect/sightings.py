"""What the detectors that know the site look at: a batch of connections with the zones of their
ends and the service that was asked for, found once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import Detector
from procwire.detect.distinct import Attempts, Reached
from procwire.detect.fields import (
    IS_ANY_PORT,
    OF_PORT,
    Fields,
    is_between_stations,
)
from procwire.detect.key_map import KeyMap, combined
from procwire.detect.observation import Evidence, Observation
from procwire.detect.services import services
from procwire.detect.zones import Zones
from procwire.event import Origin, Outcome
from procwire.record import FIRST_DYNAMIC_PORT, Attempt, Endpoint, ProcessId

# Kinds whose destination has a port that names a service.
_WITH_SERVICE = (Attempt.CONNECT, Attempt.DATAGRAM)
HAS_SERVICE = np.isin(list(Attempt), _WITH_SERVICE).astype(np.uint64)
"""By kind of attempt, 1 where the destination has a port that names a service."""

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Sightings:
    """rows: record.CONNECTION (n,), in event time; zones: of the site. Columns (n,) are found when
    they are first asked for: packets without zones and processes need none."""

    rows: NDArray[np.void]
    zones: Zones

    @cached_property
    def columns(self) -> Fields:
        """The rows field by field."""
        return Fields(self.rows)

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether the process is known."""
        _, numbers = self.columns.process()
        known: NDArray[np.bool_] = numbers != 0
        return known

    def source_of(self, at: NDArray[np.int64]) -> NDArray[np.uint64]:
        """A key for the source address of each of the rows `at`, which are mostly few."""
        return combined(self.rows["src_hi"][at], self.rows["src_lo"][at])

    @cached_property
    def subject(self) -> NDArray[np.uint64]:
        """A key for who made each row: the process, or the source address."""
        source = combined(self.columns["src_hi"], self.columns["src_lo"])
        if not self.is_known.any():
            return source
        key = combined(*self.columns.process())
        return key if self.is_known.all() else np.where(self.is_known, key, source)

    @cached_property
    def between_stations(self) -> NDArray[np.bool_]:
        """Whether a row names a source and leaves the machine."""
        return is_between_stations(self.columns)

    @cached_property
    def shows(self) -> NDArray[np.uint64]:
        """A key for all that decides which habits a row shows: whose it is, where from, and what
        for."""
        columns, asked = self.columns, self.columns.asked()
        ports = columns["dst_port"]
        if ports.max(initial=0) >= FIRST_DYNAMIC_PORT:
            asked[IS_ANY_PORT[ports]] &= ~OF_PORT
        shows = combined(self.subject, asked, columns["src_hi"], columns["src_lo"])
        return combined(shows, self.zone) if len(self.zones) else shows

    @cached_property
    def is_attempt(self) -> NDArray[np.bool_]:
        """False for a row that only tells how an earlier attempt ended."""
        outcome = self.columns["outcome"]
        ended = (outcome != Outcome.PENDING) & (outcome != Outcome.SENT)
        wanted: NDArray[np.bool_] = (self.columns["origin"] != Origin.WIRE) | ~ended
        return wanted

    @cached_property
    def source_zone(self) -> NDArray[np.uint16]:
        """Numbers of the sources' zones."""
        return self.zones.of(self.columns["src_hi"], self.columns["src_lo"])

    @cached_property
    def zone(self) -> NDArray[np.uint16]:
        """Numbers of the destinations' zones."""
        return self.zones.of(self.columns["dst_hi"], self.columns["dst_lo"])

    @cached_property
    def service(self) -> NDArray[np.uint8]:
        """Indices into services.NAMES, 0 where the kind of attempt has none."""
        service = services(self.columns["protocol"], self.columns["dst_port"])
        service[HAS_SERVICE[self.columns["kind"]] == 0] = 0
        return service

    def attempts(self, at: NDArray[np.int64], *more: NDArray[np.unsignedinteger]) -> Attempts:
        """The rows `at` as Distinct counts them, hosts as targets; `more`: columns (n,) that tell
        apart what one subject does."""
        columns = self.columns
        hi, lo = columns["dst_hi"][at], columns["dst_lo"][at]
        subject = combined(self.subject[at], *(column[at] for column in more))
        target = combined(hi, lo)
        return Attempts(columns["time"][at], subject, target, hi, lo, columns["dst_port"][at])


class Means(NamedTuple):
    """What detectors look at rows and keys with: as here, in NumPy, or compiled."""

    sightings: type[Sightings] = Sightings
    key_map: type[KeyMap] = KeyMap


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


def taken(column: NDArray[Scalar], at: NDArray[np.int64]) -> NDArray[Scalar]:
    """column[at] of places that are in order and come once each."""
    return column if len(at) == len(column) else column[at]


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
