"""Answers to one question of Modbus, however its messages lie in segments."""

from __future__ import annotations

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from test_requests import fresh, modbus, unasked


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
