"""Ports of one host tried in vain, at any rate: a scan that takes a day shows like a fast one.

Strategy: per pair of source and destination two bitmaps of hashed ports, those that failed and
those that answered, in an open-addressing table where the least recently touched gives way. A pair
is entered by its first failure, and anew by the first after its memory; whether one is there is
asked of an array of hashes, eight to a line of the cache. Ports that share a bit count once, so
figures are never too high. Where an imported record does not tell what became of an attempt, one of
a system port (RFC 6335 6) counts as failed: data connections, of which there may be as many, use
others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, CACHE_LINE, lines_of, prefetch
from procwire.compiled.together import whole_lines, zeros_in_lines
from procwire.detect.detector import SLOW_PORTS
from procwire.detect.observation import Endpoint, Evidence, Observation
from procwire.detect.row_hashes import home_of, row_hashes
from procwire.detect.slots import PROBES, TAKEN, after, named, yielding
from procwire.event import Origin, Outcome
from procwire.record import Attempt
from procwire.settings import Settings

COUNTERS = ("evicted",)
"""Pairs forgotten because the table was full around them."""

_WORDS = 16
_PAIR = whole_lines(
    [
        ("src_hi", "u8"),
        ("src_lo", "u8"),
        ("dst_hi", "u8"),
        ("dst_lo", "u8"),
        ("active", "i8"),
        ("first", "i8"),
        ("failed", "u2"),
        ("answered", "u2"),
        ("told", "u2"),
        ("port", "u2"),
        ("protocol", "u1"),
        ("tried", "u8", (2 * _WORDS,)),
    ]
)
"""tried: bitmaps, words of what failed and as many of what answered."""
_PAIR_LINES = lines_of(_PAIR.itemsize)
# The bitmaps are the last of its lines.
_WORDS_OF_LINE = CACHE_LINE // 8
_FIRST_OF_BITMAPS = _PAIR_LINES - 2 * _WORDS // _WORDS_OF_LINE
_GROWTH = 10
# The first words of the bitmaps.
_FAILED, _ANSWERED = 0, _WORDS
_WORD_MASK = np.uint64(_WORDS - 1)
_WORD_BITS = np.uint64(6)
_BIT_MASK = np.uint64(63)

_CONNECT = int(Attempt.CONNECT)
_ESTABLISHED = int(Outcome.ESTABLISHED)
_SENT, _IMPORT = int(Outcome.SENT), int(Origin.IMPORT)
_WITHOUT_END = (int(Outcome.PENDING), int(Outcome.ABORTED))
_SYSTEM_PORTS = 1024

_Record: TypeAlias = Any
_Whole: TypeAlias = int | np.int64


class _State(NamedTuple):
    """hashes: uint64 (n,), of each pair, 0 for a free slot; active: int64 (n,), when it was last;
    pairs: _PAIR (n,); counters: as in COUNTERS; limits: int64, memory in ns and ports; share:
    float64 (1,), the least that fails."""

    hashes: NDArray[np.uint64]
    active: NDArray[np.int64]
    pairs: NDArray[np.void]
    counters: NDArray[np.int64]
    limits: NDArray[np.int64]
    share: NDArray[np.float64]


class PortCoverage:
    """Counts failed ports per source and destination."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        chosen = settings.port_coverage
        # Kept, because fresh pages cost more than the kernel.
        self._reports = np.empty(0, _PAIR)
        self._ports, self._share = chosen.ports, settings.sweep.unanswered
        self._state = _State(
            hashes=np.zeros(chosen.pairs, np.uint64),
            active=np.zeros(chosen.pairs, np.int64),
            pairs=zeros_in_lines(chosen.pairs, _PAIR),
            counters=np.zeros(len(COUNTERS), np.int64),
            limits=np.array([chosen.memory_ns, chosen.ports], np.int64),
            share=np.array([self._share]),
        )

    def update(
        self, connections: NDArray[np.void], hashes: NDArray[np.void] | None = None
    ) -> list[Observation]:
        """The pairs that `connections` show to be scans, told again at tenfold failures.

        connections: record.CONNECTION (n,), in event time; rows that end a CONNECT count; hashes:
        row_hashes() of them.
        """
        if self._ports == 0:
            return []
        if len(self._reports) < len(connections):
            self._reports = np.empty(len(connections), _PAIR)
        if hashes is None:
            hashes = row_hashes(connections)
        count = _cover(self._state, connections, hashes, self._reports)
        return [self._observation(report) for report in self._reports[:count]]

    def totals(self) -> list[Observation]:
        """What became of each pair that was told."""
        pairs = self._state.pairs
        found = (self._observation(pair) for pair in pairs[pairs["told"] > 0])
        return [replace(scan, final=True) for scan in found]

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._state.counters.tolist(), strict=True))

    def _observation(self, report: np.void) -> Observation:
        failed, answered = int(report["failed"]), int(report["answered"])
        last = Endpoint(_address(report, "dst"), int(report["port"]))
        return Observation(
            detector=SLOW_PORTS,
            time=int(report["active"]),
            first=int(report["first"]),
            subject=None,
            source=Endpoint(_address(report, "src")),
            protocol=int(report["protocol"]),
            kind=Attempt.CONNECT,
            figure=failed,
            attempts=failed + answered,
            severity=SLOW_PORTS.severity,
            evidence=(
                Evidence("unanswered_ports", failed, self._ports, "port_coverage.ports"),
                Evidence("answering_ports", answered),
                Evidence(
                    "unanswered",
                    round(failed / (failed + answered), 3),
                    self._share,
                    "sweep.unanswered",
                ),
                Evidence("duration_s", (int(report["active"]) - int(report["first"])) / 1e9),
            ),
            last_target=last,
            targets=(last,),
        )


