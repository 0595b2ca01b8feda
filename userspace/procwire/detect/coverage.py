"""Dense coverage: how many addresses of one small network (a /24, or a /120 of IPv6) a source tried
in vain, in whatever order.

Strategy: per source and network two bitmaps of 256 addresses, those that failed and those that
answered, in an open-addressing table where the least recently touched gives way. What is kept of a
network lies in two lines of the cache.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, lines_of, prefetch
from procwire.compiled.together import whole_lines, zeros_in_lines
from procwire.detect.detector import SEQUENTIAL
from procwire.detect.observation import Endpoint, Evidence, Observation
from procwire.detect.row_hashes import HOST_BITS, home_of, row_hashes
from procwire.detect.slots import PROBES, TAKEN, after, named, yielding
from procwire.event import Outcome
from procwire.record import Attempt
from procwire.settings import Settings

COUNTERS = ("evicted",)
"""Networks forgotten because the table was full around them."""

_WORDS = 4
_NETWORK = whole_lines(
    [
        ("src_hi", "u8"),
        ("src_lo", "u8"),
        ("hi", "u8"),
        ("lo", "u8"),
        ("active", "i8"),
        ("first", "i8"),
        ("failed", "u2"),
        ("answered", "u2"),
        ("told", "u2"),
        ("port", "u2"),
        ("protocol", "u1"),
        ("kind", "u1"),
        ("host", "u1"),
        ("tried", "u8", (2 * _WORDS,)),
    ]
)
"""tried: bitmaps, four words of what failed and four of what answered."""
_NETWORK_LINES = lines_of(_NETWORK.itemsize)
_GROWTH = 10
# The first words of the bitmaps.
_FAILED, _ANSWERED = 0, _WORDS
_HOST_MASK = np.uint64(255)
_WORD_BITS = np.uint64(6)
_BIT_MASK = np.uint64(63)

_CONNECT, _DATAGRAM = int(Attempt.CONNECT), int(Attempt.DATAGRAM)
_ESTABLISHED = int(Outcome.ESTABLISHED)
_WITHOUT_END = (int(Outcome.PENDING), int(Outcome.SENT), int(Outcome.ABORTED))

_Record: TypeAlias = Any
_Whole: TypeAlias = int | np.int64


class _State(NamedTuple):
    """names: uint64 (n,), a hash of each network, 0 for a free slot; active: int64 (n,), when it
    was last; networks: _NETWORK (n,); counters: as in COUNTERS; limits: int64, memory in ns and
    hosts; shares: float64, by Attempt, the least share that fails."""

    names: NDArray[np.uint64]
    active: NDArray[np.int64]
    networks: NDArray[np.void]
    counters: NDArray[np.int64]
    limits: NDArray[np.int64]
    shares: NDArray[np.float64]


class Coverage:
    """Counts failed addresses per source and network."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        chosen, sweep = settings.coverage, settings.sweep
        self._hosts = chosen.hosts
        shares = np.full(len(Attempt), sweep.unanswered)
        shares[_DATAGRAM] = sweep.mostly_unanswered
        self._state = _State(
            names=np.zeros(chosen.networks, np.uint64),
            active=np.zeros(chosen.networks, np.int64),
            networks=zeros_in_lines(chosen.networks, _NETWORK),
            counters=np.zeros(len(COUNTERS), np.int64),
            limits=np.array([chosen.memory_ns, chosen.hosts], np.int64),
            shares=shares,
        )

    def update(
        self, connections: NDArray[np.void], hashes: NDArray[np.void] | None = None
    ) -> list[Observation]:
        """The networks that `connections` show to be scanned, told again at tenfold failures.

        connections: record.CONNECTION (n,), in event time; rows that end a CONNECT or DATAGRAM
        count; hashes: row_hashes() of them.
        """
        if self._hosts == 0:
            return []
        reports = np.empty(len(connections), _NETWORK)
        if hashes is None:
            hashes = row_hashes(connections)
        count = _cover(self._state, connections, hashes, reports)
        return [self._observation(report) for report in reports[:count]]

    def totals(self) -> list[Observation]:
        """What became of each network that was told."""
        networks = self._state.networks
        found = (self._observation(network) for network in networks[networks["told"] > 0])
        return [replace(scan, final=True) for scan in found]

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._state.counters.tolist(), strict=True))

    def _observation(self, report: np.void) -> Observation:
        failed, answered = int(report["failed"]), int(report["answered"])
        source = int(report["src_hi"]).to_bytes(8, "big") + int(report["src_lo"]).to_bytes(8, "big")
        network = int(report["hi"]).to_bytes(8, "big") + int(report["lo"]).to_bytes(8, "big")[1:]
        kind = Attempt(int(report["kind"]))
        least = float(self._state.shares[kind])
        setting = "sweep.mostly_unanswered" if kind is Attempt.DATAGRAM else "sweep.unanswered"
        last = Endpoint(network + bytes([report["host"]]), int(report["port"]))
        return Observation(
            detector=SEQUENTIAL,
            time=int(report["active"]),
            first=int(report["first"]),
            subject=None,
            source=Endpoint(source),
            protocol=int(report["protocol"]),
            kind=kind,
            figure=failed,
            attempts=failed + answered,
            severity=SEQUENTIAL.severity,
            evidence=(
                Evidence("failed_hosts_of_256", failed, self._hosts, "coverage.hosts"),
                Evidence("answering_hosts", answered),
                Evidence("unanswered", round(failed / (failed + answered), 3), least, setting),
                Evidence("duration_s", (int(report["active"]) - int(report["first"])) / 1e9),
            ),
            last_target=last,
            targets=(last,),
        )


