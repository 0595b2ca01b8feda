"""Attempts without an answer, where the capture shows none."""

from __future__ import annotations

import numpy as np
import pytest
from naive_contacts import ACK, FIN, PSH, SYN, URG
from procwire import layers
from procwire.decode.contacts import Contacts
from procwire.event import Outcome
from procwire.record import Attempt
from test_contacts import CLIENT, SECOND, SERVER, columns, replay, syn, track


@pytest.mark.parametrize(
    ("second", "answered"),
    [(1460, True), ((1 << 32) - 1, False), (1 << 28, False), (0, False)],
)
def test_acknowledging_more_is_no_probe(second, answered):
    probe = (5, CLIENT, 40000, SERVER, 80, ACK, 1)
    made, times = columns([probe, probe])
    made.ack[:] = (1 << 32) - 400, ((1 << 32) - 400 + second) % (1 << 32)
    rows = track(Contacts(), made, times)
    ends = [Outcome.ESTABLISHED] if answered else []
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, *ends]


def silence(tracker, kind, source=CLIENT):
    """The outcomes of an attempt of a kind that nobody answers."""
    flags = {Attempt.CONNECT: SYN, Attempt.NULL: 0, Attempt.FIN: FIN, Attempt.ACK: ACK}
    flags |= {Attempt.XMAS: FIN | PSH | URG, Attempt.MAIMON: FIN | ACK, Attempt.DATAGRAM: 0}
    tried = [(100 * SECOND, source, 50000, SERVER + 7, 5000, flags[kind], 1)]
    transport = layers.UDP if kind == Attempt.DATAGRAM else layers.TCP
    rows = np.concatenate([replay(tracker, tried, transport), tracker.flush()])
    return [row["outcome"] for row in rows]


def unseen(sport):
    return [syn(5, sport=sport), (6, CLIENT, sport, SERVER, 80, ACK, 2)]


def seen(sport, source=CLIENT):
    ask = (5, source, sport, SERVER, 80, SYN, 1)
    return [ask, (6, SERVER, 80, source, sport, SYN | ACK, 9)]


TOLD, UNTOLD = [Outcome.PENDING, Outcome.TIMED_OUT], [Outcome.PENDING]


@pytest.mark.parametrize("kind", [Attempt.DATAGRAM, Attempt.ACK, Attempt.MAIMON])
def test_that_nobody_is_seen_to_answer_tells_nothing_where_answers_are_not_captured(kind):
    tracker = Contacts()
    replay(tracker, [*unseen(1), *unseen(2)])
    assert silence(tracker, kind) == UNTOLD
    assert tracker.counters()["one_sided"] == 1
    assert tracker.counters()["timed_out"] == 0


@pytest.mark.parametrize("kind", [Attempt.CONNECT, Attempt.NULL, Attempt.FIN, Attempt.XMAS])
def test_what_only_scanners_send_is_told_where_answers_are_not_captured(kind):
    tracker = Contacts()
    replay(tracker, [*unseen(1), *unseen(2)])
    assert silence(tracker, kind) == TOLD


@pytest.mark.parametrize(
    "before",
    [
        unseen(1),
        [*unseen(1), *unseen(2), *seen(3), *seen(4)],
        # Who feigns it, however often, where others are answered.
        [
            *(packet for other in (1, 2) for packet in seen(other, SERVER + other)),
            *(packet for n in range(1, 1500) for packet in unseen(n)),
        ],
    ],
    ids=["one may be lost", "half are seen", "others' are seen"],
)
def test_that_nobody_answers_is_told_where_answers_are_captured(before):
    tracker = Contacts()
    replay(tracker, before)
    assert silence(tracker, Attempt.DATAGRAM) == TOLD


def test_answers_of_one_source_tell_nothing_of_another():
    tracker = Contacts()
    replay(tracker, [*unseen(1), *unseen(2)])
    assert silence(tracker, Attempt.DATAGRAM, source=SERVER + 1) == TOLD
