"""Puts the segments of each direction of a TCP connection in order, compares what is sent again
with what was sent before, and hands the bytes to the cursor.

Policy: the bytes that came first are kept, as a receiver has delivered them by then. A segment
behind a gap is held until the gap is filled. The gap is passed over when the receiver acknowledges
bytes behind it, so that the capture has lost them, or when it was waited for too long or for too
much.
"""

from __future__ import annotations

from procwire.compiled.jit import called, fused
from procwire.decode.cursor import cut_short, deliver, finish
from procwire.decode.flow_table import Record
from procwire.decode.message_parts import behind_start, elsewhere
from procwire.decode.message_spans import Found, MessageSpans
from procwire.decode.out_of_order import (
    Piece,
    contradicts_held,
    gives_up,
    hold,
    is_acknowledged,
    is_keep_alive,
)
from procwire.decode.read_only import own_span
from procwire.decode.retransmissions import contradicts, remember
from procwire.decode.stream_table import (
    ENDS,
    EVICTED,
    GAPS,
    OUT_OF_SYNC,
    SYNC_LOST,
    UNDECIDED,
    Streams,
    begin_stream,
    drop_first_piece,
    end_stream,
    piece_at,
)
from procwire.decode.tcp_segment import apart
from procwire.words import Span


@called
def read_segment(
    memory: Streams, spans: MessageSpans, found: Found, payload: Span, piece: Piece
) -> bool:
    """Enter the payload of a segment; whether bytes that were sent before are others now. What the
    capture cut is a gap."""
    stream = memory.streams[found.place]
    if stream.owner != piece.owner or stream.flow != piece.flow:
        if stream.owner not in (0, piece.owner) and stream.used > 0:
            memory.counts[EVICTED] += 1
        first = piece.first if piece.first >= 0 else piece.seq
        begin_stream(memory, stream, first, piece.first >= 0)
        stream.owner = piece.owner
        stream.flow = piece.flow
    stream.used = piece.time
    differs = False
    if payload.length > 0:
        ahead = apart(piece.seq, stream.high)
        whole = payload.captured == payload.length
        early = ahead > 0 and whole
        if early and stream.held:
            differs = contradicts_held(memory, stream, piece.seq, payload)
        if early and (
            is_keep_alive(payload, piece) or hold(memory, stream, piece, payload, differs)
        ):
            while stream.held and gives_up(stream, piece):
                differs |= _release(memory, spans, found, True)
                stream.waits = piece.time
        else:
            while stream.held and apart(memory.pieces[stream.held - 1].seq, piece.seq) <= 0:
                differs |= _release(memory, spans, found, True)
            if apart(piece.seq, stream.high) > 0:
                _pass_gap(memory, spans, found, piece.seq)
            differs |= _take(memory, spans, found, payload, piece.seq)
            if stream.held:
                differs |= _release(memory, spans, found, False)
    if piece.ends:
        if stream.held and is_acknowledged(stream, piece):
            differs |= _release(memory, spans, found, True)
        stream.end = (piece.seq + payload.length) & 0xFFFFFFFF
        stream.marks |= ENDS
    if stream.marks & ENDS and stream.held == 0 and apart(stream.end, stream.high) <= 0:
        finish(memory, spans, found)
        end_stream(memory, found.place)
    return differs


@called
def _release(memory: Streams, spans: MessageSpans, found: Found, over_gap: bool) -> bool:
    """Deliver the held pieces that are next; over_gap: first pass over the gap before them. Whether
    one contradicts what was delivered, which is not told yet."""
    stream = memory.streams[found.place]
    differs = False
    held = elsewhere(found)
    while stream.held:
        number = int(stream.held)
        piece = memory.pieces[number - 1]
        seq, size = int(piece.seq), int(piece.length)
        if apart(seq, stream.high) > 0:
            if not over_gap:
                return differs
            _pass_gap(memory, spans, found, seq)
            over_gap = False
        payload = own_span(memory.store, piece_at(number), size, size)
        contradicts = _take(memory, spans, held, payload, seq)
        differs |= contradicts and not piece.told
        drop_first_piece(memory, stream)
    return differs


@called
def _pass_gap(memory: Streams, spans: MessageSpans, found: Found, seq: int) -> None:
    """Go on at `seq`. What lies before it never came; inside a body that makes no difference."""
    stream = memory.streams[found.place]
    missing = apart(seq, stream.high)
    memory.counts[GAPS] += 1
    cut_short(memory, spans, found)
    if stream.skip >= missing:
        stream.skip -= missing
    else:
        if stream.phase != OUT_OF_SYNC:
            memory.counts[SYNC_LOST] += 1
        stream.skip = 0
        stream.phase = OUT_OF_SYNC
    stream.low = seq
    stream.high = seq


@fused
def _take(memory: Streams, spans: MessageSpans, found: Found, payload: Span, seq: int) -> bool:
    """Compare what is known of a payload, and deliver the rest of it; what the capture cut of it
    is passed over."""
    place = found.place
    stream = memory.streams[place]
    size = payload.length
    old = min(size, -apart(seq, stream.high))
    differs = contradicts(memory, place, payload, seq, old)
    if old == size:
        return differs
    captured = payload.captured - old
    whole = payload.captured == size
    if captured > 0:
        new = Span(payload.data, payload.start + old, captured, captured)
        if whole:
            remember(memory, place, payload, old)
        deliver(memory, spans, found if old == 0 else behind_start(found), new)
    if not whole:
        stream.high = (seq + max(payload.captured, old)) & 0xFFFFFFFF
        _pass_gap(memory, spans, found, (seq + size) & 0xFFFFFFFF)
    return differs


@called
def flush_stream(memory: Streams, spans: MessageSpans, found: Found) -> None:
    """The input ends: deliver what a direction holds, and judge the message it has begun."""
    stream = memory.streams[found.place]
    while stream.held:
        _release(memory, spans, found, True)
    finish(memory, spans, found)


@fused
def has_begun(stream: Record) -> bool:
    """Whether flush_stream() has anything to do."""
    return bool(stream.held or (stream.filled and stream.phase != UNDECIDED))
