"""Follows TCP connections through the states of RFC 9293 3.3.2, seen from between the two ends.

One function per state takes a segment and returns what is wrong with it as a mask of observations.
What has no place in a connection is observed and otherwise ignored, as RFC 5961 asks of the ends,
so that a forged segment does not change what is expected next.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.decode.flow_table import (
    ASKED_TO_OPEN,
    CLOSED,
    CLOSING,
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
)
from procwire.decode.observations import (
    CLOSE_WRONG_SEQ,
    DATA_NO_SESSION,
    DATA_WITHOUT_ACK,
    FIN_NO_SESSION,
    OUT_OF_WINDOW,
    REPEATED,
    RST_INJECTION,
    RST_NO_SESSION,
    SYN_IN_ESTABLISHED,
    SYNACK_UNSOLICITED,
)
from procwire.decode.tcp_handshake import (
    begin_again,
    in_syn_received,
    in_syn_sent,
    on_first_syn,
    reset,
)
from procwire.decode.tcp_segment import (
    ACK,
    FIN,
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
        stray = flags & FIN and flow.state == MIDSTREAM
        return DATA_WITHOUT_ACK | FIN_NO_SESSION if stray else DATA_WITHOUT_ACK
    if flags & (SYN | ACK | RST) == SYN and flow.state in (CLOSED, RESET, MIDSTREAM):
        # The ports are used again (RFC 9293 3.6.1), or the beginning is now seen after all.
        begin(table, slot, SYN_SENT, segment.sender, segment.time)
    if (
        table.ends[slot, segment.sender].packets == 0
        and flow.state == SYN_SENT
        and (segment.sender == flow.origin)
    ):
        return on_first_syn(table, slot, segment)
    if flow.state == MIDSTREAM:
        return _in_midstream(table, slot, segment)
    if flow.state == SYN_SENT:
        return in_syn_sent(table, slot, segment)
    if flow.state == SYN_RECEIVED:
        return in_syn_received(table, slot, segment)
    if flow.state == RESET:
        return _after_reset(table, slot, segment)
    return _in_connection(table, slot, segment)


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
def _in_connection(table: FlowTable, slot: int, segment: Segment) -> int:
    """The connection stands, or is being closed, or has just been."""
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    flags = segment.flags
    if flags & RST:
        return reset(table, slot, segment) if flow.state != CLOSED else 0
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
    seen = SYN_IN_ESTABLISHED
    if segment.flags & ACK:
        if flow.later and segment.ack == flow.later:
            begin_again(table, slot, segment)
            return 0
        if not other.sent & ASKED_TO_OPEN:
            seen |= SYNACK_UNSOLICITED
        elif flow.marks & GUESSED and not mine.sent & SENT_SYN:
            # The answer, captured behind what answered it.
            mine.initial = segment.seq
            mine.sent |= SENT_SYN
            mine.scale = segment.scale
            return 0
    elif segment.seq != mine.initial:
        flow.later = (segment.seq + 1) & 0xFFFFFFFF
    return seen | REPEATED if segment.seq == mine.initial else seen


@fused
def _after_reset(table: FlowTable, slot: int, segment: Segment) -> int:
    """Who has reset a connection has forgotten it. If it goes on from where the reset stood,
    someone else sent the reset."""
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    other = table.ends[slot, 1 - segment.sender]
    if segment.flags & RST:
        return 0
    if segment.flags & SYN and not other.sent & ASKED_TO_OPEN:
        return SYNACK_UNSOLICITED
    if not mine.sent & SENT_RESET:
        return 0
    if segment.flags & SYN:
        accepts = segment.sender != flow.origin and acknowledges_syn(flow, other, segment.ack)
        return RST_INJECTION if accepts and not mine.sent & SENT_SYN else 0
    # What ends its data may have been captured behind the reset, or be sent again.
    goes_on = segment.payload or segment.flags & FIN and not mine.sent & SENT_FIN
    return RST_INJECTION if goes_on and apart(segment.seq, mine.reset) >= 0 else 0
