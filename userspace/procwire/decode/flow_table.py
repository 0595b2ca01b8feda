"""The memory of flows: a fixed-size open-addressing table keyed by both ends and the protocol.

A key is symmetrical: the smaller end comes first, so both directions meet in one entry: a FLOW, one
cache line, and an END for each direction. Only a few neighbouring slots are probed;
where all are taken, a flow that timed out gives way, else an ended one, else the quietest.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.aligned_records import zeros_in_lines
from procwire.compiled.jit import fused
from procwire.compiled.prefetch import lines_of, prefetch
from procwire.decode.columns import Packets
from procwire.decode.proofs import PROOF, PROOFS

Record: TypeAlias = Any
"""One element of a structured array: mypy cannot see the fields that numba reads as attributes."""

FLOW = np.dtype(
    [
        ("low_hi", "u8"),
        ("low_lo", "u8"),
        ("high_hi", "u8"),
        ("high_lo", "u8"),
        ("first", "i8"),  # ns since the epoch, as is last
        ("last", "i8"),
        ("low_port", "u2"),
        ("high_port", "u2"),
        ("later", "u4"),  # acknowledgement of a SYN that differs from its sender's first; 0: none
        ("number", "u4"),  # counts the flows begun, so it tells those of one slot apart
        ("protocol", "u1"),
        ("state", "u1"),
        ("origin", "u1"),  # end (0 low, 1 high) that opened it, or was seen first
        ("marks", "u1"),
    ],
    align=True,
)
"""One flow. Addresses as in Packets."""

END = np.dtype(
    [
        ("bytes", "u4"),  # of transport payload, on the wire; no more are counted than fit
        ("packets", "u4"),
        ("initial", "u4"),  # sequence number of its SYN
        ("next", "u4"),  # the highest sequence number sent, plus one
        ("acknowledged", "u4"),  # the highest acknowledgement it sent
        ("reset", "u4"),  # sequence number of its reset, where RESET_SEEN
        ("window", "u2"),  # as it last told it in a segment without SYN
        ("stream", "u2"),  # where its payload is read (stream_table.py), or that of a flow which
        # had the slot before, plus 1; 0 is nowhere
        ("scale", "u1"),  # one more than its SYN's window scale; 0 without that option
        ("sent", "u1"),  # SENT_ bits, ASKED_TO_OPEN, BARELY_BEGUN and REFUSED
        ("speaks", "u1"),  # layer of its first payload, of spoken.py; 0 if that is not known
    ],
    align=True,
)
"""What one end of a flow sent. Both ends of one are a cache line."""

_FLOW_LINES, _END_LINES = lines_of(FLOW.itemsize), lines_of(2 * END.itemsize)

FREE, DATAGRAMS, MIDSTREAM, SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSING, CLOSED, RESET = range(9)
"""States of a flow. TCP's after RFC 9293 3.3.2, of both ends at once: CLOSING has seen one FIN,
CLOSED both. MIDSTREAM: its beginning was not seen."""

FROM_SYN, TOLD_STRAY, FAST_OPEN, GUESSED, COUNTED = 1, 2, 4, 8, 16
MISMATCH_TOLD, TLS_ASKED, TLS_DUE = 32, 64, 128
"""Marks of a flow: seen from its SYN; a stray was reported; offers TCP fast open (RFC 7413); an
end was taken as established without its SYN being seen; counted for the capture's health; that
protocols contradict each other was reported; STARTTLS was asked for; it was granted."""

SENT_SYN, SENT_FIN, SENT_RESET, ASKED_TO_OPEN, BARELY_BEGUN, REFUSED = 1, 2, 4, 8, 16, 32
"""What an end sent: a SYN, a FIN, a reset; a SYN without ACK, which alone a SYN-ACK answers; so far
too few bytes to tell what it speaks; a SYN that cannot be delivered, as an ICMP error says."""

BEGUN = 0
"""Where FlowTable.counts has the flows begun."""

PROBES = 8
_SECOND = 1_000_000_000
IDLE_LIMITS = np.array([0, 300, 3600, 60, 60, 3600, 3600, 60, 60], np.int64) * np.int64(_SECOND)
"""State -> ns without a packet after which a flow is over. 60 s outlast SYN retransmission steps of
up to 32 s and 2 MSL as systems implement it."""


class FlowTable(NamedTuple):
    """flows: FLOW (capacity,); ends: END (capacity, 2), low end first; counts: int64, see
    flow.COUNTERS; proofs: as in proofs.py."""

    flows: NDArray[np.void]
    ends: NDArray[np.void]
    counts: NDArray[np.int64]
    proofs: NDArray[np.void]


def flow_table(capacity: int, counters: int) -> FlowTable:
    """An empty table of `capacity` flows, a power of two, 128 bytes each."""
    return FlowTable(
        zeros_in_lines(capacity, FLOW),
        zeros_in_lines(2 * capacity, END).reshape(capacity, 2),
        np.zeros(counters, np.int64),
        np.zeros(PROOFS, PROOF),
    )


class Path(NamedTuple):
    """From where to where one packet goes. transport: layers.TCP or UDP."""

    src_hi: np.uint64
    src_lo: np.uint64
    dst_hi: np.uint64
    dst_lo: np.uint64
    src_port: int
    dst_port: int
    transport: int


@fused
def path_of(packets: Packets, row: int) -> Path:
    """The path of packet `row`."""
    return Path(
        packets.src_hi[row],
        packets.src_lo[row],
        packets.dst_hi[row],
        packets.dst_lo[row],
        int(packets.src_port[row]),
        int(packets.dst_port[row]),
        int(packets.transport[row]),
    )


class Key(NamedTuple):
    """Which flow a packet belongs to, as in FLOW; sender: its end, 0 the low, 1 the high."""

    low_hi: np.uint64
    low_lo: np.uint64
    high_hi: np.uint64
    high_lo: np.uint64
    low_port: int
    high_port: int
    protocol: int
    sender: int


@fused
def key_of(path: Path) -> Key:
    """The flow of what goes along `path`."""
    high_first = bool(path.src_lo > path.dst_lo)
    if path.src_lo == path.dst_lo:
        high_first = bool(path.src_hi > path.dst_hi)
        if path.src_hi == path.dst_hi:
            high_first = path.src_port > path.dst_port
    # Chosen and not branched to: nobody can guess which way the next packet goes.
    return Key(
        path.dst_hi if high_first else path.src_hi,
        path.dst_lo if high_first else path.src_lo,
        path.src_hi if high_first else path.dst_hi,
        path.src_lo if high_first else path.dst_lo,
        path.dst_port if high_first else path.src_port,
        path.src_port if high_first else path.dst_port,
        path.transport,
        1 if high_first else 0,
    )


@fused
def _home(flows: NDArray[np.void], key: np.uint64) -> np.int64:
    return np.int64(key & np.uint64(len(flows) - 1))


@fused
def look_ahead(table: FlowTable, key: np.uint64) -> None:
    """Ask for what is kept of the flow of that hash."""
    slot = _home(table.flows, key)
    prefetch(table.flows, slot, 0, _FLOW_LINES)
    prefetch(table.ends, slot, 0, _END_LINES)


@fused
def find(flows: NDArray[np.void], key: Key, hashed: np.uint64) -> int:
    """Slot of the flow of that key, of which `hashed` is the hash, or -1."""
    mask, start = len(flows) - 1, _home(flows, hashed)
    for probe in range(PROBES):
        slot = (start + probe) & mask
        flow = flows[slot]
        if flow.state == FREE:
            # No slot becomes free again, so the flow would have been given this one.
            return -1
        if (
            flow.low_lo == key.low_lo
            and flow.high_lo == key.high_lo
            and flow.low_port == key.low_port
            and flow.high_port == key.high_port
            and flow.low_hi == key.low_hi
            and flow.high_hi == key.high_hi
            and flow.protocol == key.protocol
        ):
            return int(slot)
    return -1


@fused
def is_over(flow: Record, time: int) -> bool:
    """Whether the flow was idle for too long by `time`. A clock that steps back ends nothing."""
    return bool(time - flow.last > IDLE_LIMITS[flow.state])


@fused
def _rank(flow: Record, time: int) -> int:
    """How readily a flow gives up its slot; the higher the more readily."""
    if flow.state == FREE:
        return 3
    if is_over(flow, time):
        return 2
    return 1 if flow.state >= CLOSED else 0


@fused
def place(flows: NDArray[np.void], key: np.uint64, time: int) -> tuple[int, bool]:
    """(slot for a new flow of that hash, whether a living one has to give way)"""
    mask, start = len(flows) - 1, _home(flows, key)
    best, best_rank = start, -1
    for probe in range(PROBES):
        slot = (start + probe) & mask
        rank = _rank(flows[slot], time)
        if rank == 3:
            return int(slot), False
        if rank > best_rank or (rank == best_rank and flows[slot].last < flows[best].last):
            best, best_rank = slot, rank
    return int(best), best_rank == 0


@fused
def set_key(flow: Record, key: Key) -> None:
    """Make a flow one of that key."""
    flow.low_hi, flow.low_lo = key.low_hi, key.low_lo
    flow.high_hi, flow.high_lo = key.high_hi, key.high_lo
    flow.low_port, flow.high_port = key.low_port, key.high_port
    flow.protocol = key.protocol


@fused
def begin(table: FlowTable, slot: int, state: int, sender: int, time: int) -> None:
    """Make the flow in `slot` a new one of the same key, opened by end `sender`."""
    flow = table.flows[slot]
    table.counts[BEGUN] += 1
    flow.number = table.counts[BEGUN]
    flow.first, flow.last = time, time
    flow.later = 0
    flow.state = state
    flow.origin = sender
    flow.marks = 0
    for side in range(2):
        end = table.ends[slot, side]
        end.bytes, end.packets = 0, 0
        end.initial, end.next = 0, 0
        end.acknowledged = 0
        end.reset = 0
        end.window = 0
        end.scale = 0
        end.sent = 0
        end.speaks = 0
