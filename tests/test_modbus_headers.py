"""What answers a question of Modbus with another header than Modbus has."""

from __future__ import annotations

import pytest
from test_spoken import DATA, RESPONSE, SYN, SYN_ACK, connection, segment, told

READ = bytes.fromhex("0001 0000 0006 01 03 0000 0001")
ANSWER = bytes.fromhex("0001 0000 0005 01 03 02 0007")
THREE_COUNTED, FOUR_COUNTED = (
    bytes.fromhex(f"0001 0000 {size:04x} 01 18") + bytes(size - 2) for size in (3, 4)
)
SERIAL_READ = bytes.fromhex("01 03 0000 0002 c4 0b")
SERIAL_ANSWER = bytes.fromhex("01 03 04 0001 0002 2a 32")
OF_ANOTHER = b"\xff\xfe\xfd\xfc and so on"


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
