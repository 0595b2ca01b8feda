"""The handshake that opens a TCP connection (RFC 9293 3.5), and how a reset ends it.

Functions as tcp_state.py has them: each takes a segment and returns what is wrong with it as a mask
of observations.
"""

from __future__ import annotations

import numpy as np

from procwire.compiled.jit import fused
from procwire.decode.flow_table import (
    ASKED_TO_OPEN,
    ESTABLISHED,
    FAST_OPEN,
    FROM_SYN,
    GUESSED,
    REFUSED,
    RESET,
    SENT_RESET,
    SENT_SYN,
    SYN_RECEIVED,
    FlowTable,
    Record,
    begin,
)
from procwire.decode.observations import (
    FIN_NO_SESSION,
    HS_RESEND_DIFFERS,
    HS_WRONG_SEQ_ACK,
    INVALID_ACK,
    OUT_OF_WINDOW,
    RETRANSMIT,
    SIMULTANEOUS_OPEN,
    SYNACK_UNSOLICITED,
)
from procwire.decode.proofs import prove
from procwire.decode.tcp_segment import (
    ACK,
    FIN,
    LARGEST_UNSCALED,
    LARGEST_WINDOW,
    RST,
    SYN,
    Segment,
    acknowledges_syn,
    advance,
    apart,
)

_SOONEST_AGAIN_NS = 1_000_000_000  # RFC 6298 2.1: before that no SYN is sent again


@fused
def on_first_syn(table: FlowTable, slot: int, segment: Segment) -> int:
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    mine.initial = segment.seq
    mine.next = (segment.seq + 1 + segment.payload) & 0xFFFFFFFF
    mine.sent |= SENT_SYN | ASKED_TO_OPEN
    mine.scale = segment.scale
    flow.marks |= FROM_SYN
    if segment.fast_open:
        flow.marks |= FAST_OPEN
    # A FIN beside the SYN ends what has not begun.
    return FIN_NO_SESSION if segment.flags & FIN else 0


@fused
def in_syn_sent(table: FlowTable, slot: int, segment: Segment) -> int:
    """One end has sent its SYN, the other nothing that counts."""
    flow = table.flows[slot]
    mine, other = table.ends[slot, segment.sender], table.ends[slot, 1 - segment.sender]
    flags, from_opener = segment.flags, segment.sender == flow.origin
    if from_opener:
        if flags & RST:
            return reset(table, slot, segment)
        if flags & ACK and flags & SYN:
            return SYNACK_UNSOLICITED | HS_RESEND_DIFFERS
        if flags & SYN:
            seen = _syn_again(flow, mine, segment)
            # Who was not answered gives up at last, or when told that nobody is there (RFC 1122
            # 4.2.3.9), and opens anew from the same port.
            late = segment.time - flow.last >= _SOONEST_AGAIN_NS
            gave_up = late or mine.sent & REFUSED != 0
            return seen & ~HS_RESEND_DIFFERS if gave_up else seen
        # The answer passed elsewhere or was lost to the capture.
        _prefers_later(flow, mine, segment.seq)
        flow.marks |= GUESSED
        flow.state = ESTABLISHED
        other.next = segment.ack
        return advance(table, slot, segment)
    fits = flags & ACK != 0 and (
        _prefers_later(flow, other, segment.ack) or acknowledges_syn(flow, other, segment.ack)
    )
    if flags & RST:
        # RFC 9293 3.10.7.3: a reset counts only where it acknowledges the SYN.
        if not fits:
            return INVALID_ACK
        flow.state = RESET
        mine.sent |= SENT_RESET
        return 0
    if flags & SYN and flags & ACK and not fits:
        return HS_WRONG_SEQ_ACK
    if flags & SYN:
        mine.initial = segment.seq
        mine.next = (segment.seq + 1 + segment.payload) & 0xFFFFFFFF
        mine.sent |= SENT_SYN
        mine.scale = segment.scale
        flow.state = SYN_RECEIVED
        if not flags & ACK:
            mine.sent |= ASKED_TO_OPEN
            return SIMULTANEOUS_OPEN
        mine.acknowledged = segment.ack
        other.next = segment.ack
        return 0
    if not fits:
        # A half-open peer answers so (RFC 9293 3.5.1); it opens nothing.
        return INVALID_ACK
    flow.marks |= GUESSED
    flow.state = ESTABLISHED
    mine.next = segment.seq
    return advance(table, slot, segment)


