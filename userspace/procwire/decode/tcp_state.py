"""Follows TCP connections through the states of RFC 9293 3.3.2, seen from between the two ends.

One function per state takes a segment and returns what is wrong with it as a mask of observations.
What has no place in a connection is observed and otherwise ignored, as RFC 5961 asks of the ends,
so that a forged segment does not change what is expected next.
"""

from __future__ import annotations

import numpy as np

from procwire.compiled.jit import fused
from procwire.decode.flow_table import (
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FAST_OPEN,
    FROM_SYN,
    GUESSED,
    MIDSTREAM,
    RESET,
    SENT_FIN,
    SENT_RESET,
    SENT_SYN,
    SYN_RECEIVED,
    SYN_SENT,
    TOLD_STRAY,
    FlowTable,
    begin,
    prove,
)
from procwire.decode.observations import (
    CLOSE_WRONG_SEQ,
    DATA_NO_SESSION,
    DATA_WITHOUT_ACK,
    FIN_NO_SESSION,
    HS_RESEND_DIFFERS,
    HS_WRONG_SEQ_ACK,
    INVALID_ACK,
    OUT_OF_WINDOW,
    REPEATED,
    RETRANSMIT,
    RST_INJECTION,
    RST_NO_SESSION,
    SIMULTANEOUS_OPEN,
    SYN_IN_ESTABLISHED,
    SYNACK_UNSOLICITED,
)
from procwire.decode.tcp_segment import (
    ACK,
    FIN,
    LARGEST_WINDOW,
    RST,
    SYN,
    Segment,
    acknowledges_syn,
    advance,
    apart,
    is_misplaced,
)


@fused
def opening_state(flags: int) -> int:
    """State of a flow whose first segment has these flags."""
    return SYN_SENT if flags & (SYN | ACK | RST) == SYN else MIDSTREAM


@fused
def on_segment(table: FlowTable, slot: int, segment: Segment) -> int:
    """Move the flow in `slot` on by one segment; returns the mask of observations."""
    flow = table.flows[slot]
    flags = segment.flags
    if not flags & (SYN | ACK | RST) and segment.payload:
        return DATA_WITHOUT_ACK
    if flags & (SYN | ACK | RST) == SYN and flow.state in (CLOSED, RESET, MIDSTREAM):
        # The ports are used again (RFC 9293 3.6.1), or the beginning is now seen after all.
        table.wanted[0] = flow
        begin(table, slot, SYN_SENT, segment.sender, segment.time)
    if (
        table.ends[slot, segment.sender].packets == 0
        and flow.state == SYN_SENT
        and (segment.sender == flow.origin)
    ):
        return _opened(table, slot, segment)
    if flow.state == MIDSTREAM:
        return _in_midstream(table, slot, segment)
    if flow.state == SYN_SENT:
        return _in_syn_sent(table, slot, segment)
    if flow.state == SYN_RECEIVED:
        return _in_syn_received(table, slot, segment)
    if flow.state == RESET:
        return _after_reset(table, slot, segment)
    return _in_connection(table, slot, segment)


@fused
def _opened(table: FlowTable, slot: int, segment: Segment) -> int:
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    mine.initial = segment.seq
    mine.next = (segment.seq + 1 + segment.payload) & 0xFFFFFFFF
    mine.sent |= SENT_SYN
    mine.scale = segment.scale
    flow.marks |= FROM_SYN
    if segment.fast_open:
        flow.marks |= FAST_OPEN
    return 0


@fused
def _in_midstream(table: FlowTable, slot: int, segment: Segment) -> int:
    """Strays: what belongs to no connection that was seen to begin (RFC 9293 3.10.7.1)."""
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    seen = 0
    if segment.flags & RST:
        return RST_NO_SESSION
    if segment.flags & SYN:
        mine.next = (segment.seq + 1) & 0xFFFFFFFF
        return SYNACK_UNSOLICITED
    if segment.flags & FIN:
        seen |= FIN_NO_SESSION
    if segment.payload and not flow.marks & TOLD_STRAY:
        flow.marks |= TOLD_STRAY
        seen |= DATA_NO_SESSION
    if mine.packets == 0:
        mine.next = segment.seq
    return seen | advance(table, slot, segment)


