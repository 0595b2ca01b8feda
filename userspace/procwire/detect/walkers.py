"""How first contacts move sources' likelihood ratios of being scanners, as kernels.

Bounded: sources live in an open-addressing table where the least recently active gives way; known
pairs are fingerprints, of which a later one displaces an earlier one.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, lines_of, prefetch
from procwire.detect.fanout_state import TARGET
from procwire.detect.row_hashes import home_of
from procwire.event import SAMPLE_TARGETS, Outcome
from procwire.record import Attempt

COUNTERS = ("first_contacts", "evicted")
"""evicted: sources forgotten with their walk because the table was full around them."""

# risen: by what failures moved the walk in all.
WALKER = np.dtype(
    [
        ("hi", "u8"),
        ("lo", "u8"),
        ("active", "i8"),
        ("first", "i8"),
        ("walk", "f8"),
        ("risen", "f8"),
        ("failed", "i8"),
        ("succeeded", "i8"),
        ("told", "i8"),
        ("told_at", "i8"),
        ("used", "u1"),
    ],
    align=True,
)
REPORT = np.dtype([("time", "i8"), ("walker", WALKER), ("last", TARGET), ("goes_on", "u1")])
KNOWN = 1 << 18
"""Pairs of hosts that are known to have met."""
_WALKER_LINES = lines_of(WALKER.itemsize)
_PROBES = 8
_GROWTH = 10
# Of sums of steps.
_ROUNDING = 1e-6

_CONNECT = int(Attempt.CONNECT)
_ESTABLISHED = int(Outcome.ESTABLISHED)
_WITHOUT_END = (int(Outcome.PENDING), int(Outcome.SENT), int(Outcome.ABORTED))
_KNOWN_MASK = np.uint64(KNOWN - 1)
_HALF = np.uint64(32)
_TAKEN = np.uint32(1)
# What of an address tells one provider's, or one company's, network from another's.
_NETWORK_OF_IPV4, _NETWORK_OF_IPV6 = np.uint64(16), np.uint64(32)

_Record: TypeAlias = Any
_Whole: TypeAlias = int | np.int64


class State(NamedTuple):
    """walkers: WALKER (sources,); samples: TARGET (sources, 8), of failed contacts; known: uint32
    (KNOWN,); counters: as in COUNTERS; steps: float64, what a success and a failure add, where the
    walk ends, below and above, and what a failure in a network of its own adds; limits: int64,
    memory in ns, hosts, and the time in ns after which it is said that a source goes on."""

    walkers: NDArray[np.void]
    samples: NDArray[np.void]
    known: NDArray[np.uint32]
    counters: NDArray[np.int64]
    steps: NDArray[np.float64]
    limits: NDArray[np.int64]


@fused
def _fingerprint(pair: np.uint64) -> np.uint32:
    return np.uint32(pair >> _HALF) | _TAKEN


@fused
def _is_known(known: NDArray[np.uint32], pair: np.uint64) -> bool:
    """Whether the pair of hosts was contacted before; from now on it was."""
    place, fingerprint = np.int64(pair & _KNOWN_MASK), _fingerprint(pair)
    if known[place] == fingerprint:
        return True
    known[place] = fingerprint
    return False


@fused
def _walker(state: State, row: _Record, source: np.uint64) -> _Whole:
    """Slot of the row's source, of that hash: its own, a free one, or that of the least recently
    active."""
    walkers = state.walkers
    slot = best = home_of(source, len(walkers))
    for _probe in range(_PROBES):
        walker = walkers[slot]
        if walker.used and walker.hi == row.src_hi and walker.lo == row.src_lo:
            if row.time - walker.active > state.limits[0]:
                _begin(walker, row)
            walker.active = row.time
            return slot
        if walkers[best].used and (not walker.used or walker.active < walkers[best].active):
            best = slot
        slot += 1
        if slot == len(walkers):
            slot = 0
    state.counters[1] += walkers[best].used
    _begin(walkers[best], row)
    return best


@fused
def _begin(walker: _Record, row: _Record) -> None:
    walker.hi, walker.lo = row.src_hi, row.src_lo
    walker.active = walker.first = row.time
    walker.walk = walker.risen = 0.0
    walker.failed = walker.succeeded = walker.told = walker.told_at = 0
    walker.used = 1


@fused
def _is_near(state: State, slot: _Whole, row: _Record) -> bool:
    """Whether the row's network, a /16 or a /32 of IPv6, is one of those that failed of late."""
    hi, lo = row.dst_hi >> _NETWORK_OF_IPV6, row.dst_lo >> _NETWORK_OF_IPV4
    for place in range(min(state.walkers[slot].failed, SAMPLE_TARGETS)):
        target = state.samples[slot, place]
        if target.hi >> _NETWORK_OF_IPV6 == hi and (hi or target.lo >> _NETWORK_OF_IPV4 == lo):
            return True
    return False


@fused
def _point(target: _Record, row: _Record) -> None:
    target.hi, target.lo = row.dst_hi, row.dst_lo
    target.port, target.protocol = row.dst_port, row.protocol


@fused
def _counts(row: _Record) -> bool:
    """Whether a row is the end of a connection."""
    return row.kind == _CONNECT and row.outcome not in _WITHOUT_END


@kernel
def walk(
    state: State,
    connections: NDArray[np.void],
    hashes: NDArray[np.void],
    reports: NDArray[np.void],
    samples: NDArray[np.void],
) -> int:
    """Enter the ends among record.CONNECTION rows; the number of reports written."""
    written, count = 0, len(connections)
    for i in range(count):
        if i + 2 * AHEAD < count and _counts(connections[i + 2 * AHEAD]):
            ahead = hashes[i + 2 * AHEAD]
            prefetch(state.known, np.int64(ahead.pair & _KNOWN_MASK), 0, 1)
        if i + AHEAD < count and _counts(connections[i + AHEAD]):
            ahead = hashes[i + AHEAD]
            # Most pairs have met before.
            if state.known[np.int64(ahead.pair & _KNOWN_MASK)] != _fingerprint(ahead.pair):
                home = home_of(ahead.source, len(state.walkers))
                prefetch(state.walkers, home, 0, _WALKER_LINES)
        row = connections[i]
        if not _counts(row):
            continue
        if _is_known(state.known, hashes[i].pair):
            continue
        state.counters[0] += 1
        slot = _walker(state, row, hashes[i].source)
        walker = state.walkers[slot]
        if row.outcome == _ESTABLISHED:
            walker.succeeded += 1
            walker.walk = max(walker.walk + state.steps[0], state.steps[2])
            continue
        step = state.steps[1 if _is_near(state, slot, row) else 4]
        _point(state.samples[slot, walker.failed % SAMPLE_TARGETS], row)
        walker.failed += 1
        walker.risen += step
        walker.walk = min(walker.walk + step, state.steps[3])
        grown = walker.failed >= max(state.limits[1], walker.told * _GROWTH)
        goes_on = walker.told > 0 and row.time - walker.told_at >= state.limits[2]
        # Who mostly succeeds has lost the network, or a server. Failures end later than successes:
        # of what was begun at once they come last.
        if walker.walk < state.steps[3] or not (grown or goes_on):
            continue
        if walker.risen < -state.steps[0] * walker.succeeded - _ROUNDING:
            continue
        if grown:
            walker.told = walker.failed
        walker.told_at = row.time
        report = reports[written]
        report.time = row.time
        report.goes_on = not grown
        report.walker = walker
        _point(report.last, row)
        for place in range(SAMPLE_TARGETS):
            samples[written, place] = state.samples[slot, place]
        written += 1
    return written
