"""Which lines of a mail dialogue are judged: all commands and replies, however they are cut, and
none of the text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_lines import judged
from procwire.rule import fires
from procwire.rules import packet_rules
from procwire.words import span
from test_spoken import CLIENT_PORT, HELLO, connection, told

PORT = 2525
(LINE,) = (rule for rule in packet_rules() if rule.id == "smtp.line_bad")
GREETED = [(False, b"220 mail ESMTP\r\n"), (True, b"EHLO a\r\n"), (False, b"250-mail\r\n250 A\r\n")]
MAIL = [(True, b"MAIL FROM:<a@b>\r\n"), (False, b"250 OK\r\n")]
DATA = [(True, b"DATA\r\n"), (False, b"354 go on\r\n")]
BAD = b"RCPT TO:<c@d>\n"
HEARTBEAT = bytes.fromhex("18 0302 0003 01 4000")
PARTS = [
    (client, part)
    for client, parts in (
        (
            True,
            (b"DATA\r\n", b"RSET\r\n", BAD, b"quit\n", b".\r\n", b"text\r\n", b"MAIL F", b"\r\n"),
        ),
        (True, (b"BDAT 7\r\n", b"BDAT 9 X\r\n", b"BDAT 3 LAST\r\nabc", b"STARTTLS\r\n")),
        (True, (b"NOOP\r\n", b".\r", b"\n")),
        (False, (b"250 OK\r\n", b"250-a\r\n", b"250 b\n", b"354 go\r\n", b"503 no\r\n", b"454-")),
    )
    for part in parts
]


def ends(client: bool) -> bytes:
    ports = (CLIENT_PORT, PORT) if client else (PORT, CLIENT_PORT)
    return b"".join(port.to_bytes(2, "big") for port in ports)


def found(payloads: list[tuple[bool, bytes]]) -> list[int]:
    return [frame - 2 for frame in told(connection(PORT, payloads), "smtp.line_bad")]


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([*GREETED, (True, b"MAIL FROM:<a@"), (True, b"b>\n")], [4]),
        ([*GREETED, (True, b"MAIL FROM:<a@b>\r\nNOOP\r\nRCPT TO:<c@d>\n")], [3]),
        ([*GREETED, *MAIL, *DATA, (True, BAD), (True, BAD + b"\r\n.\r\n"), (True, BAD)], [9]),
        ([*GREETED, *MAIL, *DATA, (True, BAD + b"\r\n."), (True, b"\r\n" + BAD)], [8]),
        ([*GREETED, DATA[0], (False, b"503 no\r\n"), (True, b"NOOP\r\n" + BAD)], [5]),
        ([*GREETED, DATA[0], (True, BAD + BAD)], [4, 4]),
        ([*GREETED, (True, b"BDAT 14 LAST\r\n" + BAD), (True, b"NOOP\r\n" + BAD)], [4]),
        ([*GREETED, (True, b"RSET\r\nSTARTTLS\r\n"), (False, b"250 a\r\n220 b\r\n")], []),
        ([*GREETED, (False, b"250-a\r\n250-"), (False, b"b\r\n350 c\r\n")], [4]),
    ],
)
def test_commands_and_replies_are_judged_and_text_is_not(payloads, wrong):
    assert found(payloads) == wrong


@pytest.mark.parametrize("size", [1, 2, 5])
def test_in_how_many_segments_lines_come_makes_no_difference(size):
    refused = [*GREETED, *MAIL, DATA[0], (False, b"503 no\r\n"), (True, b"Hello, Alice\r\n")]
    for payloads in (refused, [*GREETED, MAIL[0], (False, b"OK, go on\r\n")]):
        cut = [
            (client, payload[at : at + size])
            for client, payload in payloads
            for at in range(0, len(payload), size)
        ]
        assert found(cut) == [len(cut) - 1]


def test_behind_starttls_comes_tls():
    asked = [*GREETED, (True, b"STARTTLS\r\n"), (False, b"220 go\r\n")]
    cut = [(True, HELLO[:9]), (True, HELLO[9:] + HEARTBEAT)]
    assert told(connection(PORT, [*asked, *cut]), "tls.heartbeat_abuse") == [8]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PARTS), max_size=14))
def test_equals_its_twin(parts):
    payloads = [*GREETED, *parts]
    wrong = []
    for number, ((lines, amiss), (client, _)) in enumerate(
        zip(judged(payloads), payloads, strict=True)
    ):
        wrong += [number for line in lines if fires(LINE, span(line), span(ends(client)))]
        wrong += [number] * amiss
    assert sorted(found(payloads)) == sorted(wrong)