@fused
def _in_syn_sent(table: FlowTable, slot: int, segment: Segment) -> int:
    """One end has sent its SYN, the other nothing that counts."""
    flow = table.flows[slot]
    mine, other = table.ends[slot, segment.sender], table.ends[slot, 1 - segment.sender]
    flags, from_opener = segment.flags, segment.sender == flow.origin
    if from_opener:
        if flags & RST:
            return _reset(table, slot, segment)
        if flags & SYN:
            return _syn_again(table, slot, segment)
        # The answer passed elsewhere or was lost to the capture.
        flow.marks |= GUESSED
        flow.state = ESTABLISHED
        other.next = segment.ack
        return advance(table, slot, segment)
    fits = acknowledges_syn(flow, other, segment.ack)
    if flags & RST:
        # RFC 9293 3.10.7.3: a reset counts only where it acknowledges the SYN.
        if not flags & ACK or not fits:
            return INVALID_ACK
        flow.state = RESET
        mine.sent |= SENT_RESET
        return 0
    if flags & (SYN | ACK) == SYN:
        mine.initial = segment.seq
        mine.next = (segment.seq + 1 + segment.payload) & 0xFFFFFFFF
        mine.sent |= SENT_SYN
        mine.scale = segment.scale
        flow.state = SYN_RECEIVED
        return SIMULTANEOUS_OPEN
    if flags & SYN:
        if not fits:
            return HS_WRONG_SEQ_ACK
        mine.initial = segment.seq
        mine.next = (segment.seq + 1 + segment.payload) & 0xFFFFFFFF
        mine.acknowledged = segment.ack
        mine.sent |= SENT_SYN
        mine.scale = segment.scale
        other.next = segment.ack
        flow.state = SYN_RECEIVED
        return 0
    if not flags & ACK or not fits:
        # A half-open peer answers so (RFC 9293 3.5.1); it opens nothing.
        return INVALID_ACK
    flow.marks |= GUESSED
    flow.state = ESTABLISHED
    mine.next = segment.seq
    return advance(table, slot, segment)


@fused
def _syn_again(table: FlowTable, slot: int, segment: Segment) -> int:
    mine = table.ends[slot, segment.sender]
    if segment.seq == mine.initial:
        return RETRANSMIT
    mine.initial = segment.seq
    mine.next = (segment.seq + 1 + segment.payload) & 0xFFFFFFFF
    return HS_RESEND_DIFFERS


@fused
def _in_syn_received(table: FlowTable, slot: int, segment: Segment) -> int:
    """Both ends have sent a SYN; the last acknowledgement is awaited."""
    flow = table.flows[slot]
    mine, other = table.ends[slot, segment.sender], table.ends[slot, 1 - segment.sender]
    flags = segment.flags
    if flags & RST:
        return _reset(table, slot, segment)
    if flags & (SYN | ACK) == SYN:
        return _syn_again(table, slot, segment)
    if flags & SYN:
        same = segment.seq == mine.initial
        if same and mine.acknowledged == 0:
            # After a simultaneous open, both answer with their own SYN.
            mine.acknowledged = segment.ack
            return 0
        if same and segment.ack == mine.acknowledged:
            return RETRANSMIT
        flow.later = segment.seq
        return HS_RESEND_DIFFERS
    if not flags & ACK:
        return 0
    if segment.sender != flow.origin:
        # The peer may send before the last acknowledgement is seen.
        return advance(table, slot, segment)
    if flow.later and segment.ack == (np.int64(flow.later) + 1) & 0xFFFFFFFF:
        # Of two answers, this is the one that the opener believes.
        other.initial = flow.later
        other.next = segment.ack
        flow.later = 0
    ahead, acked = apart(segment.seq, mine.initial), apart(segment.ack, other.initial)
    sent = apart(other.next, other.initial)
    data_on_answer = sent > 1 and not flow.marks & FAST_OPEN and other.packets == 1
    if not 1 <= ahead <= LARGEST_WINDOW or not 1 <= acked <= LARGEST_WINDOW or acked > sent:
        return HS_WRONG_SEQ_ACK
    flow.state = ESTABLISHED
    prove(table, slot, segment.time)
    seen = HS_WRONG_SEQ_ACK if data_on_answer and acked > 1 else 0
    return seen | advance(table, slot, segment)


