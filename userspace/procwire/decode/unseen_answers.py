"""Which sources are answered where the capture does not look, as where replies take another way.

A client that acknowledges what nobody was seen to send was answered (RFC 9293 3.5 lets it
acknowledge only that). Once most answers to a source are such, that it got none tells nothing. A
source could feign it; so it counts only where the capture shows as much of most sources, each of
which has two votes.

Bounded: a later source displaces an earlier one, of which silence tells something again.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused
from procwire.decode.columns import Packets
from procwire.decode.flow_hash import end_hash
from procwire.event import Attempt

ANSWERS = np.dtype([("source", "u8"), ("seen", "u4"), ("unseen", "u4")])
"""Answers to one source address (its hash), halved together so that they are of the recent past."""
SOURCES = 4096

_Record: TypeAlias = Any

_ACK = 0x10
_CONNECT, _DATAGRAM, _ACK_PROBE = int(Attempt.CONNECT), int(Attempt.DATAGRAM), int(Attempt.ACK)
_NUMBERS = (1 << 32) - 1
# Of a connection between two of its segments; a number that is drawn is rarely so near.
_MOST_IN_FLIGHT = 1 << 24

_MASK = np.uint64(SOURCES - 1)
# Behind those of the sources those of all.
_ALL = SOURCES
_SAMPLE = 1 << 10
# One lost packet is none. As many of a source count among those of all.
_SEVERAL = 2

_BY_ANSWERS_ALONE = np.zeros(len(Attempt), np.bool_)
_BY_ANSWERS_ALONE[[Attempt.DATAGRAM, Attempt.ECHO, Attempt.ACK, Attempt.MAIMON]] = True


def no_answers() -> NDArray[np.void]:
    """ANSWERS (SOURCES + 1,) of a capture of which nothing was seen yet."""
    return np.zeros(SOURCES + 1, ANSWERS)


@fused
def acknowledges(attempt: _Record, packets: Packets, row: int) -> bool:
    """Whether a later segment of who made an attempt, contact_table.ENTRY, acknowledges an answer.
    What a probe acknowledges is drawn."""
    if attempt.kind == _DATAGRAM or not packets.tcp_flags[row] & _ACK:
        return False
    if attempt.kind == _CONNECT:
        return True
    advanced = (np.int64(packets.ack[row]) - np.int64(attempt.seq)) & _NUMBERS
    return bool(attempt.kind == _ACK_PROBE and 0 < advanced < _MOST_IN_FLIGHT)


@fused
def note_answer(answers: NDArray[np.void], high: np.uint64, low: np.uint64, is_seen: bool) -> None:
    """Count an answer to the source with that address."""
    source = end_hash(high, low, 0)
    place = np.int64(source & _MASK)
    entry = answers[place]
    if entry.source != source:
        entry.source = source
        entry.seen = entry.unseen = 0
    if entry.seen + entry.unseen < _SEVERAL:
        _count(answers[_ALL], is_seen)
    _count(entry, is_seen)


@fused
def _count(entry: _Record, is_seen: bool) -> None:
    entry.seen += is_seen
    entry.unseen += not is_seen
    if entry.seen + entry.unseen >= _SAMPLE:
        entry.seen //= 2
        entry.unseen //= 2


@fused
def tells_nothing(
    answers: NDArray[np.void], high: np.uint64, low: np.uint64, kind: int | np.int64
) -> bool:
    """Whether that an attempt of a source got no answer tells nothing. Of a connection its own
    packets tell, and no system sends the other kinds but to probe."""
    every = answers[_ALL]
    if not _BY_ANSWERS_ALONE[kind] or every.seen >= every.unseen:
        return False
    source = end_hash(high, low, 0)
    entry = answers[np.int64(source & _MASK)]
    is_known = entry.source == source and entry.unseen >= _SEVERAL
    return bool(is_known and entry.unseen > entry.seen)
