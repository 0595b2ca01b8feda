"""Claims of processes on ends and flows, as the kernel told of them, of which the last are kept.

Strategy: a ring, chained by the hash of what is claimed, so that what is overwritten needs no
deletion: a chain ends at the first number that is too old. What a socket claimed ends with it, and
claims that are open are chained by their socket, too. Claims of sockets that are still open are not
overwritten but entered anew, so that a busy hour forgets no program that waits for connections.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.memory import sparse_zeros
from procwire.decode.mix import mix64
from procwire.event import FLAG_OLDER, FlowRole
from procwire.owners.flow_keys import keys_of_events

NEVER = 2**63 - 1
_TCP = 6

# Words of a key in the order of flow_keys; mypy cannot see the fields that numba reads.
_KEY = ("source_hi", "source_lo", "peer_hi", "peer_lo", "ports")
CLAIM = np.dtype(
    [
        *((word, "u8") for word in _KEY),
        ("before", "i8"),  # number of the claim before in the same chain of keys, 0 for none
        ("opened_before", "i8"),  # the same in the chain of sockets
        ("began", "i8"),  # ns since the epoch; 0: before the sensor
        ("ended", "i8"),  # NEVER: not yet, or nobody will tell
        ("started", "u8"),
        ("pid", "u4"),
        ("exec_count", "u4"),
        ("namespace", "u4"),
        ("socket", "u4"),  # 0: of its end nobody tells
        ("role", "u1"),
    ],
    align=True,
)
EXIT = np.dtype(
    [("started", "u8"), ("pid", "u4"), ("exec_count", "u4"), ("before", "i8"), ("time", "i8")],
    align=True,
)
Record: TypeAlias = Any

# Slots of the state: the last number of a claim, open claims that a socket will end, those
# forgotten before they ended, the last number of an exit.
ENTERED, OPEN, EVICTED, EXITED = range(4)
_ENDS = int(FlowRole.ENDS)


class ClaimTable(NamedTuple):
    """Number n, from 1 on, lies at n % capacity. by_key, by_socket, by_process: the last number of
    each chain, of as many as a power of two; moved: CLAIM (2,), what is entered anew."""

    rows: NDArray[np.void]
    by_key: NDArray[np.int64]
    by_socket: NDArray[np.int64]
    exits: NDArray[np.void]
    by_process: NDArray[np.int64]
    moved: NDArray[np.void]
    state: NDArray[np.int64]


def claim_table(capacity: int) -> ClaimTable:
    """Room for so many claims and as many exits."""
    chains = 1 << (2 * capacity - 1).bit_length()
    return ClaimTable(
        rows=sparse_zeros((capacity,), CLAIM),
        by_key=sparse_zeros((chains,), np.int64),
        by_socket=sparse_zeros((chains,), np.int64),
        exits=sparse_zeros((capacity,), EXIT),
        by_process=sparse_zeros((chains,), np.int64),
        moved=np.zeros(2, CLAIM),
        state=np.zeros(4, np.int64),
    )


def claims_of(events: NDArray[np.void]) -> NDArray[np.void]:
    """CLAIM (n,) of FLOW_EVENT (n,), times in ns since the epoch."""
    rows = np.zeros(len(events), CLAIM)
    for word, column in zip(_KEY, keys_of_events(events).T, strict=True):
        rows[word] = column
    rows["began"] = np.where(events["flags"] & FLAG_OLDER, 0, events["time_ns"])
    rows["ended"] = NEVER
    process, role = events["process"], events["role"]
    rows["started"], rows["pid"] = process["started_ns"], process["pid"]
    rows["exec_count"], rows["role"] = process["exec_count"], role
    rows["namespace"], rows["socket"] = events["net_namespace"], events["socket"]
    # Of a connection's end nobody tells, nor of a raw socket's.
    is_connection = (role == FlowRole.CONNECTS) & (events["protocol"] == _TCP)
    rows["socket"][is_connection | (role == FlowRole.WRITES)] = 0
    return rows


def exits_of(events: NDArray[np.void]) -> NDArray[np.void]:
    """EXIT (n,) of PROCESS_EVENT (n,)."""
    rows, process = np.zeros(len(events), EXIT), events["process"]
    rows["started"], rows["pid"] = process["started_ns"], process["pid"]
    rows["exec_count"], rows["time"] = process["exec_count"], events["time_ns"]
    return rows


@kernel
def enter(table: ClaimTable, claims: NDArray[np.void]) -> None:
    """Take claims and ends of sockets in their order."""
    for row in range(len(claims)):
        if claims[row].role == _ENDS:
            _end(table, claims[row])
        else:
            table.moved[0] = claims[row]
            while _write(table):
                table.moved[0] = table.moved[1]


@kernel
def exited(table: ClaimTable, exits: NDArray[np.void]) -> None:
    """Take exits of processes."""
    for row in range(len(exits)):
        number = table.state[EXITED] + 1
        table.state[EXITED] = number
        place = number % len(table.exits)
        table.exits[place] = exits[row]
        chain = process_hash(exits[row]) & np.uint64(len(table.by_process) - 1)
        table.exits[place].before = table.by_process[chain]
        table.by_process[chain] = number


@fused
def key_hash(hi: np.uint64, lo: np.uint64, peer_hi: np.uint64, peer_lo: np.uint64,
             ports: np.uint64) -> np.uint64:  # fmt: skip
    """Of a claim's key."""
    return mix64(mix64(mix64(mix64(hi + ports) ^ lo) ^ peer_hi) ^ peer_lo)