@fused
def _reset(table: FlowTable, slot: int, segment: Segment) -> int:
    """RFC 5961 3.2: only a reset at exactly the expected number ends a connection at once; ends may
    acknowledge less than was seen, so a number up to that is taken as well."""
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    distance = apart(segment.seq, mine.next)
    if abs(distance) > LARGEST_WINDOW:
        return OUT_OF_WINDOW
    flow.state = RESET
    mine.reset = segment.seq
    mine.sent |= SENT_RESET
    return 0


@fused
def _in_connection(table: FlowTable, slot: int, segment: Segment) -> int:
    """The connection stands, or is being closed, or has just been."""
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    flags = segment.flags
    if flags & RST:
        return _reset(table, slot, segment) if flow.state != CLOSED else 0
    if flags & SYN:
        return _syn_in_connection(table, slot, segment)
    misplaced = flags & FIN and is_misplaced(mine, segment)
    seen = advance(table, slot, segment)
    if flags & FIN and not seen & OUT_OF_WINDOW:
        if misplaced:
            seen |= CLOSE_WRONG_SEQ
        mine.sent |= SENT_FIN
        both = table.ends[slot, 1 - segment.sender].sent & SENT_FIN
        flow.state = CLOSED if both else CLOSING
    return seen


@fused
def _syn_in_connection(table: FlowTable, slot: int, segment: Segment) -> int:
    """RFC 5961 4: a SYN in a connection is at most acknowledged. If the other end accepts it, the
    connection of before was lost (RFC 9293 3.5.1) and a new one begins."""
    flow = table.flows[slot]
    mine, other = table.ends[slot, segment.sender], table.ends[slot, 1 - segment.sender]
    if segment.flags & ACK:
        if flow.later and segment.ack == (np.int64(flow.later) + 1) & 0xFFFFFFFF:
            opener = 1 - segment.sender
            initial = flow.later
            table.wanted[0] = flow
            begin(table, slot, SYN_RECEIVED, opener, segment.time)
            flow.marks = FROM_SYN
            other.initial = initial
            other.next = segment.ack
            other.sent = SENT_SYN
            mine.initial = segment.seq
            mine.next = (segment.seq + 1) & 0xFFFFFFFF
            mine.acknowledged = segment.ack
            mine.sent = SENT_SYN
            mine.scale = segment.scale
            return 0
        if flow.marks & GUESSED and not mine.sent & SENT_SYN:
            # The answer, captured behind what answered it.
            mine.initial = segment.seq
            mine.sent |= SENT_SYN
            mine.scale = segment.scale
            return 0
    elif segment.seq != mine.initial:
        flow.later = segment.seq
    same = segment.seq == mine.initial
    return SYN_IN_ESTABLISHED | REPEATED if same else SYN_IN_ESTABLISHED


@fused
def _after_reset(table: FlowTable, slot: int, segment: Segment) -> int:
    """Who has reset a connection has forgotten it. If it goes on from where the reset stood,
    someone else sent the reset."""
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    if segment.flags & RST or not mine.sent & SENT_RESET:
        return 0
    if segment.flags & SYN:
        other = table.ends[slot, 1 - segment.sender]
        accepts = segment.sender != flow.origin and acknowledges_syn(flow, other, segment.ack)
        return RST_INJECTION if accepts and not mine.sent & SENT_SYN else 0
    return RST_INJECTION if segment.payload and apart(segment.seq, mine.reset) >= 0 else 0
