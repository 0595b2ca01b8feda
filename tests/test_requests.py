"""Answers nobody asked for: every kind with and without its question, and when it is evidence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from batches import batch_of
from hypothesis import given
from hypothesis import strategies as st
from naive_requests import unsolicited
from observing import SECOND, WARM_UP, batch, fresh, observe, unasked
from procwire.decode.frame import decode
from procwire.decode.observations import OBSERVATIONS
from procwire.decode.request_table import CAPACITY
from procwire.judging.examine import Examiner, examine
from question_frames import (
    CLIENT,
    CLIENT_MAC,
    FRAME,
    MORE,
    OTHER_MAC,
    PAIRS,
    SERVER,
    answers,
    arp,
    asks,
    discovery,
    echo,
)
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6Unknown, IPv6
from scapy.layers.ntp import NTPHeader
from scapy.layers.vxlan import VXLAN


@pytest.mark.parametrize("check", PAIRS)
def test_an_answer_needs_its_question(check):
    question, answer = PAIRS[check]
    assert unasked(fresh(), [(0, question), (1, answer), (2, answer)]) == []
    assert unasked(fresh(), [(0, answer)]) == [(1, check, False)]
    assert unasked(fresh(), [(0, question), (60, answer)]) == [(2, check, False)]


@pytest.mark.parametrize("check", PAIRS)
def test_it_is_evidence_once_questions_of_its_kind_were_seen_for_a_while(check):
    question, answer = PAIRS[check]
    pairs = [(8 * i + j, packet) for i in range(8) for j, packet in enumerate((question, answer))]
    late = 200
    assert unasked(fresh(), [*pairs, (late, answer)]) == [(17, check, True)]
    assert unasked(fresh(), [*pairs[2:], (late, answer)]) == [(15, check, False)]


def test_a_batch_may_show_any_number_of_things_and_the_next_none():
    packets, quiet = [(0, echo(0, SERVER, CLIENT))] * 5000, [(1, echo(8, CLIENT, SERVER))] * 5000
    observer = fresh()
    found = unasked(observer, packets)
    assert found == [(n + 1, "icmp4.unsolicited_echo_reply", False) for n in range(5000)]
    assert unasked(observer, quiet) == []


@pytest.mark.parametrize(
    ("solicited", "dst", "evidence"),
    [(0, "ff02::1", False), (0, "ff02::2", False), (1, "ff02::1", True), (0, "fe80::1", True)],
)
def test_who_announces_an_address_to_a_group_is_no_evidence(solicited, dst, evidence):
    pair = PAIRS["icmp6.unsolicited_na"]
    pairs = [(8 * i + j, packet) for i in range(8) for j, packet in enumerate(pair)]
    announced = discovery(ICMPv6ND_NA(tgt="fe80::3", S=solicited), "fe80::3", dst)
    found = unasked(fresh(), [*pairs, (200, announced)])
    assert found == [(17, "icmp6.unsolicited_na", evidence)]


def test_an_echo_request_in_fragments_is_a_question():
    request = IP(src=CLIENT, dst=SERVER) / ICMP(type=8, id=9, seq=3) / bytes(2000)
    fragments = [bytes(FRAME / piece) for piece in fragment(request, 1280)]
    packets = batch(list(enumerate([*fragments, echo(0, SERVER, CLIENT, 3)])))
    examined = Examiner().complete(packets, examine(packets))
    observer = fresh()
    assert observer.update(packets, examined.decoded).size == 0
    assert observer.counters()["requests"] == observer.counters()["answers"] == 1


def test_an_address_claimed_in_turn_is_evidence_and_a_change_is_not():
    claims = [
        (time, arp(1, CLIENT, mac, SERVER))
        for time, mac in enumerate((CLIENT_MAC, OTHER_MAC, CLIENT_MAC), 70)
    ]
    found = observe(fresh(), [(0, echo(8, CLIENT, SERVER)), *claims])
    assert found == [(3, "arp.ip_mac_flip", False), (4, "arp.ip_mac_flip", True)]


def test_who_looks_whether_an_address_is_free_claims_none():
    probes = [
        (time, arp(1, "0.0.0.0", mac, SERVER))
        for time, mac in enumerate((CLIENT_MAC, OTHER_MAC, CLIENT_MAC), 70)
    ]
    assert observe(fresh(), [(0, echo(8, CLIENT, SERVER)), *probes]) == []


@pytest.mark.parametrize(("told", "wrong"), [(50, []), (0, [2])])
def test_a_client_of_ntp_is_answered_by_what_it_received_if_it_says_so(told, wrong):
    """RFC 9769 section 2: so it asks for an answer to the exchange before."""
    packets = [
        (0, asks(NTPHeader(mode=3, orig=told, recv=79, sent=80), 5000, 123)),
        (1, answers(NTPHeader(mode=4, orig=79), 123, 5000)),
    ]
    assert unasked(fresh(), packets) == [(packet, "ntp.unsolicited", False) for packet in wrong]


@pytest.mark.parametrize("start", [0, 1_790_000_000])
def test_routers_are_learned_before_a_new_one_is_evidence(start):
    first, second, third, fourth = (discovery(ICMPv6ND_RA(), f"fe80::{i}") for i in "abcd")
    told = [(0, first), (61, first), (62, second), (63, second), (1799, third), (1800, fourth)]
    assert observe(fresh(), [(start + time, frame) for time, frame in told]) == [
        (3, "icmp6.new_ra_source", False),
        (5, "icmp6.new_ra_source", False),
        (6, "icmp6.new_ra_source", True),
    ]


def test_an_icmp_error_needs_the_packet_it_quotes():
    there, back = IP(src=CLIENT, dst=SERVER), IP(src=SERVER, dst=CLIENT)
    sent = there / UDP(sport=5000, dport=9) / b"x"
    forged = there / TCP(sport=5001, dport=9)
    backwards = back / UDP(sport=9, dport=5000) / b"x"
    packets = [
        sent,
        *(back / ICMP(type=3, code=3) / quoted for quoted in (sent, forged, backwards)),
    ]
    name = "icmp4.unsolicited_error"
    found = observe(fresh(), [(i, bytes(FRAME / packet)) for i, packet in enumerate(packets)])
    assert found == [(3, name, False), (4, name, False)]


@pytest.mark.parametrize(
    ("kind", "quoted", "refused"), [(3, 100, True), (3, 99, False), (11, 100, False)]
)
def test_who_is_told_that_nobody_is_there_opens_anew_at_once(kind, quoted, refused):
    there, back = IP(src=CLIENT, dst=SERVER), IP(src=SERVER, dst=CLIENT)
    syns = [there / TCP(sport=5000, dport=80, flags="S", seq=seq) for seq in (100, quoted, 4000)]
    packets = [syns[0], back / ICMP(type=kind, code=1) / syns[1], syns[2]]
    found = observe(fresh(), [(i / 9, bytes(FRAME / one)) for i, one in enumerate(packets)])
    assert found == ([] if refused else [(3, "stream.hs_resend_differs", False)])


@pytest.mark.parametrize(
    ("kind", "quoted", "kept", "refused"),
    [(1, 100, 56, True), (1, 99, 56, False), (1, 100, 55, False), (3, 100, 56, False)],
)
def test_who_is_told_so_by_icmp6_opens_anew_at_once(kind, quoted, kept, refused):
    there, back = (
        IPv6(src="2001:db8::1", dst="2001:db8::2"),
        IPv6(src="2001:db8::2", dst="2001:db8::1"),
    )
    syns = [there / TCP(sport=5000, dport=80, flags="S", seq=seq) for seq in (100, quoted, 4000)]
    error = ICMPv6Unknown(type=kind, code=1, msgbody=(bytes(4) + bytes(syns[1]))[: kept - 4])
    packets = [syns[0], back / error, syns[2]]
    found = observe(fresh(), [(i / 9, bytes(FRAME / one)) for i, one in enumerate(packets)])
    assert found == ([] if refused else [(3, "stream.hs_resend_differs", False)])


def test_an_icmp_error_may_quote_a_tunnel_whose_packets_are_known():
    there, back = IP(src=CLIENT, dst=SERVER), IP(src=SERVER, dst=CLIENT)
    carried = VXLAN(vni=5) / FRAME / there / UDP(sport=5001, dport=9)
    sent = there / UDP(sport=5000, dport=4789) / carried
    packets = [sent, back / ICMP(type=3, code=3) / sent]
    assert observe(fresh(), [(i, bytes(FRAME / one)) for i, one in enumerate(packets)]) == []


@pytest.mark.parametrize(("options", "accepted"), [([], False), ([(34, b"cookie12")], True)])
def test_data_on_a_syn_counts_with_fast_open_only(options, accepted):
    there, back = IP(src=CLIENT, dst=SERVER), IP(src=SERVER, dst=CLIENT)
    syn = TCP(sport=5000, dport=80, flags="S", seq=100, options=options) / b"GET / HTTP/1.0"
    answer = TCP(sport=80, dport=5000, flags="SA", seq=500, ack=115)
    packets = [there / syn, back / answer]
    found = observe(fresh(), [(i, bytes(FRAME / packet)) for i, packet in enumerate(packets)])
    assert found == ([] if accepted else [(2, "stream.hs_wrong_seq_ack", False)])


@pytest.mark.parametrize("start", [1, 1_790_000_000])
def test_a_full_table_forgets_and_vouches_for_nothing_then(start):
    question = echo(8, CLIENT, SERVER)
    count = 2 * CAPACITY
    data = np.frombuffer(question * count, np.uint8).reshape(count, len(question)).copy()
    data[:, 38:42] = np.arange(count, dtype=">u4").view(np.uint8).reshape(count, 4)
    flood = batch_of([row.tobytes() for row in data], start * SECOND)
    observer = fresh()
    observer.update(flood, decode(flood))
    assert observer.counters()["requests"] == count
    assert observer.counters()["forgotten"] >= count - CAPACITY


POOL = [*itertools.chain(*PAIRS.values()), *MORE]


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 30, 61]), st.sampled_from(POOL)), max_size=30),
    st.integers(1, 30),
)
def test_equals_its_twin_wherever_batches_end(steps, size):
    clock, packets = 0, []
    for step, frame in steps:
        clock += step
        packets.append((clock, frame))
    observer, found = fresh(), []
    for start in range(0, len(packets), size):
        found += unasked(observer, packets[start : start + size], start + 1)
    expected = [
        (number, check)
        for number, broken in enumerate(unsolicited(packets, WARM_UP), 1)
        for check in sorted(broken, key=OBSERVATIONS.index)
    ]
    assert [(number, check) for number, check, _ in found] == expected