@fused
def process_hash(one: Record) -> np.uint64:
    """Of the process of a CLAIM or an EXIT."""
    return mix64(one.started ^ (np.uint64(one.pid) << np.uint64(32)) ^ np.uint64(one.exec_count))


@fused
def _write(table: ClaimTable) -> bool:
    """Write moved[0] in place of the oldest; whether that is still open, and now moved[1]."""
    state, capacity = table.state, len(table.rows)
    number = state[ENTERED] + 1
    place = number % capacity
    is_moved = False
    if number > capacity and table.rows[place].ended == NEVER:
        if table.rows[place].socket:
            state[OPEN] -= 1
            # As long as most of the ring is for what comes.
            is_moved = state[OPEN] < capacity // 2
        if is_moved:
            table.moved[1] = table.rows[place]
        else:
            state[EVICTED] += 1
    table.rows[place] = table.moved[0]
    claim = table.rows[place]
    hashed = key_hash(claim.source_hi, claim.source_lo, claim.peer_hi, claim.peer_lo, claim.ports)
    chain = hashed & np.uint64(len(table.by_key) - 1)
    claim.before = table.by_key[chain]
    table.by_key[chain] = number
    if claim.socket:
        chain = mix64(np.uint64(claim.socket)) & np.uint64(len(table.by_socket) - 1)
        claim.opened_before = table.by_socket[chain]
        table.by_socket[chain] = number
        state[OPEN] += 1
    state[ENTERED] = number
    return is_moved


@fused
def _end(table: ClaimTable, end: Record) -> None:
    """What the socket had claimed ends. Its chain keeps what is open."""
    capacity = len(table.rows)
    oldest = table.state[ENTERED] - capacity
    chain = mix64(np.uint64(end.socket)) & np.uint64(len(table.by_socket) - 1)
    number, kept = table.by_socket[chain], 0
    table.by_socket[chain] = 0
    while number > max(oldest, 0):
        claim = table.rows[number % capacity]
        if claim.ended == NEVER and claim.socket == end.socket and claim.began <= end.began:
            claim.ended = end.began
            table.state[OPEN] -= 1
        if claim.ended == NEVER:
            if kept:
                table.rows[kept % capacity].opened_before = number
            else:
                table.by_socket[chain] = number
            kept = number
        number = claim.opened_before
    if kept:
        table.rows[kept % capacity].opened_before = 0
