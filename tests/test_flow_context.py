"""What conversations rest on: whether the capture has shown enough for an observation to count."""

from __future__ import annotations

import pytest
from procwire.decode.flow import Flows
from procwire.decode.flow_table import BEGUN
from procwire.decode.tcp_segment import ACK, FIN, RST, SYN
from test_flow import PSH, SECOND, ask, handshake, names, reply, update

DAY = 86_400 * SECOND


def connections(count, time, step):
    """Handshakes and a byte of data from `count` ports."""
    return [
        packet
        for i in range(count)
        for packet in (
            *handshake(1000 + i, time + i * step),
            ask(ACK, 101, 501, 1, time + i * step, 1000 + i),
            reply(ACK, 501, 102, 0, time + i * step, 1000 + i),
        )
    ]


INJECTED = [reply(RST, 501, port=1019), reply(ACK | PSH, 501, 101, 9, port=1019)]


def late(packets, time):
    return [(time, *packet[1:]) for packet in packets]


def trusted(packets):
    return names(update(Flows(warm_up_ns=60 * SECOND), packets).trusted[-1])


def test_context_holds_once_a_two_sided_capture_has_warmed_up():
    warm = connections(20, 0, 4 * SECOND)
    assert trusted([*warm, *late(INJECTED, 77 * SECOND)]) == ["rst_injection"]
    assert trusted([*warm, reply(SYN | ACK, 5, 6, time=77 * SECOND)]) == ["synack_unsolicited"]


def test_context_does_not_hold_without_warm_up_or_with_few_or_one_sided_connections():
    stray = reply(SYN | ACK, 5, 6, time=77 * SECOND)
    cold = connections(20, 0, SECOND)
    assert trusted([*cold, *late(INJECTED, 20 * SECOND)]) == []
    assert trusted([*connections(7, 0, SECOND), stray]) == []
    one_way = [
        ask(ACK, 10 + i, 5, 1, time=SECOND, port=port) for port in range(10) for i in range(9)
    ]
    assert trusted([*connections(20, 0, 3 * SECOND), *one_way, stray]) == []


def test_context_does_not_hold_on_a_capture_that_drops():
    missing = [ask(ACK, 500 + 50 * i, 501, 9, 76 * SECOND, 1019) for i in range(20)]
    warm = connections(20, 0, 4 * SECOND)
    assert trusted([*warm, *missing, reply(SYN | ACK, 5, 6, time=77 * SECOND)]) == []


def test_one_stray_is_no_evidence_and_several_of_one_source_are():
    warm = connections(20, 0, 4 * SECOND)
    strays = [ask(FIN, 5, time=77 * SECOND, port=port) for port in range(2000, 2005)]
    assert trusted([*warm, *strays[:4]]) == []
    assert trusted([*warm, *strays]) == ["fin_no_session"]


def test_a_repeated_answer_is_evidence_of_nothing():
    warm = connections(20, 0, 4 * SECOND)
    again = reply(SYN | ACK, 500, 101, port=1019, time=77 * SECOND)
    other = reply(SYN | ACK, 600, 101, port=1019, time=77 * SECOND)
    assert trusted([*warm, again]) == []
    assert trusted([*warm, other]) == ["syn_in_established"]


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_a_clock_that_is_set_makes_no_stray_of_what_goes_on(step):
    warm = connections(20, 2 * DAY, 4 * SECOND)
    after = 2 * DAY + 80 * SECOND + step
    strays = [ask(FIN, 5, time=after, port=port) for port in range(2000, 2009)]
    assert trusted([*warm, *strays]) == []
    # Nor does a single packet of another time.
    back = late(strays, after - step)
    assert trusted([*warm, strays[0], *back[1:]]) == []
    # What the capture shows since then counts again.
    again = connections(20, after, 4 * SECOND)
    assert trusted([*warm, *again, *late(strays, after + 77 * SECOND)]) == ["fin_no_session"]


@pytest.mark.parametrize("step", [0, DAY, -DAY])
def test_where_a_clock_was_set_a_connection_may_open_anew(step):
    """As where captures were joined: the same again, or another of the same ports."""
    before = connections(2, 2 * DAY, SECOND)
    elsewhere = ask(ACK, 7, 9, 1, 2 * DAY + step, 5000)
    for syn in (100, 4000):
        opens = ask(SYN, syn, time=2 * DAY + 5 * SECOND, port=1000)
        answer = reply(SYN | ACK, 500, syn + 1, time=2 * DAY + 5 * SECOND, port=1000)
        seen = update(Flows(), [*before, elsewhere, opens, answer]).observed[-2:]
        if step:
            assert not seen.any()
        else:
            assert names(seen[0]) == ["syn_in_established"]


def test_which_flows_are_older_than_a_set_clock_is_known_beyond_32_bits():
    flows = Flows()
    flows._table.counts[BEGUN] = (1 << 32) - 2
    before = connections(1, 2 * DAY, SECOND)
    elsewhere = ask(ACK, 7, 9, 1, DAY, 5000)
    opens = ask(SYN, 4000, time=2 * DAY + SECOND, port=1000)
    again = ask(SYN, 9000, time=2 * DAY + 3 * SECOND, port=1002)
    after = handshake(1002, 2 * DAY + 2 * SECOND)
    seen = update(flows, [*before, elsewhere, opens, *after, again]).observed
    assert names(seen[-5]) == []
    assert names(seen[-1]) == ["syn_in_established"]


def test_an_answer_after_a_clock_was_set_back_is_judged_by_what_it_answers():
    asked = ask(SYN, 100, time=2 * DAY)
    for ack, wanted in ((101, []), (99, ["hs_wrong_seq_ack"])):
        answer = reply(SYN | ACK, 500, ack, time=DAY)
        assert names(update(Flows(), [asked, answer]).observed[-1]) == wanted
