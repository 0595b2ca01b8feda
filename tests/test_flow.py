"""Flows: what belongs together, and every observation of TCP's state by an example of it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_flow import follow
from procwire import examples, layers
from procwire.decode.columns import NO_SPAN, Packets, Spans
from procwire.decode.flow import Flows
from procwire.decode.observations import OBSERVATIONS
from procwire.decode.source import NO_FLOW, Source, blank_columns
from procwire.decode.tcp_segment import ACK, FIN, RST, SYN
from procwire.errors import UsageError
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from test_contacts import hashes
from test_decode import batch_of

SECOND = 1_000_000_000
CLIENT, SERVER = 0xFFFF0A000001, 0xFFFF0A000002
PSH = 8
KINDS = ["u1"] * 6 + ["u8"] * 4 + ["u2"] * 2 + ["i4"] + ["u4"] * 2
NO_SPANS = Spans(*(np.zeros(0, kind) for kind in ("i4", "u1", "i8", "i4", "i4", "i4")))


def decoded(packets):
    """Packets and times of tuples as naive_flow.follow takes them."""
    columns = {
        name: np.zeros(len(packets), kind)
        for name, kind in zip(Packets._fields, KINDS, strict=True)
    }
    for i, (_, transport, src, sport, dst, dport, flags, seq, ack, payload) in enumerate(packets):
        columns["transport"][i] = transport
        columns["src_hi"][i], columns["src_lo"][i] = divmod(src, 1 << 64)
        columns["dst_hi"][i], columns["dst_lo"][i] = divmod(dst, 1 << 64)
        columns["src_port"][i], columns["dst_port"][i] = sport, dport
        columns["tcp_flags"][i], columns["payload"][i] = flags, payload
        columns["seq"][i], columns["ack"][i] = seq, ack
    times = np.array([packet[0] for packet in packets], np.int64)
    return Packets(**columns), times


def update(flows, packets):
    """The columns of packets without bytes."""
    made, times = decoded(packets)
    spans = np.full(len(packets), NO_SPAN, np.int32)
    columns = blank_columns(len(packets))
    # Read-only, as captured memory is: for another kind of array all would be compiled again.
    data = np.frombuffer(bytes(1), np.uint8)
    source = Source(data, made, NO_SPANS, times, hashes(made), spans)
    flows.update(source, columns, lambda spans, rows: None)
    return columns


def names(mask):
    return [
        name.removeprefix("stream.")
        for bit, name in enumerate(OBSERVATIONS)
        if int(mask) >> bit & 1
    ]


def observed(packets, flows=None):
    return [names(mask) for mask in update(flows or Flows(), packets).observed]


def ask(flags, seq, ack=0, payload=0, time=0, port=40000):
    return (time, layers.TCP, CLIENT, port, SERVER, 80, flags, seq, ack, payload)


def reply(flags, seq, ack=0, payload=0, time=0, port=40000):
    return (time, layers.TCP, SERVER, 80, CLIENT, port, flags, seq, ack, payload)


def handshake(port=40000, time=0):
    return [
        ask(SYN, 100, port=port, time=time),
        reply(SYN | ACK, 500, 101, port=port, time=time),
        ask(ACK, 101, 501, port=port, time=time),
    ]


WHOLE = [
    *handshake(),
    ask(ACK | PSH, 101, 501, 10),
    reply(ACK, 501, 111),
    reply(ACK | PSH, 501, 111, 1000),
    reply(FIN | ACK, 1501, 111),
    ask(ACK, 111, 1502),
    ask(FIN | ACK, 111, 1502),
    reply(ACK, 1502, 112),
]


def test_an_ordinary_connection_shows_nothing_and_both_directions_are_one_flow():
    columns = update(Flows(), WHOLE)
    assert not columns.observed.any()
    assert len(set(columns.flow.tolist())) == 1
    assert columns.sender.tolist() == [int(packet[2] == SERVER) for packet in WHOLE]


def test_sequence_numbers_wrap():
    last = 0xFFFFFFFF
    packets = [
        ask(SYN, last),
        reply(SYN | ACK, last, 0),
        ask(ACK, 0, 0),
        ask(ACK, 0, 0, 5),
        reply(ACK, 0, 5),
    ]
    assert not update(Flows(), packets).observed.any()


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        ([reply(SYN | ACK, 500, 101)], "synack_unsolicited"),
        ([*handshake()[:2], ask(SYN | ACK, 100, 501)], "synack_unsolicited"),
        ([*handshake(), reply(RST, 501), ask(SYN | ACK, 100, 501)], "synack_unsolicited"),
        ([*handshake(), ask(RST, 101), ask(SYN | ACK, 100, 501)], "synack_unsolicited"),
        ([reply(RST, 500)], "rst_no_session"),
        ([ask(ACK, 7, 9), reply(RST, 9)], "rst_no_session"),
        ([ask(FIN, 7)], "fin_no_session"),
        ([ask(FIN | ACK, 7, 9)], "fin_no_session"),
        ([ask(SYN | FIN, 7)], "fin_no_session"),
        ([ask(ACK, 7, 9), ask(ACK | PSH, 7, 9, 5)], "data_no_session"),
        ([ask(SYN, 100), reply(SYN | ACK, 500, 99)], "hs_wrong_seq_ack"),
        ([ask(SYN, 100, 0, 20), reply(SYN | ACK, 500, 121)], "hs_wrong_seq_ack"),
        ([*handshake()[:2], ask(ACK, 101, 600)], "hs_wrong_seq_ack"),
        ([*handshake()[:2], ask(ACK, 90, 501)], "hs_wrong_seq_ack"),
        ([*handshake()[:2], ask(ACK, 101 + 66_000, 501)], "hs_wrong_seq_ack"),
        ([*handshake()[:2], reply(ACK, 501, 99)], "hs_wrong_seq_ack"),
        ([*handshake()[:2], reply(ACK | PSH, 66037, 101, 9)], "hs_wrong_seq_ack"),
        ([*handshake()[:2], ask(SYN, 170)], "hs_resend_differs"),
        ([*handshake()[:2], reply(SYN, 500)], "hs_resend_differs"),
        ([*handshake()[:2], reply(SYN | ACK, 777, 101)], "hs_resend_differs"),
        ([ask(SYN, 100), ask(SYN, 170)], "hs_resend_differs"),
        ([*handshake(), ask(SYN, 4000)], "syn_in_established"),
        ([*handshake(), reply(SYN | ACK, 500, 101)], "syn_in_established"),
        ([*handshake(), reply(RST, 501), reply(ACK | PSH, 501, 101, 9)], "rst_injection"),
        ([*handshake(), ask(RST, 101), ask(FIN | ACK, 141, 501)], "rst_injection"),
        ([ask(SYN, 1), reply(RST | ACK, 0, 2), reply(SYN | ACK, 500, 2)], "rst_injection"),
        ([ask(SYN, 100), ask(SYN, 100)], "retransmit"),
        ([*WHOLE[:4], WHOLE[3]], "retransmit"),
        ([*handshake(), ask(ACK, 300, 501, 10)], "gap"),
        ([*handshake(), ask(ACK, 101, 900)], "gap"),
        ([*handshake(), ask(ACK, 101 + (1 << 31), 501, 10)], "out_of_window"),
        ([*handshake(), ask(ACK, 101, 501 + (1 << 31))], "invalid_ack"),
        ([ask(SYN, 100), reply(SYN, 500)], "simultaneous_open"),
        ([*handshake(), ask(0, 101, 0, 10)], "data_without_ack"),
        ([*WHOLE, ask(FIN | ACK, 100, 1502)], "close_wrong_seq"),
        ([ask(PSH, 101, 0, 10)], "data_without_ack"),
    ],
)
def test_what_does_not_fit_is_observed_in_its_last_packet_alone(packets, expected):
    *before, last = observed(packets)
    assert last == [expected]
    assert all(not seen or seen == [expected] for seen in before)


def test_a_late_reset_of_a_connection_of_before_ends_nothing():
    again = [ask(SYN, 9000), reply(SYN | ACK, 7000, 9001), ask(ACK, 9001, 7001)]
    late = [reply(RST, 501), reply(ACK | PSH, 7001, 9001, 9)]
    seen = observed([*handshake(), ask(RST | ACK, 101, 501), *again, *late])
    assert seen == [[]] * 7 + [["out_of_window"], []]


@pytest.mark.parametrize("resets", [ask(RST, 101), reply(RST, 501)])
def test_an_answer_to_whoever_did_not_ask_is_one_behind_a_reset_of_either_end(resets):
    seen = observed([*handshake(), resets, ask(SYN | ACK, 9000, 501)])
    assert seen == [[]] * 4 + [["synack_unsolicited"]]


@pytest.mark.parametrize(
    "packets",
    [
        [ask(SYN, 100), ask(SYN, 100, time=60 * SECOND + 1)],
        [*WHOLE, ask(SYN, 9000), reply(SYN | ACK, 9, 9001), ask(ACK, 9001, 10)],
        [ask(SYN, 100), reply(RST | ACK, 0, 101), ask(SYN, 200), reply(SYN | ACK, 5, 201)],
        [*handshake(), ask(RST, 101), reply(ACK | PSH, 501, 101, 9)],
        [*handshake(), ask(RST, 101), reply(SYN | ACK, 500, 101)],
        [*handshake(), ask(RST, 102), ask(FIN | ACK, 101, 501)],
        [*handshake(), ask(FIN | ACK, 101, 501), ask(RST, 101), ask(FIN | ACK, 101, 501)],
        [*handshake(), ask(ACK, 100, 501, 1), reply(ACK, 501, 101)],
        [ask(SYN, 100), ask(ACK, 101, 501), ask(ACK | PSH, 101, 501, 9)],
    ],
    ids=[
        "forgotten",
        "ports reused",
        "refused",
        "in flight",
        "accepted behind its reset",
        "FIN behind its reset",
        "FIN sent again",
        "keep-alive",
        "one direction",
    ],
)
def test_what_is_legal_is_not_observed(packets):
    assert not update(Flows(), packets).observed.any()


def test_a_syn_that_is_accepted_inside_a_connection_begins_a_new_one():
    again = [ask(SYN, 4000), reply(SYN | ACK, 9000, 4001), ask(ACK, 4001, 9001)]
    seen = observed([*handshake(), *again, ask(ACK | PSH, 4001, 9001, 5)])
    assert seen[3:] == [["syn_in_established"], [], [], []]


def test_a_fin_with_data_outside_of_connections_is_one():
    assert observed([ask(FIN, 7, 0, 5)]) == [["fin_no_session", "data_without_ack"]]


def test_datagrams_make_flows_too():
    there = (0, layers.UDP, CLIENT, 5000, SERVER, 53, 0, 0, 0, 30)
    back = (1, layers.UDP, SERVER, 53, CLIENT, 5000, 0, 0, 0, 90)
    columns = update(Flows(), [there, back, ask(SYN, 1)])
    assert columns.flow[0] == columns.flow[1] != columns.flow[2]
    assert columns.sender.tolist() == [0, 1, 0]


def test_a_clock_that_steps_back_and_forth_ends_no_connection():
    day = 86_400_000_000_000
    packets = [*handshake(time=day), ask(ACK | PSH, 101, 501, 9, 0), reply(ACK, 501, 110, 0, day)]
    columns = update(Flows(), packets)
    assert not columns.observed.any()
    assert len(set(columns.flow.tolist())) == 1


def test_a_full_table_counts_what_it_forgets():
    flows = Flows(capacity=8)
    columns = update(flows, [ask(SYN, 1, port=port) for port in range(1, 101)])
    assert (columns.flow != NO_FLOW).all()
    assert flows.counters()["flows"] == 100
    assert flows.counters()["evicted"] == 92


@pytest.mark.parametrize("capacity", [0, 7, 100])
def test_a_wrong_capacity_is_refused(capacity):
    with pytest.raises(UsageError, match="power of two"):
        Flows(capacity)


FLAGS = (SYN, SYN | ACK, ACK, ACK, ACK | PSH, RST, RST | ACK, FIN | ACK, SYN | FIN, 0)
PACKETS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 40, 70, 4000]).map(lambda step: step * SECOND),
        st.sampled_from([layers.TCP] * 7 + [layers.UDP]),
        st.integers(1, 2),
        st.integers(1, 2),
        st.integers(1, 2),
        st.integers(1, 2),
        st.sampled_from(FLAGS),
        st.integers(-3, 6).map(lambda seq: seq & 0xFFFFFFFF),
        st.sampled_from([*range(-3, 7), 1 << 31]).map(lambda ack: ack & 0xFFFFFFFF),
        st.sampled_from([0, 0, 1, 2, 1000]),
    ),
    max_size=40,
)


@given(PACKETS, st.integers(1, 40))
def test_equals_its_twin_wherever_batches_end(steps, batch):
    clock, packets = SECOND, []
    for step, *rest in steps:
        clock += step
        packets.append((clock, *rest))
    flows, found = Flows(), []
    for start in range(0, len(packets), batch):
        columns = update(flows, packets[start : start + batch])
        found += zip(columns.flow.tolist(), columns.sender.tolist(), columns.observed, strict=True)
    expected = list(follow(packets))
    assert [row[1:] for row in found] == [row[1:] for row in expected]
    slots = {name: slot for (slot, *_), (name, *_) in zip(found, expected, strict=True)}
    assert [slot for slot, *_ in found] == [slots[name] for name, *_ in expected]
    assert slots.get(None, NO_FLOW) == NO_FLOW


def segment(sender: str, flags: int, seq: int, ack: int, window: int, scale: int = -1) -> bytes:
    """A frame with a TCP header, on a SYN with a window scale where one is given."""
    ports = (40000, 445) if sender == "client" else (445, 40000)
    options = bytes([1, 3, 3, scale]) if scale >= 0 else b""
    words = (20 + len(options)) // 4 << 4
    header = struct.pack(">HHIIBBHHH", *ports, seq, ack, words, flags, window, 0, 0) + options
    packed = bytearray(examples.ipv4(b"", 6, header))
    if sender == "server":
        packed[12:16], packed[16:20] = packed[16:20], packed[12:16]
    return bytes(12) + b"\x08\0" + bytes(packed)


@pytest.mark.parametrize(
    ("scale", "windows", "shrinks"),
    [
        (-1, [(101, 1000), (101, 999)], True),
        (-1, [(101, 1000), (601, 500)], False),
        (-1, [(101, 1000), (601, 499)], True),
        (-1, [(101, 1000), (51, 10)], False),
        (7, [(101, 1000), (228, 999)], False),
        (7, [(101, 1000), (229, 999)], False),
        (7, [(101, 1000), (228, 998)], True),
        (255, [(101, 1000), (101, 999)], True),
    ],
)
def test_a_window_that_was_taken_back_is_counted(scale, windows, shrinks):
    """windows: acknowledgement and window of the server, which is sent 1000 bytes."""
    frames = [
        segment("client", SYN, 100, 0, 65535, scale),
        segment("server", SYN | ACK, 500, 101, 65535, scale),
        segment("client", ACK, 101, 501, 65535),
        *[segment("server", ACK, 501, ack, window) for ack, window in windows],
    ]
    analysis = Analysis(Settings())
    analysis.packets(batch_of([(data, len(data), 1) for data in frames]))
    assert bool(analysis.counters().get("episodes.rule.stream.bad_window")) == shrinks
