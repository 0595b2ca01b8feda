"""What one source tried in vain of places that are counted one by one: addresses of a small
network, ports of a host.

Strategy: two bitmaps of places, those that failed and those that answered; a source is told of with
its failures, and again at tenfold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from procwire.compiled.aligned_records import whole_lines, zeros_in_lines
from procwire.compiled.jit import fused
from procwire.detect.detector import Detector
from procwire.detect.observation import Evidence, Observation
from procwire.detect.row_hashes import row_hashes
from procwire.event import Outcome
from procwire.record import Attempt, Endpoint

COUNTERS = ("evicted",)
"""What was forgotten because the table was full around it."""

_GROWTH = 10
_WORD_BITS, _BIT_MASK = np.uint64(6), np.uint64(63)
_ESTABLISHED = int(Outcome.ESTABLISHED)

Record: TypeAlias = Any
Whole: TypeAlias = int | np.int64


class State(NamedTuple):
    """names: uint64 (n,), a hash of each entry, 0 for a free slot; active: int64 (n,), when it was
    last; entries: tried() (n,); counters: as in COUNTERS; limits: int64, memory in ns and of how
    many failures is told; shares: float64, by Attempt, the least share that fails."""

    names: NDArray[np.uint64]
    active: NDArray[np.int64]
    entries: NDArray[np.void]
    counters: NDArray[np.int64]
    limits: NDArray[np.int64]
    shares: NDArray[np.float64]


class Words(NamedTuple):
    """How an observation names its figures: places that failed, the setting of how many are told,
    places that answered, the setting of the least share that fails."""

    failed: str
    least: str
    answered: str
    share: str


def tried(words: int, *more: tuple[str, DTypeLike]) -> np.dtype[np.void]:
    """What is kept of a source and of what it tries, dst. tried: bitmaps of `words` words each, a
    power of two, of what failed and of what answered; failed, answered: how many places; told: at
    how many failures it was; port, place, protocol: of the last."""
    fields = [(name, "u8") for name in ("src_hi", "src_lo", "dst_hi", "dst_lo")]
    fields += [(name, "i8") for name in ("active", "first")]
    fields += [(name, "u2") for name in ("failed", "answered", "told", "port", "place")]
    return whole_lines([*fields, ("protocol", "u1"), *more, ("tried", "u8", (2 * words,))])


class Tried(ABC):
    """A detector that keeps entries of tried() and is told of connections."""

    def __init__(
        self,
        cover: Callable[..., int],
        capacity: int,
        entry: np.dtype[np.void],
        limits: tuple[int, int],
        shares: NDArray[np.float64],
    ) -> None:
        """cover: the kernel that enters rows: State, rows, their hashes, entries to tell of ->
        how many of these; capacity: entries; limits, shares: as in State."""
        self._cover = cover
        # Kept, because fresh pages cost more than the kernel.
        self._reports = np.empty(0, entry)
        self._state = State(
            names=np.zeros(capacity, np.uint64),
            active=np.zeros(capacity, np.int64),
            entries=zeros_in_lines(capacity, entry),
            counters=np.zeros(len(COUNTERS), np.int64),
            limits=np.array(limits, np.int64),
            shares=shares,
        )

    @abstractmethod
    def observation(self, entry: np.void) -> Observation:
        """What is handed on of an entry."""

    def update(
        self, connections: NDArray[np.void], hashes: NDArray[np.void] | None = None
    ) -> list[Observation]:
        """What `connections` show to be a scan, told again at tenfold failures.

        connections: record.CONNECTION (n,), in event time; hashes: row_hashes() of them.
        """
        if self._state.limits[1] == 0:
            return []
        if len(self._reports) < len(connections):
            self._reports = np.empty(len(connections), self._reports.dtype)
        if hashes is None:
            hashes = row_hashes(connections)
        count = self._cover(self._state, connections, hashes, self._reports)
        return [self.observation(report) for report in self._reports[:count]]

    def totals(self) -> list[Observation]:
        """What became of each entry that was told."""
        entries = self._state.entries
        found = (self.observation(entry) for entry in entries[entries["told"] > 0])
        return [replace(scan, final=True) for scan in found]

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start: entries."""
        return dict(zip(COUNTERS, self._state.counters.tolist(), strict=True))

    def told(
        self, detector: Detector, words: Words, entry: np.void, kind: Attempt, last: Endpoint
    ) -> Observation:
        """An entry as an observation. last: where it failed last."""
        state, failed, answered = self._state, int(entry["failed"]), int(entry["answered"])
        share = round(failed / (failed + answered), 3)
        return Observation(
            detector=detector,
            time=int(entry["active"]),
            first=int(entry["first"]),
            subject=None,
            source=Endpoint(address(entry, "src")),
            protocol=int(entry["protocol"]),
            kind=kind,
            figure=failed,
            attempts=failed + answered,
            severity=detector.severity,
            evidence=(
                Evidence(words.failed, failed, int(state.limits[1]), words.least),
                Evidence(words.answered, answered),
                Evidence("unanswered", share, float(state.shares[kind]), words.share),
                Evidence("duration_s", (int(entry["active"]) - int(entry["first"])) / 1e9),
            ),
            last_target=last,
            targets=(last,),
        )


@fused
def begin(entry: Record, row: Record, words: int) -> None:
    """Make an entry that of a row's source and destination."""
    entry.src_hi = row.src_hi
    entry.src_lo = row.src_lo
    entry.dst_hi = row.dst_hi
    entry.dst_lo = row.dst_lo
    entry.first = row.time
    entry.failed = entry.answered = entry.told = 0
    for word in range(2 * words):
        entry.tried[word] = 0


@fused
def ends(state: State, entry: Record, row: Record, place: np.uint64, words: int) -> bool:
    """Enter how an attempt at a place ended; whether the entry is to be told of."""
    entry.active = row.time
    # A clock may have been set back.
    entry.first = min(entry.first, row.time)
    if row.outcome == _ESTABLISHED:
        entry.answered += _is_new(entry, words, place, words)
        return False
    if not _is_new(entry, 0, place, words):
        return False
    entry.failed += 1
    entry.port = row.dst_port
    entry.place = place
    entry.protocol = row.protocol
    if entry.failed < max(state.limits[1], entry.told * _GROWTH):
        return False
    if entry.failed < state.shares[row.kind] * (entry.failed + entry.answered):
        return False
    entry.told = entry.failed
    return True


@fused
def _is_new(entry: Record, bitmap: int, place: np.uint64, words: int) -> bool:
    """Whether a place had not ended like that before; from now on it has. bitmap: its first
    word."""
    word = bitmap + np.int64(place >> _WORD_BITS & np.uint64(words - 1))
    before, bit = entry.tried[word], np.uint64(1) << (place & _BIT_MASK)
    entry.tried[word] = before | bit
    return bool(before & bit == 0)


def address(entry: np.void, side: str) -> bytes:
    """An address of an entry, of "src" or of "dst"."""
    return b"".join(int(entry[f"{side}_{half}"]).to_bytes(8, "big") for half in ("hi", "lo"))
