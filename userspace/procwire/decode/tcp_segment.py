"""A TCP segment, and the arithmetic of its sequence numbers (RFC 9293 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from procwire.compiled.jit import fused
from procwire.decode.flow_table import FAST_OPEN, SENT_FIN, SENT_SYN, FlowTable, Record
from procwire.decode.observations import (
    BAD_WINDOW,
    GAP,
    INVALID_ACK,
    OUT_OF_WINDOW,
    RETRANSMIT,
)

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

# RFC 7323 2.3: no window is larger, so nothing further away can belong to the connection.
LARGEST_WINDOW = 1 << 30
# RFC 7323 2.2: that of a SYN is never scaled.
LARGEST_UNSCALED = 65535


class Segment(NamedTuple):
    """One TCP segment. sender: 0 the low end of its flow, 1 the high; fast_open: whether it carries
    the option of RFC 7413; time: ns since the epoch; window: the field; scale: one more than its
    window scale option (RFC 7323 2.2) says, 0 without.
    """

    flags: int
    seq: int
    ack: int
    payload: int
    sender: int
    fast_open: bool
    time: int
    window: int
    scale: int


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
        if apart(segment.ack, mine.acknowledged) >= 0:
            if _shrinks(mine, other, segment):
                seen |= BAD_WINDOW
            mine.window = segment.window
        mine.acknowledged = segment.ack
    return seen


@fused
def _shrinks(mine: Record, other: Record, segment: Segment) -> bool:
    """Whether the window's right edge moves back (RFC 9293 3.8.6) by more than scaling loses (RFC
    7323 2.4). Scales are known, and used, where both SYNs were seen with the option."""
    if mine.window == 0 or not mine.sent & other.sent & SENT_SYN:
        return False
    shift = int(np.int64(mine.scale)) - 1 if mine.scale and other.scale else 0
    before = (np.int64(mine.window) << shift) - apart(segment.ack, mine.acknowledged)
    return bool(before - (np.int64(segment.window) << shift) >= 1 << shift)


@fused
def is_misplaced(sender: Record, segment: Segment) -> bool:
    """Whether a FIN neither ends what its sender has sent so far nor repeats an earlier FIN."""
    end = (segment.seq + segment.payload + 1) & 0xFFFFFFFF
    if sender.sent & SENT_FIN:
        return bool(end != sender.next)
    return apart(segment.seq, sender.next) > 0 or apart(end, sender.next) <= 0


@fused
def acknowledges_syn(flow: Record, opener: Record, ack: int) -> bool:
    """Whether `ack` acknowledges the opener's SYN; with fast open, any of the data on it, too."""
    distance = apart(ack, opener.initial)
    longest = apart(opener.next, opener.initial) if flow.marks & FAST_OPEN else 1
    return 1 <= distance <= longest
