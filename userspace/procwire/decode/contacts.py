"""First contacts on the wire: which TCP connections were tried, and how each attempt ended.

Strategy: a fixed-size open-addressing table keyed by the 4-tuple, probed over a few slots only, and
a ring of the open attempts in order of time, whose head is the next to time out. Rows depend on the
packets alone, never on where one batch ends and the next begins.

Only a SYN gives a direction. A SYN-ACK or RST that answers nothing (backscatter of someone else's
scan, or a connection that is older than the capture) yields no row and makes nobody a scanner.
Destination unreachable messages are not read: the quoted header is not among the columns, so such
an attempt ends as timed out.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.decode.columns import Packets
from procwire.decode.mix import mix64, mix_address
from procwire.errors import UsageError
from procwire.event import Origin, Outcome
from procwire.jit import fused, kernel
from procwire.record import CONNECTION

COUNTERS = ("attempts", "established", "refused", "timed_out", "evicted", "overflow")
"""evicted: open attempts displaced from a full neighbourhood of the table; overflow: open attempts
dropped from a full ring. Of both kinds the outcome is not seen any more, the attempt was."""

_ENTRY = np.dtype(
    [
        ("time", "i8"),
        ("src_hi", "u8"),
        ("src_lo", "u8"),
        ("dst_hi", "u8"),
        ("dst_lo", "u8"),
        ("seq", "u4"),
        ("src_port", "u2"),
        ("dst_port", "u2"),
        ("state", "u1"),
    ],
    align=True,
)
_FREE, _OPEN, _ENDED = 0, 1, 2

# One element of a structured array: mypy cannot see the fields that numba reads as attributes.
_Record: TypeAlias = Any
_Slot: TypeAlias = int | np.int64

_WAITING = np.dtype([("time", "i8"), ("slot", "i8")])

# Slots of the clock-and-ring state, an int64 array; the counters follow.
_CLOCK, _HEAD, _WAITING_COUNT, _TIMEOUT, _COUNTERS_FROM = 0, 1, 2, 3, 4
_ATTEMPTS, _ESTABLISHED, _REFUSED, _TIMED_OUT, _EVICTED, _OVERFLOW = range(
    _COUNTERS_FROM, _COUNTERS_FROM + len(COUNTERS)
)

_PROBES = 8

_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_TCP = layers.TCP
_WIRE = int(Origin.WIRE)
_PENDING = int(Outcome.PENDING)
_OUTCOME_ESTABLISHED = int(Outcome.ESTABLISHED)
_OUTCOME_REFUSED = int(Outcome.REFUSED)
_OUTCOME_TIMED_OUT = int(Outcome.TIMED_OUT)
_PROTOCOL_TCP = 6
_MAPPED_PREFIX = np.uint64(0xFFFF)
_HALF = np.uint64(32)
_PORT_SHIFT = np.uint64(16)


class _Table(NamedTuple):
    """entries: _ENTRY (capacity,), a power of two; waiting: _WAITING (capacity,), a ring; state:
    int64, see the slot numbers above; wanted: _ENTRY (1,), what is looked for."""

    entries: NDArray[np.void]
    waiting: NDArray[np.void]
    state: NDArray[np.int64]
    wanted: NDArray[np.void]


class Contacts:
    """Tracks TCP attempts over any number of batches.

    capacity: attempts remembered, a power of two; timeout_ns: an attempt unanswered for so long (in
    the packets' own time) has timed out.
    """

    def __init__(self, capacity: int = 1 << 18, timeout_ns: int = 60_000_000_000) -> None:
        if capacity < _PROBES or capacity & (capacity - 1):
            raise UsageError(
                f"contacts.capacity is {capacity}: give a power of two, at least {_PROBES}"
            )
        if timeout_ns <= 0:
            raise UsageError(f"contacts.timeout_ns is {timeout_ns}: give a positive duration")
        self._table = _Table(
            np.zeros(capacity, _ENTRY),
            np.zeros(capacity, _WAITING),
            np.zeros(_COUNTERS_FROM + len(COUNTERS), np.int64),
            np.zeros(1, _ENTRY),
        )
        self._table.state[_TIMEOUT] = timeout_ns

    def update(self, packets: Packets, times: NDArray[np.int64]) -> NDArray[np.void]:
        """Rows of CONNECTION, in event time, that `packets` (n rows) give rise to.

        times: int64 (n,), ns since the epoch. An attempt is a row with outcome pending; its end is
        a second row with the attempt's addresses and the time of the end. Time never runs backwards
        in the rows, unless the capture's clock steps back by more than the timeout.
        """
        if len(times) != len(packets.transport):
            raise ValueError(f"{len(times)} times for {len(packets.transport)} packets")
        # Every packet opens or ends at most one attempt; every open one may time out once.
        rows = np.zeros(2 * len(times) + int(self._table.state[_WAITING_COUNT]), CONNECTION)
        return rows[: _track(self._table, packets, times, rows)]

    def flush(self) -> NDArray[np.void]:
        """End of the input: what still waits cannot be answered any more and has timed out.

        The rows carry the time of the last packet, or the earlier time at which the attempt was
        due."""
        rows = np.zeros(int(self._table.state[_WAITING_COUNT]), CONNECTION)
        clock = self._table.state[_CLOCK]
        count = _expire(self._table, np.iinfo(np.int64).max, rows, 0)
        rows = rows[:count]
        rows["time"] = np.minimum(rows["time"], clock)
        return rows

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        values = self._table.state[_COUNTERS_FROM:]
        return dict(zip(COUNTERS, values.tolist(), strict=True))


@fused
def _write(row: _Record, entry: _Record, time: int, outcome: int) -> None:
    row.time = time
    row.src_hi = entry.src_hi
    row.src_lo = entry.src_lo
    row.dst_hi = entry.dst_hi
    row.dst_lo = entry.dst_lo
    row.src_port = entry.src_port
    row.dst_port = entry.dst_port
    row.protocol = _PROTOCOL_TCP
    row.origin = _WIRE
    row.outcome = outcome
    mapped = entry.dst_hi == 0 and entry.dst_lo >> _HALF == _MAPPED_PREFIX
    row.family = 4 if mapped else 6


@fused
def _home(entry: _Record) -> np.uint64:
    """Hash of the 4-tuple."""
    ports = (np.uint64(entry.src_port) << _PORT_SHIFT) | np.uint64(entry.dst_port)
    source = mix_address(entry.src_hi, entry.src_lo)
    return mix64(mix64(mix64(source ^ entry.dst_hi) ^ entry.dst_lo) ^ ports)


@fused
def _find(entries: NDArray[np.void], wanted: _Record) -> _Slot:
    """Slot of the entry with the 4-tuple of `wanted`, or -1."""
    mask = len(entries) - 1
    home = np.int64(_home(wanted) & np.uint64(mask))
    for probe in range(_PROBES):
        slot = (home + probe) & mask
        entry = entries[slot]
        if (
            entry.state != _FREE
            and entry.dst_lo == wanted.dst_lo
            and entry.src_lo == wanted.src_lo
            and entry.src_port == wanted.src_port
            and entry.dst_port == wanted.dst_port
            and entry.dst_hi == wanted.dst_hi
            and entry.src_hi == wanted.src_hi
        ):
            return slot
    return -1


@fused
def _place(entries: NDArray[np.void], wanted: _Record) -> _Slot:
    """Slot for a new entry: a free one, else the oldest ended attempt, else the oldest open one."""
    mask = len(entries) - 1
    home = np.int64(_home(wanted) & np.uint64(mask))
    best = home
    for probe in range(_PROBES):
        slot = (home + probe) & mask
        entry = entries[slot]
        if entry.state == _FREE:
            return slot
        if entry.state == entries[best].state:
            if entry.time < entries[best].time:
                best = slot
        elif entry.state == _ENDED:
            best = slot
    return best


@kernel
def _expire(table: _Table, now: int, rows: NDArray[np.void], count: int) -> int:
    """Write a timed_out row for each open attempt due at `now`; the number of rows after that."""
    entries, waiting, state = table.entries, table.waiting, table.state
    while state[_WAITING_COUNT] > 0:
        head = waiting[state[_HEAD]]
        if head.time > now - state[_TIMEOUT]:
            break
        state[_HEAD] = (state[_HEAD] + 1) & (len(waiting) - 1)
        state[_WAITING_COUNT] -= 1
        entry = entries[head.slot]
        if entry.state == _OPEN and entry.time == head.time:
            entry.state = _ENDED
            _write(rows[count], entry, entry.time + state[_TIMEOUT], _OUTCOME_TIMED_OUT)
            count += 1
            state[_TIMED_OUT] += 1
    return count


@kernel
def _await_answer(table: _Table, slot: _Slot, time: int) -> None:
    """Append to the ring. A full ring gives up on its head."""
    entries, waiting, state = table.entries, table.waiting, table.state
    mask = len(waiting) - 1
    if state[_WAITING_COUNT] == len(waiting):
        head = waiting[state[_HEAD]]
        entry = entries[head.slot]
        if entry.state == _OPEN and entry.time == head.time:
            entry.state = _ENDED
            state[_OVERFLOW] += 1
        state[_HEAD] = (state[_HEAD] + 1) & mask
        state[_WAITING_COUNT] -= 1
    tail = (state[_HEAD] + state[_WAITING_COUNT]) & mask
    waiting[tail].time = time
    waiting[tail].slot = slot
    state[_WAITING_COUNT] += 1


@kernel
def _track(
    table: _Table, packets: Packets, times: NDArray[np.int64], rows: NDArray[np.void]
) -> int:
    """Run the packets through the table; the number of rows written."""
    entries, state = table.entries, table.state
    wanted = table.wanted[0]
    count = 0
    for i in range(len(times)):
        if times[i] > state[_CLOCK] or times[i] < state[_CLOCK] - state[_TIMEOUT]:
            state[_CLOCK] = times[i]
        count = _expire(table, state[_CLOCK], rows, count)
        flags = packets.tcp_flags[i] & (_FIN | _SYN | _RST | _ACK)
        if packets.transport[i] != _TCP or flags & (_SYN | _RST) == 0:
            continue
        attempt = flags & (_ACK | _RST) == 0
        wanted.src_hi = packets.src_hi[i] if attempt else packets.dst_hi[i]
        wanted.src_lo = packets.src_lo[i] if attempt else packets.dst_lo[i]
        wanted.dst_hi = packets.dst_hi[i] if attempt else packets.src_hi[i]
        wanted.dst_lo = packets.dst_lo[i] if attempt else packets.src_lo[i]
        wanted.src_port = packets.src_port[i] if attempt else packets.dst_port[i]
        wanted.dst_port = packets.dst_port[i] if attempt else packets.src_port[i]
        slot = _find(entries, wanted)
        if attempt:
            # A SYN to a peer that is still to answer, or with the sequence number of the attempt
            # that ended, is a retransmission. Another number after the end is a new connection.
            if slot >= 0 and (entries[slot].state == _OPEN or entries[slot].seq == packets.seq[i]):
                continue
            if slot < 0:
                slot = _place(entries, wanted)
                if entries[slot].state == _OPEN:
                    state[_EVICTED] += 1
            wanted.time = state[_CLOCK]
            wanted.seq = packets.seq[i]
            wanted.state = _OPEN
            entries[slot] = wanted
            _await_answer(table, slot, state[_CLOCK])
            _write(rows[count], wanted, state[_CLOCK], _PENDING)
            state[_ATTEMPTS] += 1
            count += 1
        elif slot >= 0 and entries[slot].state == _OPEN:
            refused = flags & _RST != 0
            entries[slot].state = _ENDED
            outcome = _OUTCOME_REFUSED if refused else _OUTCOME_ESTABLISHED
            _write(rows[count], entries[slot], state[_CLOCK], outcome)
            state[_REFUSED if refused else _ESTABLISHED] += 1
            count += 1
    return count
