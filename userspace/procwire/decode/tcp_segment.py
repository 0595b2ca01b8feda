"""A TCP segment, and the arithmetic of its sequence numbers (RFC 9293 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from procwire.decode.flow_table import SENT_SYN, FlowTable
from procwire.decode.observations import GAP, INVALID_ACK, OUT_OF_WINDOW, RETRANSMIT
from procwire.jit import fused

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

# RFC 7323 2.3: no window is larger, so nothing further away can belong to the connection.
LARGEST_WINDOW = 1 << 30


class Segment(NamedTuple):
    """One TCP segment. sender: 0 the low end of its flow, 1 the high; fast_open: whether it carries
    the option of RFC 7413; time: ns since the epoch.
    """

    flags: int
    seq: int
    ack: int
    payload: int
    sender: int
    fast_open: bool
    time: int


@fused
def apart(later: int, earlier: int) -> int:
    """Signed distance of two sequence numbers (RFC 9293 3.4)."""
    distance = (np.int64(later) - np.int64(earlier)) & 0xFFFFFFFF
    return int(distance - (1 << 32) if distance >= 1 << 31 else distance)


@fused
def advance(table: FlowTable, slot: int, segment: Segment) -> int:
    """Account for the bytes of a segment and for what it acknowledges (RFC 9293 3.4)."""
    mine, other = table.ends[slot, segment.sender], table.ends[slot, 1 - segment.sender]
    size = segment.payload + (segment.flags & FIN)
    begins = apart(segment.seq, mine.next)
    if abs(begins) > LARGEST_WINDOW:
        return OUT_OF_WINDOW
    seen = 0
    if begins > 0:
        seen |= GAP
    # RFC 9293 3.8.4: a keep-alive repeats at most one byte.
    if begins < 0 and segment.payload > 1:
        seen |= RETRANSMIT
    if begins + size > 0:
        mine.next = (segment.seq + size) & 0xFFFFFFFF
    if segment.flags & ACK:
        beyond = apart(segment.ack, other.next)
        if other.packets == 0 and not other.sent & SENT_SYN:
            other.next = segment.ack
        elif abs(beyond) > LARGEST_WINDOW:
            seen |= INVALID_ACK
        elif beyond > 0:
            # What it acknowledges was sent, but the capture lacks it.
            other.next = segment.ack
            seen |= GAP
        mine.acknowledged = segment.ack
    return seen