@fused
def in_syn_received(table: FlowTable, slot: int, segment: Segment) -> int:
    """Both ends have sent a SYN; the last acknowledgement is awaited."""
    flow = table.flows[slot]
    mine, other = table.ends[slot, segment.sender], table.ends[slot, 1 - segment.sender]
    flags = segment.flags
    if flags & RST:
        return reset(table, slot, segment)
    if flags & (SYN | ACK) == SYN:
        return _syn_again(flow, mine, segment)
    if flags & SYN:
        return _answer_again(table, slot, segment)
    if not flags & ACK:
        return 0
    from_opener = segment.sender == flow.origin
    if from_opener:
        # Of two answers, this may be the one that the opener believes.
        _prefers_later(flow, other, segment.ack)
    ahead, acked = apart(segment.seq, mine.initial), apart(segment.ack, other.initial)
    if not from_opener:
        # The peer may send before the last acknowledgement is seen, as far as the SYN lets it.
        if not 1 <= ahead <= LARGEST_UNSCALED + 1 or not 1 <= acked <= LARGEST_WINDOW:
            return HS_WRONG_SEQ_ACK
        return advance(table, slot, segment)
    sent = apart(other.next, other.initial)
    data_on_answer = sent > 1 and not flow.marks & FAST_OPEN and other.packets == 1
    # Data may follow what the capture has lost; an acknowledgement alone opens the connection.
    alone = flags == ACK and segment.payload == 0 and acked == 1
    most = LARGEST_UNSCALED + 1 if alone else LARGEST_WINDOW
    if not 1 <= ahead <= most or not 1 <= acked <= LARGEST_WINDOW or acked > sent:
        return HS_WRONG_SEQ_ACK
    flow.state = ESTABLISHED
    hi, lo = flow.low_hi, flow.low_lo
    if flow.origin:
        hi, lo = flow.high_hi, flow.high_lo
    prove(table.proofs, hi, lo, segment.time)
    seen = HS_WRONG_SEQ_ACK if data_on_answer and acked > 1 else 0
    return seen | advance(table, slot, segment)


@fused
def _syn_again(flow: Record, mine: Record, segment: Segment) -> int:
    """A SYN of an end that sent one before. The first one counts until the peer has answered the
    later one: whoever forges a SYN changes nothing."""
    following = (segment.seq + 1) & 0xFFFFFFFF
    same = segment.seq == mine.initial and mine.sent & ASKED_TO_OPEN
    if same or (flow.later and following == flow.later):
        return RETRANSMIT
    flow.later = following
    return HS_RESEND_DIFFERS


@fused
def _prefers_later(flow: Record, end: Record, following: int) -> bool:
    """Whether `following` is the number behind the later of an end's two SYNs, which is from now on
    the one that counts."""
    if flow.later == 0 or following != flow.later:
        return False
    end.initial = (np.int64(flow.later) - 1) & 0xFFFFFFFF
    end.next = flow.later
    flow.later = 0
    return True


@fused
def _answer_again(table: FlowTable, slot: int, segment: Segment) -> int:
    """A SYN-ACK in a handshake that has seen one, or a SYN of each end (RFC 9293 3.5)."""
    flow = table.flows[slot]
    mine, other = table.ends[slot, segment.sender], table.ends[slot, 1 - segment.sender]
    if not other.sent & ASKED_TO_OPEN:
        return SYNACK_UNSOLICITED
    same = segment.seq == mine.initial
    if flow.later and segment.ack == flow.later:
        begin_again(table, slot, segment)
        return HS_RESEND_DIFFERS
    if mine.sent & ASKED_TO_OPEN and mine.acknowledged == 0:
        # Both have asked to open, so each answers with its own SYN.
        if not acknowledges_syn(flow, other, segment.ack):
            return HS_WRONG_SEQ_ACK
        if same:
            mine.acknowledged = segment.ack
            return 0
        flow.later = (segment.seq + 1) & 0xFFFFFFFF
        return HS_WRONG_SEQ_ACK | HS_RESEND_DIFFERS
    if same and segment.ack == mine.acknowledged:
        return RETRANSMIT
    flow.later = (segment.seq + 1) & 0xFFFFFFFF
    return HS_RESEND_DIFFERS


@fused
def begin_again(table: FlowTable, slot: int, segment: Segment) -> None:
    """A SYN-ACK has accepted the later SYN of its peer."""
    flow, opener, following = table.flows[slot], 1 - segment.sender, table.flows[slot].later
    mine, other = table.ends[slot, segment.sender], table.ends[slot, opener]
    begin(table, slot, SYN_RECEIVED, opener, segment.time)
    flow.marks = FROM_SYN
    other.initial = (np.int64(following) - 1) & 0xFFFFFFFF
    other.next = following
    other.sent = SENT_SYN | ASKED_TO_OPEN
    mine.initial = segment.seq
    mine.next = (segment.seq + 1) & 0xFFFFFFFF
    mine.acknowledged = segment.ack
    mine.sent = SENT_SYN
    mine.scale = segment.scale


@fused
def reset(table: FlowTable, slot: int, segment: Segment) -> int:
    """RFC 5961 3.2: only a reset at exactly the expected number ends a connection at once; ends may
    acknowledge less than was seen, so a number up to that is taken as well. One from before its
    sender's SYN ends a connection of before, whose ports are used again (RFC 9293 3.10.7.4)."""
    flow, mine = table.flows[slot], table.ends[slot, segment.sender]
    # Of more bytes the numbers may have come round.
    ordered = mine.sent & SENT_SYN and mine.bytes <= LARGEST_WINDOW
    earlier = ordered and apart(segment.seq, mine.initial) < 0
    if earlier or abs(apart(segment.seq, mine.next)) > LARGEST_WINDOW:
        return OUT_OF_WINDOW
    flow.state = RESET
    mine.reset = segment.seq
    mine.sent |= SENT_RESET
    return 0
