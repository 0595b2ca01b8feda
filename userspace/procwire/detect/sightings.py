"""What the detectors that know the site look at: a batch of connections with the zones of their
ends and the service that was asked for, found once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import Detector
from procwire.detect.distinct import Attempts, Reached
from procwire.detect.key_map import combined
from procwire.detect.observation import Endpoint, Evidence, Observation, ProcessId
from procwire.detect.services import services
from procwire.detect.zones import Zones
from procwire.event import Origin, Outcome
from procwire.record import CONNECTION, Attempt

# Kinds whose destination has a port that names a service.
_WITH_SERVICE = (Attempt.CONNECT, Attempt.DATAGRAM)
# All of an IPv4 address, and enough of an IPv6 one.
_ADDRESS = np.uint64(0xFFFFFFFF)
HAS_SERVICE = np.isin(list(Attempt), _WITH_SERVICE).astype(np.uint64)
"""By kind of attempt, 1 where the destination has a port that names a service."""


Scalar = TypeVar("Scalar", bound=np.generic)
_FIELDS: Mapping[str, Any] = CONNECTION.fields or {}
_WORD = 8


def _masks(*names: str) -> NDArray[np.uint64]:
    """A row of CONNECTION, as words of 8 bytes, of which only the fields `names` have bits."""
    ones = np.full(1, np.uint64(2**64 - 1))
    row = np.zeros(1, CONNECTION)
    for name in names:
        row[name] = ones.view(CONNECTION[name])[0]
    return row.view(np.uint64)


_ASKED = _FIELDS["dst_port"][1] // _WORD
_OF_ASKED = _masks("dst_port", "protocol", "origin", "outcome", "family")[_ASKED]
# It takes the place that the source's port has in its word.
_OF_KIND = _masks("kind")[_FIELDS["kind"][1] // _WORD]
OF_PORT = _masks("dst_port")[_ASKED]
"""Of Fields.asked(), the bits of the port."""


class Fields(dict[str, NDArray[Any]]):
    """Fields of record.CONNECTION rows (n,) by name, copied when they are first asked for, with
    those beside them in 8 bytes: who looks at a field of rows waits for as many lines of memory as
    there are rows."""

    def __init__(self, rows: NDArray[np.void]) -> None:
        super().__init__()
        words = np.ascontiguousarray(rows).view(np.uint64)
        self._rows = words.reshape(len(rows), CONNECTION.itemsize // _WORD)
        self._words: dict[int, NDArray[np.uint64]] = {}

    def __missing__(self, name: str) -> NDArray[Any]:
        kind, offset = _FIELDS[name][:2]
        place, step = offset % _WORD // kind.itemsize, _WORD // kind.itemsize
        parts = self._word(offset).view(kind)[place::step]
        column = self[name] = np.ascontiguousarray(parts)
        return column

    def asked(self) -> NDArray[np.uint64]:
        """What each row asks for and what came of it: destination port, protocol, origin, outcome,
        family and kind in one number."""
        asked: NDArray[np.uint64] = self.word("dst_port") & _OF_ASKED
        asked |= self.word("kind") & _OF_KIND
        return asked

    def word(self, name: str) -> NDArray[np.uint64]:
        """The 8 bytes of each row in which a field lies."""
        return self._word(_FIELDS[name][1])

    def process(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """When each row's process began, and its pid and exec count in one."""
        offset = _FIELDS["process"][1]
        return self._word(offset), self._word(offset + _WORD)

    def _word(self, offset: int) -> NDArray[np.uint64]:
        """The 8 bytes around an offset of each row."""
        place = offset // _WORD
        if place not in self._words:
            self._words[place] = np.ascontiguousarray(self._rows[:, place])
        return self._words[place]


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

    @cached_property
    def source(self) -> NDArray[np.uint64]:
        """A key for each source address."""
        return combined(self.columns["src_hi"], self.columns["src_lo"])

    @cached_property
    def subject(self) -> NDArray[np.uint64]:
        """A key for who made each row: the process, or the source address."""
        if not self.is_known.any():
            return self.source
        key = combined(*self.columns.process())
        return key if self.is_known.all() else np.where(self.is_known, key, self.source)

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


def from_somewhere(rows: NDArray[np.void] | Fields) -> NDArray[np.bool_]:
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
