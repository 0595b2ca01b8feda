"""Ports of one host tried in vain, at any rate: a scan that takes a day shows like a fast one.

Strategy: per pair of source and destination what was tried of hashed ports (tried.py), in an
open-addressing table where the least recently touched gives way. A pair is entered by its first
failure, and anew by the first after its memory; whether one is there is asked of an array of
hashes, eight to a line of the cache. Ports that share a bit count once, so figures are never too
high. Where an imported record does not tell what became of an attempt, one of a system port (RFC
6335 6) counts as failed: data connections, of which there may be as many, use others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, CACHE_LINE, lines_of, prefetch
from procwire.detect.detector import SLOW_PORTS
from procwire.detect.observation import Observation
from procwire.detect.row_hashes import home_of
from procwire.detect.slots import PROBES, TAKEN, after, named, yielding
from procwire.detect.tried import (
    Record,
    State,
    Tried,
    Whole,
    Words,
    address,
    begin,
    ends,
    tried,
)
from procwire.event import Origin, Outcome
from procwire.record import Attempt, Endpoint
from procwire.settings import Settings

_WORDS = 16
_PAIR = tried(_WORDS)
_PAIR_LINES = lines_of(_PAIR.itemsize)
# The bitmaps are the last of its lines.
_WORDS_OF_LINE = CACHE_LINE // 8
_FIRST_OF_BITMAPS = _PAIR_LINES - 2 * _WORDS // _WORDS_OF_LINE
_WORD_MASK = np.uint64(_WORDS - 1)
_WORD_BITS = np.uint64(6)
_TOLD = Words("unanswered_ports", "port_coverage.ports", "answering_ports", "sweep.unanswered")

_CONNECT = int(Attempt.CONNECT)
_ESTABLISHED = int(Outcome.ESTABLISHED)
_SENT, _IMPORT = int(Outcome.SENT), int(Origin.IMPORT)
_WITHOUT_END = (int(Outcome.PENDING), int(Outcome.ABORTED))
_SYSTEM_PORTS = 1024


class PortCoverage(Tried):
    """Counts failed ports per source and destination, by rows that end a CONNECT."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        chosen = settings.port_coverage
        limits = chosen.memory_ns, chosen.ports
        shares = np.full(len(Attempt), settings.sweep.unanswered)
        super().__init__(_cover, chosen.pairs, _PAIR, limits, shares)

    def observation(self, entry: np.void) -> Observation:
        """What is handed on of a pair."""
        last = Endpoint(address(entry, "dst"), int(entry["port"]))
        return self.told(SLOW_PORTS, _TOLD, entry, Attempt.CONNECT, last)


@fused
def _known(state: State, name: np.uint64, row: Record) -> Whole:
    """Slot of the row's pair, -1 where it has none."""
    slot = home_of(name, len(state.names))
    for _probe in range(PROBES):
        if state.names[slot] == name:
            pair = state.entries[slot]
            if (
                pair.dst_lo == row.dst_lo
                and pair.src_lo == row.src_lo
                and pair.dst_hi == row.dst_hi
                and pair.src_hi == row.src_hi
            ):
                return slot
        if state.names[slot] == 0:
            break
        slot = after(state.names, slot)
    return -1


@fused
def _enter(state: State, name: np.uint64, row: Record) -> Whole:
    """A slot for the row's pair, made its own."""
    best = yielding(state.names, state.active, name)
    state.counters[0] += state.names[best] != 0
    state.names[best] = name
    begin(state.entries[best], row, _WORDS)
    return best


@fused
def _look_ahead(state: State, row: Record, name: np.uint64) -> None:
    """Ask for what is kept of a row's pair, or of the one that will give way to it."""
    slot = named(state.names, name)
    if slot < 0:
        prefetch(state.entries, yielding(state.names, state.active, name), 0, _PAIR_LINES)
        return
    word = np.int64(np.uint64(row.dst_port) >> _WORD_BITS & _WORD_MASK)
    prefetch(state.entries, slot, 0, 1)
    prefetch(state.entries, slot, _FIRST_OF_BITMAPS + word // _WORDS_OF_LINE, 1)


@fused
def _may_fail(row: Record) -> bool:
    """Whether a row may be the end of a connection that failed."""
    return row.kind == _CONNECT and row.outcome != _ESTABLISHED and row.outcome not in _WITHOUT_END


@kernel
def _cover(
    state: State,
    connections: NDArray[np.void],
    hashes: NDArray[np.void],
    reports: NDArray[np.void],
) -> int:
    """Enter the ends among record.CONNECTION rows; the number of reports written."""
    written, count = 0, len(connections)
    for i in range(count):
        if i + AHEAD < count and _may_fail(connections[i + AHEAD]):
            _look_ahead(state, connections[i + AHEAD], hashes[i + AHEAD].pair | TAKEN)
        row = connections[i]
        if row.kind != _CONNECT or row.outcome in _WITHOUT_END:
            continue
        if row.outcome == _SENT and (row.origin != _IMPORT or row.dst_port >= _SYSTEM_PORTS):
            continue
        name = hashes[i].pair | TAKEN
        slot = _known(state, name, row)
        answered = row.outcome == _ESTABLISHED
        is_over = slot >= 0 and row.time - state.entries[slot].active > state.limits[0]
        if answered and (slot < 0 or is_over):
            continue
        if slot < 0:
            slot = _enter(state, name, row)
        pair = state.entries[slot]
        if is_over:
            begin(pair, row, _WORDS)
        state.active[slot] = row.time
        if ends(state, pair, row, np.uint64(row.dst_port), _WORDS):
            reports[written] = pair
            written += 1
    return written
