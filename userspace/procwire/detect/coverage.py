"""Dense coverage: how many addresses of one small network (a /24, or a /120 of IPv6) a source tried
in vain, in whatever order.

Strategy: per source and network what it tried (tried.py), in an open-addressing table where the
least recently touched gives way. What is kept of a network lies in two lines of the cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, lines_of, prefetch
from procwire.detect.detector import SEQUENTIAL
from procwire.detect.observation import Observation
from procwire.detect.row_hashes import HOST_BITS, home_of
from procwire.detect.slots import PROBED_LINES, PROBES, TAKEN, after, named, yielding
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
from procwire.event import Outcome
from procwire.record import Attempt, Endpoint
from procwire.settings import Settings

_WORDS = 4
_NETWORK = tried(_WORDS, ("kind", "u1"))
"""dst: of the network, its number in dst_lo."""
_NETWORK_LINES = lines_of(_NETWORK.itemsize)
_HOST_MASK = np.uint64(255)

_CONNECT, _DATAGRAM = int(Attempt.CONNECT), int(Attempt.DATAGRAM)
_WITHOUT_END = (int(Outcome.PENDING), int(Outcome.SENT), int(Outcome.ABORTED))


class Coverage(Tried):
    """Counts failed addresses per source and network, by rows that end a CONNECT or DATAGRAM."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        chosen, sweep = settings.coverage, settings.sweep
        shares = np.full(len(Attempt), sweep.unanswered)
        shares[_DATAGRAM] = sweep.mostly_unanswered
        limits = chosen.memory_ns, chosen.hosts
        super().__init__(_cover, chosen.networks, _NETWORK, limits, shares)

    def observation(self, entry: np.void) -> Observation:
        """What is handed on of a network."""
        kind = Attempt(int(entry["kind"]))
        share = "sweep.mostly_unanswered" if kind is Attempt.DATAGRAM else "sweep.unanswered"
        words = Words("failed_hosts_of_256", "coverage.hosts", "answering_hosts", share)
        # Without the upper byte of the number, which is 0.
        high, low = address(entry, "dst")[:8], address(entry, "dst")[9:]
        last = Endpoint(high + low + bytes([entry["place"]]), int(entry["port"]))
        return self.told(SEQUENTIAL, words, entry, kind, last)


@fused
def _slot(state: State, row: Record, name: np.uint64) -> Whole:
    """Slot of the row's source, network, of that name, and kind: its own, a free one, or the least
    recent one."""
    low, slot = row.dst_lo >> HOST_BITS, home_of(name, len(state.names))
    for _probe in range(PROBES):
        if state.names[slot] == name:
            network = state.entries[slot]
            if (
                network.dst_lo == low
                and network.dst_hi == row.dst_hi
                and network.src_lo == row.src_lo
                and network.src_hi == row.src_hi
                and network.kind == row.kind
            ):
                if row.time - network.active > state.limits[0]:
                    _begin(network, row)
                return slot
        if state.names[slot] == 0:
            break
        slot = after(state.names, slot)
    best = yielding(state.names, state.active, name)
    state.counters[0] += state.names[best] != 0
    state.names[best] = name
    _begin(state.entries[best], row)
    return best


@fused
def _look_ahead(state: State, name: np.uint64) -> None:
    """Ask for what is kept of a network, or of the one that will give way to it."""
    slot = named(state.names, name)
    if slot < 0:
        slot = yielding(state.names, state.active, name)
    prefetch(state.entries, slot, 0, _NETWORK_LINES)


@fused
def _begin(network: Record, row: Record) -> None:
    begin(network, row, _WORDS)
    network.dst_lo = row.dst_lo >> HOST_BITS
    network.kind = row.kind


@fused
def _counts(row: Record) -> bool:
    """Whether a row is the end of an attempt of a kind that counts."""
    return row.kind in (_CONNECT, _DATAGRAM) and row.outcome not in _WITHOUT_END


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
        if i + 2 * AHEAD < count and _counts(connections[i + 2 * AHEAD]):
            home = home_of(hashes[i + 2 * AHEAD].network | TAKEN, len(state.names))
            prefetch(state.names, home, 0, PROBED_LINES)
            prefetch(state.active, home, 0, PROBED_LINES)
        if i + AHEAD < count and _counts(connections[i + AHEAD]):
            _look_ahead(state, hashes[i + AHEAD].network | TAKEN)
        row = connections[i]
        if not _counts(row):
            continue
        slot = _slot(state, row, hashes[i].network | TAKEN)
        network, host = state.entries[slot], row.dst_lo & _HOST_MASK
        state.active[slot] = row.time
        if ends(state, network, row, host, _WORDS):
            reports[written] = network
            written += 1
    return written
