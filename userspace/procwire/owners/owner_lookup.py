"""Who held an end of a flow at a time, by the claims on it, for many flows at once.

Strategy: a flow that somebody claims whole is looked for first, then the end, at its address and at
every address of the network namespaces that have it. Of each chain the latest claims are looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import called, fused, kernel
from procwire.event import FlowRole
from procwire.owners.attribution import INFERRED, KERNEL, SNAPSHOT, SURENESS
from procwire.owners.claims import (
    ENTERED,
    EXITED,
    ClaimTable,
    Record,
    key_hash,
    process_hash,
)
from procwire.owners.flow_keys import EVERYWHERE, PEER_PORT, PROTOCOL

# Claims of one end that are looked at: many are those of a program that opens a port again.
_CHAIN = 64
# Wall clock and boot clock are joined when events are read; packets bear the wall clock, which may
# be corrected meanwhile by 500 parts in a million (adjtimex). More would name whoever took the end
# a moment after the sender.
_CLOCK_NS = 50_000
# A packet whose claim is so much younger is likely the claimant's.
_EARLY_NS = 1_000_000_000
# What was under way when a socket closed or its process ended.
_LATE_NS = 1_000_000_000
_NO_NAMESPACE = 0
_LISTENS, _CONNECTS = int(FlowRole.LISTENS), int(FlowRole.CONNECTS)
_KERNEL, _SNAPSHOT, _INFERRED = (SURENESS.index(one) for one in (KERNEL, SNAPSHOT, INFERRED))
# The lower halves of ::1, and of 127.0.0.0/8, mapped, without its last octets.
_ONE, _LOOPBACK, _FIRST_OCTET = np.uint64(1), np.uint64(0xFFFF7F), np.uint64(24)

# What the chains of one flow hold, as numbers of claims: the latest whose process is there; the
# latest; the first of those too young; and whether others there, or any, are of another process.
_THERE, _HOLDING, _EARLY, _OTHERS_THERE, _OTHERS = range(5)
FOUND = 5


class Places(NamedTuple):
    """Networks (n,) of this host, as the first and the last address of each in halves, and the
    network namespace that each belongs to; captured: (1,), the one whose packets are asked about.
    """

    first_hi: NDArray[np.uint64]
    first_lo: NDArray[np.uint64]
    last_hi: NDArray[np.uint64]
    last_lo: NDArray[np.uint64]
    namespace: NDArray[np.int64]
    captured: NDArray[np.int64]


@kernel
def find(
    table: ClaimTable,
    places: Places,
    keys: NDArray[np.uint64],
    times: NDArray[np.int64],
    found: NDArray[np.int64],
    numbers: NDArray[np.int64],
    sureness: NDArray[np.int8],
) -> None:
    """Fill in which claim held each flow's end (keys (n, 5), its own end first) at its time, and
    how surely, as a place in SURENESS; number 0 and -1 where none did. found: int64 (FOUND,)."""
    for row in range(len(times)):
        hi, lo, ports = keys[row, 0], keys[row, 1], keys[row, 4]
        captured = places.captured[0]
        only = captured if _is_loopback(hi, lo) else -1
        time = times[row]
        _clear(found)
        _look(table, hi, lo, keys[row, 2], keys[row, 3], ports, only, time, found)
        if not (found[_HOLDING] or _is_close(table, found[_EARLY], time)):
            none = np.uint64(0)
            end = ports & ~PEER_PORT
            _clear(found)
            _look(table, hi, lo, none, none, end, only, time, found)
            for place in range(len(places.namespace) if ports & PROTOCOL else 0):
                if _is_within(places, place, hi, lo):
                    namespace = np.uint64(places.namespace[place])
                    _look(table, EVERYWHERE, namespace, none, none, end, only, time, found)
        _conclude(table, captured, time, found, row, numbers, sureness)


@fused
def _clear(found: NDArray[np.int64]) -> None:
    for place in range(len(found)):
        found[place] = 0


@fused
def _is_loopback(hi: np.uint64, lo: np.uint64) -> bool:
    if hi:
        return False
    return bool(lo == _ONE or lo >> _FIRST_OCTET == _LOOPBACK)


@fused
def _is_within(places: Places, place: int, hi: np.uint64, lo: np.uint64) -> bool:
    first_hi, last_hi = places.first_hi[place], places.last_hi[place]
    if hi < first_hi or hi > last_hi:
        return False
    above = hi > first_hi or lo >= places.first_lo[place]
    return bool(above and (hi < last_hi or lo <= places.last_lo[place]))


@called
def _look(
    table: ClaimTable,
    hi: np.uint64,
    lo: np.uint64,
    peer_hi: np.uint64,
    peer_lo: np.uint64,
    ports: np.uint64,
    only: int,
    time: int,
    found: NDArray[np.int64],
) -> None:
    """Enter what holds by the claims on one key. only: the network namespace that they have to be
    of, where that is known of them; -1: any."""
    capacity = len(table.rows)
    oldest = max(table.state[ENTERED] - capacity, 0)
    hashed = key_hash(hi, lo, peer_hi, peer_lo, ports)
    number = table.by_key[hashed & np.uint64(len(table.by_key) - 1)]
    looked = 0
    while number > oldest and looked < _CHAIN:
        claim = table.rows[number % capacity]
        at, number, looked = number, claim.before, looked + 1
        same = claim.source_lo == lo and claim.ports == ports and claim.source_hi == hi
        if not (same and claim.peer_lo == peer_lo and claim.peer_hi == peer_hi):
            continue
        if only >= 0 and claim.namespace != only and claim.namespace != _NO_NAMESPACE:
            continue
        if claim.began > time + _CLOCK_NS:
            found[_EARLY] = at if not found[_EARLY] else min(found[_EARLY], at)
        elif claim.ended >= time - _LATE_NS:
            _hold(table, at, time, found)
            if claim.role == _CONNECTS:
                break


@fused
def _hold(table: ClaimTable, number: int, time: int, found: NDArray[np.int64]) -> None:
    """Enter a claim that holds."""
    rows, capacity = table.rows, len(table.rows)
    claim = rows[number % capacity]
    if found[_HOLDING] and not _same_process(rows[found[_HOLDING] % capacity], claim):
        found[_OTHERS] = 1
    found[_HOLDING] = max(found[_HOLDING], number)
    # Of an ended process's socket another may hold on to; but who is there comes first.
    if not is_gone(table, claim, time):
        if found[_THERE] and not _same_process(rows[found[_THERE] % capacity], claim):
            found[_OTHERS_THERE] = 1
        found[_THERE] = max(found[_THERE], number)


@fused
def _same_process(one: Record, other: Record) -> bool:
    same = one.started == other.started and one.pid == other.pid
    return bool(same and one.exec_count == other.exec_count)


@called
def is_gone(table: ClaimTable, claim: Record, time: int) -> bool:
    """Whether the claim's process had ended by then."""
    capacity = len(table.exits)
    oldest = max(table.state[EXITED] - capacity, 0)
    number = table.by_process[process_hash(claim) & np.uint64(len(table.by_process) - 1)]
    while number > oldest:
        one = table.exits[number % capacity]
        if _same_process(one, claim):
            return bool(one.time < time - _LATE_NS)
        number = one.before
    return False


@fused
def _is_close(table: ClaimTable, number: int, time: int) -> bool:
    return number > 0 and table.rows[number % len(table.rows)].began <= time + _EARLY_NS


@fused
def _conclude(
    table: ClaimTable,
    captured: int,
    time: int,
    found: NDArray[np.int64],
    row: int,
    numbers: NDArray[np.int64],
    sureness: NDArray[np.int8],
) -> None:
    """Whose the flow is by what was found; who accepts may not be who listens, and an ended process
    may have left its socket to a child."""
    numbers[row], sureness[row] = 0, -1
    there, holding = found[_THERE], found[_HOLDING]
    if holding:
        numbers[row] = there if there else holding
        claim = table.rows[numbers[row] % len(table.rows)]
        others = found[_OTHERS_THERE] if there else found[_OTHERS]
        if others or not there or claim.namespace != captured or claim.role == _LISTENS:
            sureness[row] = _INFERRED
        else:
            sureness[row] = _SNAPSHOT if claim.began == 0 else _KERNEL
    elif _is_close(table, found[_EARLY], time):
        numbers[row], sureness[row] = found[_EARLY], _INFERRED