def _address(pair: np.void, side: str) -> bytes:
    return b"".join(int(pair[f"{side}_{half}"]).to_bytes(8, "big") for half in ("hi", "lo"))


@fused
def _known(state: _State, name: np.uint64, row: _Record) -> _Whole:
    """Slot of the row's pair, -1 where it has none."""
    slot = home_of(name, len(state.hashes))
    for _probe in range(PROBES):
        if state.hashes[slot] == name:
            pair = state.pairs[slot]
            if (
                pair.dst_lo == row.dst_lo
                and pair.src_lo == row.src_lo
                and pair.dst_hi == row.dst_hi
                and pair.src_hi == row.src_hi
            ):
                return slot
        if state.hashes[slot] == 0:
            break
        slot = after(state.hashes, slot)
    return -1


@fused
def _enter(state: _State, name: np.uint64, row: _Record) -> _Whole:
    """A slot for the row's pair, made its own."""
    best = yielding(state.hashes, state.active, name)
    state.counters[0] += state.hashes[best] != 0
    state.hashes[best] = name
    _begin(state.pairs[best], row)
    return best


@fused
def _look_ahead(state: _State, row: _Record, name: np.uint64) -> None:
    """Ask for what is kept of a row's pair, or of the one that will give way to it."""
    slot = named(state.hashes, name)
    if slot < 0:
        prefetch(state.pairs, yielding(state.hashes, state.active, name), 0, _PAIR_LINES)
        return
    word = np.int64(np.uint64(row.dst_port) >> _WORD_BITS & _WORD_MASK)
    prefetch(state.pairs, slot, 0, 1)
    prefetch(state.pairs, slot, _FIRST_OF_BITMAPS + word // _WORDS_OF_LINE, 1)


@fused
def _begin(pair: _Record, row: _Record) -> None:
    pair.src_hi = row.src_hi
    pair.src_lo = row.src_lo
    pair.dst_hi = row.dst_hi
    pair.dst_lo = row.dst_lo
    pair.first = row.time
    pair.failed = pair.answered = pair.told = 0
    for word in range(2 * _WORDS):
        pair.tried[word] = 0


@fused
def _is_new(pair: _Record, bitmap: int, port: np.uint64) -> bool:
    """Whether the port had not ended like that before; from now on it has."""
    word = bitmap + np.int64(port >> _WORD_BITS & _WORD_MASK)
    tried, bit = pair.tried[word], np.uint64(1) << (port & _BIT_MASK)
    pair.tried[word] = tried | bit
    return bool(tried & bit == 0)


@kernel
def _cover(
    state: _State,
    connections: NDArray[np.void],
    hashes: NDArray[np.void],
    reports: NDArray[np.void],
) -> int:
    """Enter the ends among record.CONNECTION rows; the number of reports written."""
    written, count = 0, len(connections)
    for i in range(count):
        if i + AHEAD < count and connections[i + AHEAD].outcome != _ESTABLISHED:
            _look_ahead(state, connections[i + AHEAD], hashes[i + AHEAD].pair | TAKEN)
        row = connections[i]
        if row.kind != _CONNECT or row.outcome in _WITHOUT_END:
            continue
        if row.outcome == _SENT and (row.origin != _IMPORT or row.dst_port >= _SYSTEM_PORTS):
            continue
        name = hashes[i].pair | TAKEN
        slot = _known(state, name, row)
        answered = row.outcome == _ESTABLISHED
        is_over = slot >= 0 and row.time - state.pairs[slot].active > state.limits[0]
        if answered and (slot < 0 or is_over):
            continue
        if slot < 0:
            slot = _enter(state, name, row)
        pair = state.pairs[slot]
        if is_over:
            _begin(pair, row)
        pair.active = state.active[slot] = row.time
        # A clock may have been set back.
        pair.first = min(pair.first, row.time)
        if answered:
            pair.answered += _is_new(pair, _ANSWERED, np.uint64(row.dst_port))
            continue
        if not _is_new(pair, _FAILED, np.uint64(row.dst_port)):
            continue
        pair.failed += 1
        pair.port = row.dst_port
        pair.protocol = row.protocol
        if pair.failed < max(state.limits[1], pair.told * _GROWTH):
            continue
        if pair.failed < state.share[0] * (pair.failed + pair.answered):
            continue
        pair.told = pair.failed
        reports[written] = pair
        written += 1
    return written
