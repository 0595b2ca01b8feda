"""Answers to questions of Modbus, however their messages lie in segments, and what is none."""

from __future__ import annotations

import pytest
from observing import fresh, unasked
from question_frames import modbus
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from test_spoken import DATA, RESPONSE, SYN, SYN_ACK, connection, segment, told

READ = bytes.fromhex("0001 0000 0006 01 03 0000 0001")
ANSWER = bytes.fromhex("0001 0000 0005 01 03 02 0007")
STATUS = bytes.fromhex("0001 0000 0002 01 07")
STATUS_ANSWER = bytes.fromhex("0001 0000 0003 01 07 00")
COUNTER_ANSWER = bytes.fromhex("0001 0000 0006 01 0b 0000 0001")
THREE_COUNTED, FOUR_COUNTED = (
    bytes.fromhex(f"0001 0000 {size:04x} 01 18") + bytes(size - 2) for size in (3, 4)
)
SERIAL_READ = bytes.fromhex("01 03 0000 0002 c4 0b")
SERIAL_ANSWER = bytes.fromhex("01 03 04 0001 0002 2a 32")
OF_ANOTHER = b"\xff\xfe\xfd\xfc and so on"


def in_order(*said):
    """Segments of one connection: (whether the device sends it, the transactions of its messages);
    where a place is given instead, the segment there is sent again."""
    sent, frames = {True: 100, False: 500}, []
    for one in said:
        if isinstance(one, int):
            frames.append(frames[one])
            continue
        packet = Ether(modbus(3, *one[1], answer=one[0]))
        packet[TCP].seq, packet[TCP].ack = sent[one[0]], sent[not one[0]]
        sent[one[0]] += len(packet[TCP].payload)
        frames.append(bytes(packet))
    return list(enumerate(frames))


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([(False, [1]), (True, [1]), (True, [1])], [3]),
        ([(False, [1]), (True, [1, 1])], [2]),
        ([(False, [1]), (False, [2]), (True, [1, 2, 2])], [3]),
        ([(False, [1]), (True, [1]), (True, [1]), (True, [1])], [3, 4]),
        ([(False, [1]), (True, [1]), 1], []),
        ([(False, [1, 1]), (True, [1]), (True, [1])], []),
        ([(False, [1]), (True, [1]), (False, [1]), (True, [1])], []),
        ([(False, [1, 2]), (True, [2]), (True, [1]), 2], []),
    ],
)
def test_a_question_of_modbus_has_one_answer(said, wrong):
    name = "modbus.unsolicited_response"
    assert unasked(fresh(), in_order(*said)) == [(packet, name, False) for packet in wrong]


def test_a_modbus_question_that_the_capture_lacks_was_asked_all_the_same():
    packets = in_order((False, [1]), (True, [1]), (False, [1]), (True, [1]))
    assert unasked(fresh(), [*packets[:2], packets[3]]) == []


@pytest.mark.parametrize(("answer", "wrong"), [(STATUS_ANSWER, []), (COUNTER_ANSWER, [3])])
def test_what_asks_by_its_function_alone_is_answered_by_that_function(answer, wrong):
    frames = connection(502, [(True, STATUS), (False, answer)])
    assert told(frames, "modbus.unsolicited_response") == wrong


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([(True, READ), (False, OF_ANOTHER)], [3]),
        ([(True, READ), (False, OF_ANOTHER[:4])], [3]),
        ([(True, READ), (False, OF_ANOTHER[:3]), (False, OF_ANOTHER[3:])], [4]),
        ([(True, FOUR_COUNTED), (False, OF_ANOTHER)], [3]),
        ([(True, THREE_COUNTED), (False, OF_ANOTHER)], []),
        ([(True, READ), (False, ANSWER), (False, OF_ANOTHER)], [4]),
        ([(True, READ), (False, ANSWER + OF_ANOTHER)], [3]),
        ([(True, READ), (False, ANSWER), (True, OF_ANOTHER)], [4]),
        ([(True, OF_ANOTHER), (False, ANSWER)], []),
        ([(True, READ), (False, ANSWER[:3]), (False, ANSWER[3:])], []),
        ([(False, OF_ANOTHER), (True, READ)], []),
        ([(True, SERIAL_READ), (False, SERIAL_ANSWER)], []),
        ([(True, READ + b"\0"), (False, OF_ANOTHER)], []),
        ([(True, READ), (False, RESPONSE)], []),
    ],
)
def test_a_question_of_modbus_is_answered_with_its_header(payloads, wrong):
    assert told(connection(502, payloads), "modbus.bad_protocol_id") == wrong


def test_where_sequence_numbers_wrap_an_answer_may_come_in_parts():
    last, end = 0xFFFFFFFF, len(READ)
    frames = [
        segment(502, True, SYN, (last, 0)),
        segment(502, False, SYN_ACK, (last, 0)),
        segment(502, True, DATA, (0, 0), READ),
        segment(502, False, DATA, (0, end), OF_ANOTHER[:3]),
        segment(502, False, DATA, (3, end), OF_ANOTHER[3:]),
    ]
    assert told(frames, "modbus.bad_protocol_id") == [4]
