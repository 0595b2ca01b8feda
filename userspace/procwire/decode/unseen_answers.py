"""Which sources are answered where the capture does not look, as where replies take another way.

A client that acknowledges what nobody was seen to send was answered (RFC 9293 3.5 lets it
acknowledge only that). Once most answers to a source are such, that it got none tells nothing. A
source could feign it; so it counts only where the capture shows as much of most sources, each of
which has two votes.

Of datagrams none acknowledges, so other signs count where answers are not seen to others either. A
source that sends eight to one port of a host in the time in which it waits for an answer does not
ask in vain: that would be three (RFC 8085 3.1.1). Nor does one that answers what nobody was seen to
ask. And who asks name servers about many zones looks for names; who looks for name servers asks
them all the same.

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

ANSWERS = np.dtype(
    [
        ("source", "u8"),
        ("about", "u8"),
        ("seen", "u4"),
        ("unseen", "u4"),
        ("streams", "u4"),
        ("asked", "u1"),
        ("zones", "u1"),
        ("resolves", "u1"),
    ],
    align=True,
)
"""Answers to one source address (its hash), and flows that go on without one (streams), halved
together so that they are of the recent past. asked: questions to name servers, up to a number at
which is begun anew; about, zones: of these a bit for each zone, and how many bits; resolves:
whether they are many."""
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

_QUESTIONS, _ZONE_MASK = 64, 63
_MANY_ZONES = 8

STREAM = 8
"""Datagrams of a flow that nobody sends in vain."""

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
    entry = answers[_place_of(answers, high, low)]
    if entry.seen + entry.unseen < _SEVERAL:
        _count(answers[_ALL], is_seen)
    _count(entry, is_seen)


@fused
def note_stream(answers: NDArray[np.void], high: np.uint64, low: np.uint64) -> None:
    """Count a flow of the source with that address that goes on although no answer is seen."""
    entry = answers[_place_of(answers, high, low)]
    entry.streams += 1
    _halve(entry)


@fused
def note_question(
    answers: NDArray[np.void], high: np.uint64, low: np.uint64, zone: int | np.int64
) -> None:
    """Remember that the source with that address asks a name server about a zone, a hash."""
    entry = answers[_place_of(answers, high, low)]
    if entry.asked == _QUESTIONS:
        entry.resolves = entry.zones >= _MANY_ZONES
        entry.about = entry.asked = entry.zones = 0
    bit = np.uint64(1) << np.uint64(zone & _ZONE_MASK)
    entry.zones += entry.about & bit == 0
    entry.about |= bit
    entry.asked += 1
    entry.resolves |= entry.zones >= _MANY_ZONES


@fused
def _place_of(answers: NDArray[np.void], high: np.uint64, low: np.uint64) -> np.int64:
    """The place of the source with that address, from now on its own."""
    source = end_hash(high, low, 0)
    place = np.int64(source & _MASK)
    entry = answers[place]
    if entry.source != source:
        entry.source = source
        entry.about = np.uint64(0)
        entry.seen = entry.unseen = entry.streams = 0
        entry.asked = entry.zones = entry.resolves = 0
    return place


@fused
def _count(entry: _Record, is_seen: bool) -> None:
    entry.seen += is_seen
    entry.unseen += not is_seen
    _halve(entry)


@fused
def _halve(entry: _Record) -> None:
    if entry.seen + entry.unseen + entry.streams >= _SAMPLE:
        entry.seen //= 2
        entry.unseen //= 2
        entry.streams //= 2


@fused
def tells_nothing(
    answers: NDArray[np.void], high: np.uint64, low: np.uint64, kind: int | np.int64
) -> bool:
    """Whether that an attempt of a source got no answer tells nothing. Of a connection its own
    packets tell, and no system sends the other kinds but to probe."""
    every = answers[_ALL]
    are_seen = every.seen > 0 and every.seen >= every.unseen
    if are_seen or not _BY_ANSWERS_ALONE[kind]:
        return False
    source = end_hash(high, low, 0)
    entry = answers[np.int64(source & _MASK)]
    if entry.source != source:
        return False
    unseen = np.int64(entry.unseen)
    if kind == _DATAGRAM:
        unseen += entry.streams + _SEVERAL * entry.resolves
    return bool(unseen >= _SEVERAL and unseen > entry.seen)
