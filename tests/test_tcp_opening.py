"""How TCP connections open, and what others forge into that."""

from __future__ import annotations

import pytest
from procwire.decode.tcp_segment import ACK, SYN
from test_flow import PSH, SECOND, WHOLE, ask, handshake, observed, reply


@pytest.mark.parametrize("initial", [777, 0])
def test_the_answer_that_the_client_believes_is_followed(initial):
    packets = [*handshake()[:2], reply(SYN | ACK, initial, 101), ask(ACK, 101, initial + 1)]
    assert observed([*packets, reply(ACK | PSH, initial + 1, 101, 9)])[3:] == [[], []]


@pytest.mark.parametrize(
    ("place", "forged"),
    [
        (1, ask(SYN, 4000)),
        (1, ask(SYN | ACK, 4000, 7)),
        (2, ask(SYN, 4000)),
        (2, ask(SYN | ACK, 4000, 501)),
        (2, reply(SYN, 9000)),
        (2, reply(SYN | ACK, 9000, 101)),
        (2, reply(ACK, 9000, 7)),
    ],
)
def test_what_is_forged_into_a_handshake_does_not_change_it(place, forged):
    packets = [*WHOLE[:place], forged, *WHOLE[place:]]
    seen = observed(packets)
    assert seen.pop(place)
    assert not any(seen)


def test_of_two_syns_the_one_that_is_answered_counts():
    for initial in (100, 4000):
        answer = reply(SYN | ACK, 500, initial + 1)
        packets = [ask(SYN, 100), ask(SYN, 4000), answer, ask(ACK, initial + 1, 501)]
        assert observed(packets) == [[], ["hs_resend_differs"], [], []]


def test_who_was_not_answered_opens_anew_from_the_same_port():
    later = [ask(SYN, 4000, time=SECOND), ask(SYN, 4000, time=SECOND + 1)]
    answer = [reply(SYN | ACK, 500, 4001, time=2 * SECOND), ask(ACK, 4001, 501, time=2 * SECOND)]
    assert observed([ask(SYN, 100), *later, *answer]) == [[], [], ["retransmit"], [], []]
    sooner = ask(SYN, 4000, time=SECOND - 1)
    assert observed([ask(SYN, 100), sooner])[1] == ["hs_resend_differs"]
    answered = [*handshake()[:2], ask(SYN, 4000, time=SECOND)]
    assert observed(answered)[2] == ["hs_resend_differs"]


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ask(SYN | ACK, 100, 501), []),
        (ask(SYN | ACK, 100, 500), ["hs_wrong_seq_ack"]),
        (ask(SYN | ACK, 101, 501), ["hs_wrong_seq_ack", "hs_resend_differs"]),
    ],
)
def test_both_ends_that_ask_to_open_answer_with_their_own_syn(packet, expected):
    assert observed([ask(SYN, 100), reply(SYN, 500), packet])[2] == expected


def test_only_who_was_asked_to_open_answers():
    answer = ask(SYN | ACK, 100, 501)
    assert observed([ask(SYN, 100), answer])[1] == ["synack_unsolicited", "hs_resend_differs"]
    assert observed([*handshake(), answer])[3] == ["synack_unsolicited", "syn_in_established"]
