"""The memory of first contacts: who asked whom, what still waits for an answer, and which flows
need no further look.

Strategy: a fixed-size open-addressing table keyed by protocol and 4-tuple, probed over a few slots
only, by an array of hashes that lie in one line of the cache; one ring of the open attempts per
waiting time, in order of time, whose head is the next to time out; and in front of both a small
table of flow fingerprints, which spares most packets the search.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.aligned_records import whole_lines, zeros_in_lines
from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, prefetch
from procwire.decode.flow_hash import end_hash, flow_hash
from procwire.decode.unseen_answers import no_answers, tells_nothing
from procwire.event import Origin, Outcome
from procwire.record import Attempt

COUNTERS = (
    "attempts",
    "established",
    "refused",
    "timed_out",
    "unreachable",
    "evicted",
    "overflow",
    "one_sided",
)
"""The first five by outcome, an attempt being pending. evicted: open attempts displaced from a full
neighbourhood of the table; overflow: open attempts dropped from a full ring; one_sided: open
attempts of sources whose answers are not captured (unseen_answers.py). Of all three the outcome is
not seen any more, the attempt was."""

ENTRY = whole_lines(
    [
        ("time", "i8"),
        ("src_hi", "u8"),
        ("src_lo", "u8"),
        ("dst_hi", "u8"),
        ("dst_lo", "u8"),
        ("seq", "u4"),
        ("src_port", "u2"),
        ("dst_port", "u2"),
        ("protocol", "u1"),
        ("kind", "u1"),
        ("tcp_flags", "u1"),
        ("state", "u1"),
        ("sent", "u1"),
    ]
)
"""seq: of a SYN its sequence number, of other segments what they acknowledge; sent: datagrams of an
open attempt, as far as unseen_answers.py counts them."""
OPEN, ENDED = 1, 2

WAITING = np.dtype([("time", "i8"), ("slot", "i8")])
RINGS = 2
CONNECTS, PROBES = 0, 1
"""Rings: of SYNs, whose answer may have to be asked for again, and of all other kinds."""

# Slots of the state, an int64 array: the clock; a time before which no attempt is due; head, length
# and waiting time of each ring; the counters.
CLOCK, DUE = 0, 1
HEAD, LENGTH, TIMEOUT = 2, 2 + RINGS, 2 + 2 * RINGS
COUNTERS_FROM = 2 + 3 * RINGS
EVICTED, OVERFLOW, ONE_SIDED = range(COUNTERS_FROM + 5, COUNTERS_FROM + len(COUNTERS))

NEIGHBOURHOOD = 8
FLOWS = 1 << 16

_NEVER = 2**63 - 1
_FLOW_MASK = np.uint64(FLOWS - 1)
_TAKEN = np.uint32(1)
_WIRE = int(Origin.WIRE)
_CONNECT = int(Attempt.CONNECT)
_TIMED_OUT = int(Outcome.TIMED_OUT)
_MAPPED_PREFIX = np.uint64(0xFFFF)
_HALF = np.uint64(32)
_HOME_SHIFT = np.uint64(16)

# One element of a structured array: mypy cannot see the fields that numba reads as attributes.
Record: TypeAlias = Any
Slot: TypeAlias = int | np.int64


class Table(NamedTuple):
    """entries: ENTRY (capacity,), a power of two; tags: uint32 (capacity,), a part of each entry's
    hash, 0 where there is none; waiting: WAITING (RINGS, capacity); settled: uint32 (FLOWS,),
    fingerprints; state: int64, see the slot numbers above; wanted: ENTRY (1,), what is looked
    for; answers: of unseen_answers.py."""

    entries: NDArray[np.void]
    tags: NDArray[np.uint32]
    waiting: NDArray[np.void]
    settled: NDArray[np.uint32]
    state: NDArray[np.int64]
    wanted: NDArray[np.void]
    answers: NDArray[np.void]


def new_table(capacity: int, timeouts: tuple[int, int]) -> Table:
    """An empty table. timeouts: of SYNs and of everything else, in ns."""
    table = Table(
        zeros_in_lines(capacity, ENTRY),
        np.zeros(capacity, np.uint32),
        np.zeros((RINGS, capacity), WAITING),
        np.zeros(FLOWS, np.uint32),
        np.zeros(COUNTERS_FROM + len(COUNTERS), np.int64),
        np.zeros(1, ENTRY),
        no_answers(),
    )
    table.state[TIMEOUT : TIMEOUT + RINGS] = timeouts
    table.state[DUE] = _NEVER
    return table


@fused
def write(row: Record, entry: Record, time: int, outcome: int) -> None:
    """Fill a row of record.CONNECTION."""
    row.time = time
    process = row.process
    process.started_ns = process.pid = process.exec_count = 0
    row.src_hi = entry.src_hi
    row.src_lo = entry.src_lo
    row.dst_hi = entry.dst_hi
    row.dst_lo = entry.dst_lo
    row.src_port = entry.src_port
    row.dst_port = entry.dst_port
    row.protocol = entry.protocol
    row.kind = entry.kind
    row.origin = _WIRE
    row.outcome = outcome
    mapped = entry.dst_hi == 0 and entry.dst_lo >> _HALF == _MAPPED_PREFIX
    row.family = 4 if mapped else 6


@fused
def entry_hash(entry: Record) -> np.uint64:
    """That of an attempt, which its packets have, too."""
    source = end_hash(entry.src_hi, entry.src_lo, entry.src_port)
    destination = end_hash(entry.dst_hi, entry.dst_lo, entry.dst_port)
    return flow_hash(source, destination, entry.protocol)


@fused
def _home(table: Table, flow: np.uint64) -> int | np.int64:
    return np.int64(flow >> _HOME_SHIFT) & (len(table.tags) - 1)


@fused
def _tag(flow: np.uint64) -> np.uint32:
    return np.uint32(flow >> _HALF) | _TAKEN


@fused
def look_ahead(table: Table, flow: np.uint64) -> None:
    """Ask for what is kept of a flow."""
    home = _home(table, flow)
    prefetch(table.tags, home, 0, 1)
    prefetch(table.entries, home, 0, 1)


@fused
def find(table: Table, wanted: Record, flow: np.uint64) -> Slot:
    """Slot of the entry with the protocol and 4-tuple of `wanted`, whose hash is `flow`, or -1."""
    mask, tag = len(table.tags) - 1, _tag(flow)
    home = _home(table, flow)
    for probe in range(NEIGHBOURHOOD):
        slot = (home + probe) & mask
        if table.tags[slot] == tag:
            entry = table.entries[slot]
            if (
                entry.dst_lo == wanted.dst_lo
                and entry.src_lo == wanted.src_lo
                and entry.src_port == wanted.src_port
                and entry.dst_port == wanted.dst_port
                and entry.protocol == wanted.protocol
                and entry.dst_hi == wanted.dst_hi
                and entry.src_hi == wanted.src_hi
            ):
                return slot
        elif table.tags[slot] == 0:
            # No slot becomes free again, so nothing was ever placed behind it.
            return -1
    return -1


@fused
def _place(table: Table, flow: np.uint64) -> Slot:
    """Slot for a new entry: a free one, else the oldest ended attempt, else the oldest open one."""
    mask, entries = len(table.tags) - 1, table.entries
    home = _home(table, flow)
    for probe in range(NEIGHBOURHOOD):
        slot = (home + probe) & mask
        if table.tags[slot] == 0:
            table.tags[slot] = _tag(flow)
            return slot
    best = home
    for probe in range(1, NEIGHBOURHOOD):
        slot = (home + probe) & mask
        entry = entries[slot]
        if entry.state == entries[best].state:
            if entry.time < entries[best].time:
                best = slot
        elif entry.state == ENDED:
            best = slot
    table.tags[best] = _tag(flow)
    return best


@fused
def enter(table: Table, wanted: Record, flow: np.uint64) -> Slot:
    """Slot of `wanted`, whose hash is `flow` and which is not there yet."""
    slot = _place(table, flow)
    if table.entries[slot].state == OPEN:
        table.state[EVICTED] += 1
    table.entries[slot] = wanted
    return slot


@kernel
def expire(table: Table, now: int, rows: NDArray[np.void], count: int) -> int:
    """End each open attempt due at `now`, and write a timed_out row of those that can tell; the
    number of rows after that."""
    entries, waiting, state = table.entries, table.waiting, table.state
    mask = waiting.shape[1] - 1
    while True:
        ring, due = -1, _NEVER
        for other in range(RINGS):
            if state[LENGTH + other] > 0:
                at = waiting[other, state[HEAD + other]].time + state[TIMEOUT + other]
                if at < due:
                    ring, due = other, at
        state[DUE] = due
        if ring < 0 or due > now:
            return count
        head = waiting[ring, state[HEAD + ring]]
        prefetch(entries, waiting[ring, (state[HEAD + ring] + AHEAD) & mask].slot, 0, 1)
        state[HEAD + ring] = (state[HEAD + ring] + 1) & mask
        state[LENGTH + ring] -= 1
        entry = entries[head.slot]
        if entry.state == OPEN and entry.time == head.time:
            entry.state = ENDED
            if tells_nothing(table.answers, entry.src_hi, entry.src_lo, entry.kind):
                state[ONE_SIDED] += 1
                continue
            write(rows[count], entry, due, _TIMED_OUT)
            count += 1
            state[COUNTERS_FROM + _TIMED_OUT] += 1


@kernel
def await_answer(table: Table, slot: Slot, time: int) -> None:
    """Append to the ring of the entry's kind. A full ring gives up on its head."""
    entries, waiting, state = table.entries, table.waiting, table.state
    ring = CONNECTS if entries[slot].kind == _CONNECT else PROBES
    mask = waiting.shape[1] - 1
    if state[LENGTH + ring] == waiting.shape[1]:
        head = waiting[ring, state[HEAD + ring]]
        entry = entries[head.slot]
        if entry.state == OPEN and entry.time == head.time:
            entry.state = ENDED
            state[OVERFLOW] += 1
        state[HEAD + ring] = (state[HEAD + ring] + 1) & mask
        state[LENGTH + ring] -= 1
    tail = (state[HEAD + ring] + state[LENGTH + ring]) & mask
    waiting[ring, tail].time = time
    waiting[ring, tail].slot = slot
    state[LENGTH + ring] += 1
    state[DUE] = min(state[DUE], time + state[TIMEOUT + ring])


@fused
def is_settled(settled: NDArray[np.uint32], flow: np.uint64) -> bool:
    """Whether the flow of that hash was settled, and has not been displaced since."""
    return bool(settled[np.int64(flow & _FLOW_MASK)] == np.uint32(flow >> _HALF) | _TAKEN)


@fused
def settle(settled: NDArray[np.uint32], flow: np.uint64) -> None:
    """Nothing more can be learnt from the flow's packets, but from a SYN or RST."""
    settled[np.int64(flow & _FLOW_MASK)] = np.uint32(flow >> _HALF) | _TAKEN


@fused
def unsettle(settled: NDArray[np.uint32], flow: np.uint64) -> None:
    """Somebody waits for an answer on the flow."""
    if is_settled(settled, flow):
        settled[np.int64(flow & _FLOW_MASK)] = np.uint32(0)
