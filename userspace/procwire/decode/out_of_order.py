"""Segments out of order, which came before what precedes them: held in pieces, by their sequence
numbers, until the gap before them is filled or given up."""

from __future__ import annotations

from typing import NamedTuple

from procwire.compiled.byte_copy import copy_bytes
from procwire.compiled.jit import called, fused
from procwire.decode.flow_table import Record
from procwire.decode.stream_table import (
    HELD,
    PIECE_ROOM,
    Streams,
    piece_at,
    pieces_free,
    take_piece,
)
from procwire.decode.tcp_segment import apart
from procwire.words import Span

MOST_PIECES = 64
"""Held of one direction; no segment is held that needs more by itself."""
LONGEST_WAIT_NS = 10_000_000_000
"""For a gap: several retransmissions (RFC 6298 section 5)."""


class Piece(NamedTuple):
    """Payload of one segment. owner, flow: as in STREAM; seq: of its first byte; time: ns; first:
    sequence number of the direction's first byte, or -1 if its SYN was not seen; acknowledged: of
    the byte that the receiver expects next, or -1; ends: whether nothing comes behind it."""

    owner: int
    flow: int
    seq: int
    time: int
    first: int
    acknowledged: int
    ends: bool


@called
def contradicts_held(memory: Streams, stream: Record, seq: int, payload: Span) -> bool:
    """Whether a byte of a segment, whose first one is `seq`, is another than one that is held; then
    all that is held is told of. Each is compared once, however many pieces have it."""
    number, done = int(stream.held), 0
    # RFC 9293 3.8.4: a single byte may be the garbage of a keep-alive.
    while number and payload.length > 1:
        piece = memory.pieces[number - 1]
        ahead = apart(int(piece.seq), seq)
        end = min(ahead + int(piece.length), payload.length)
        for i in range(max(ahead, done), end):
            if payload.data[payload.start + i] != memory.store[piece_at(number) + i - ahead]:
                _note_told(memory, int(stream.held))
                return True
        done = max(done, end)
        number = int(piece.next)
    return False


@fused
def _note_told(memory: Streams, number: int) -> None:
    while number:
        memory.pieces[number - 1].told = True
        number = int(memory.pieces[number - 1].next)


@fused
def is_keep_alive(payload: Span, piece: Piece) -> bool:
    """Whether a segment has no more than the last byte that its receiver has acknowledged, which is
    garbage (RFC 9293 3.8.4)."""
    known = piece.acknowledged >= 0
    return payload.length == 1 and known and apart(piece.acknowledged, piece.seq) == 1


@called
def hold(memory: Streams, stream: Record, piece: Piece, payload: Span, told: bool) -> bool:
    """Hold a segment; whether there was room for all of it. told: as in PIECE."""
    needed = (payload.length + PIECE_ROOM - 1) // PIECE_ROOM
    if pieces_free(memory) < needed or needed > MOST_PIECES:
        return False
    if stream.held == 0:
        stream.waits = piece.time
    memory.counts[HELD] += 1
    done = 0
    while done < payload.length:
        size = min(PIECE_ROOM, payload.length - done)
        number = take_piece(memory)
        copy_bytes(payload.data, payload.start + done, memory.store, piece_at(number), size)
        _insert(memory, stream, number, (piece.seq + done) & 0xFFFFFFFF)
        memory.pieces[number - 1].length = size
        memory.pieces[number - 1].told = told
        done += size
    return True


@fused
def _insert(memory: Streams, stream: Record, number: int, seq: int) -> None:
    """Put a piece behind those with lower or the same sequence numbers."""
    before, behind = 0, int(stream.held)
    while behind and apart(memory.pieces[behind - 1].seq, seq) <= 0:
        before, behind = behind, int(memory.pieces[behind - 1].next)
    memory.pieces[number - 1].seq = seq
    memory.pieces[number - 1].next = behind
    if before:
        memory.pieces[before - 1].next = number
    else:
        stream.held = number
    stream.pieces += 1


@fused
def gives_up(stream: Record, piece: Piece) -> bool:
    """Whether the first gap will not be filled any more."""
    waited = piece.time - stream.waits
    too_much = stream.pieces > MOST_PIECES or not 0 <= waited <= LONGEST_WAIT_NS
    return bool(too_much or is_acknowledged(stream, piece))


@fused
def is_acknowledged(stream: Record, piece: Piece) -> bool:
    """Whether the receiver has more than the capture shows of it."""
    return piece.acknowledged >= 0 and 0 < apart(piece.acknowledged, stream.high) < 1 << 30