@fused
def _slot(state: _State, row: _Record, name: np.uint64) -> _Whole:
    """Slot of the row's source, network, of that name, and kind: its own, a free one, or the least
    recent one."""
    low, slot = row.dst_lo >> HOST_BITS, home_of(name, len(state.names))
    for _probe in range(PROBES):
        if state.names[slot] == name:
            network = state.networks[slot]
            if (
                network.lo == low
                and network.hi == row.dst_hi
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
    _begin(state.networks[best], row)
    return best


@fused
def _look_ahead(state: _State, name: np.uint64) -> None:
    """Ask for what is kept of a network, or of the one that will give way to it."""
    slot = named(state.names, name)
    if slot < 0:
        slot = yielding(state.names, state.active, name)
    prefetch(state.networks, slot, 0, _NETWORK_LINES)


@fused
def _begin(network: _Record, row: _Record) -> None:
    network.src_hi = row.src_hi
    network.src_lo = row.src_lo
    network.hi = row.dst_hi
    network.lo = row.dst_lo >> HOST_BITS
    network.kind = row.kind
    network.first = row.time
    network.failed = network.answered = network.told = 0
    for word in range(_ANSWERED + _WORDS):
        network.tried[word] = 0


@fused
def _is_new(network: _Record, bitmap: int, host: np.uint64) -> bool:
    """Whether the address had not ended like that before; from now on it has."""
    word, bit = bitmap + np.int64(host >> _WORD_BITS), np.uint64(1) << (host & _BIT_MASK)
    tried = network.tried[word]
    network.tried[word] = tried | bit
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
        if i + 2 * AHEAD < count:
            home = home_of(hashes[i + 2 * AHEAD].network | TAKEN, len(state.names))
            prefetch(state.names, home, 0, 1)
            prefetch(state.active, home, 0, 1)
        if i + AHEAD < count:
            _look_ahead(state, hashes[i + AHEAD].network | TAKEN)
        row = connections[i]
        if row.kind not in (_CONNECT, _DATAGRAM) or row.outcome in _WITHOUT_END:
            continue
        slot = _slot(state, row, hashes[i].network | TAKEN)
        network, host = state.networks[slot], row.dst_lo & _HOST_MASK
        network.active = state.active[slot] = row.time
        # A clock may have been set back.
        network.first = min(network.first, row.time)
        if row.outcome == _ESTABLISHED:
            network.answered += _is_new(network, _ANSWERED, host)
            continue
        if not _is_new(network, _FAILED, host):
            continue
        network.failed += 1
        network.port = row.dst_port
        network.protocol = row.protocol
        network.host = host
        if network.failed < max(state.limits[1], network.told * _GROWTH):
            continue
        if network.failed < state.shares[row.kind] * (network.failed + network.answered):
            continue
        network.told = network.failed
        reports[written] = network
        written += 1
    return written
