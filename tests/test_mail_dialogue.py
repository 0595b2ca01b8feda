"""Lines in a dialogue of SMTP where a command or a reply is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_lines import judged
from test_spoken import connection, told

HELLO = [(False, b"220 mail ESMTP\r\n"), (True, b"EHLO a\r\n"), (False, b"250-mail\r\n250 DSN\r\n")]
MAIL = [(True, b"MAIL FROM:<a@b>\r\n"), (False, b"250 OK\r\n")]
DATA = [(True, b"DATA\r\n"), (False, b"354 go on\r\n")]
SENT = [(True, b"Hello, Alice\r\n"), (True, b".\r\n"), (False, b"250 OK\r\n")]
PAYLOADS = [
    (client, payload)
    for client, payload in (
        *(*HELLO, *MAIL, *DATA, *SENT),
        *((True, b"Hello, Bob\r\n.\r\n"), (True, b"NOOP\r\n"), (True, b"\r\n"), (True, b"NOOP")),
        *((True, b"BDAT 3 LAST\r\nabc"), (True, b"AUTH LOGIN\r\n"), (True, b"\x80\x81\x82\r\n")),
        *((False, b"503 first MAIL\r\n"), (False, b"334 VXNlcg==\r\n")),
        *((False, b"250 OK\r\n354 go\r\n"), (False, b"what?\r\n"), (False, b"2\xff0 OK\r\n")),
    )
]


def found(payloads: list[tuple[bool, bytes]]) -> list[int]:
    return [frame - 2 for frame in told(connection(2525, payloads), "smtp.line_bad")]


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([*HELLO, *MAIL, *DATA, *SENT, (True, b"QUIT\r\n")], []),
        ([*HELLO, (True, b"DATA\r\n"), (False, b"503 no\r\n"), (True, b"Hello, Alice\r\n")], [5]),
        ([*HELLO, *MAIL, *DATA, *SENT, (True, b"Hello, Alice\r\n")], [10]),
        ([*HELLO, *MAIL, *DATA, (False, b"552 too long\r\n"), (True, b"Hello, Alice\r\n")], []),
        ([*HELLO, (True, b"BDAT 20\r\n"), (False, b"250 OK\r\n"), (True, b"Hello, Alice\r\n")], []),
        ([*HELLO, (True, b"XCLIENT NAME=a\r\n"), (False, b"220 a\r\n"), (True, b"EHLO a\r\n")], []),
        ([*HELLO, (True, b"MAIL FROM:<a"), (True, b"@b>, c\r\n")], []),
        ([*HELLO, (True, b"("), (True, b"\r\n")], [4]),
        ([*HELLO, (True, b"(help)\r\n")], [3]),
        ([*HELLO, (True, b"NOOP\r\n(help)\r\n")], [3]),
        ([*HELLO, (True, b"NOOP\n")], [3]),
        ([*HELLO, (True, b"XFOO\n")], [3]),
        ([*HELLO, (True, b"NOOP\r\r\n")], [3]),
        ([*HELLO, (True, b"vrfy a\rb\r\n")], [3]),
        ([*HELLO, (True, b"NOOP\r"), (True, b"\n")], []),
        ([*HELLO, (True, b"NOOP a\r\n\r\n")], []),
        ([HELLO[0], (True, b"NOOP\n")], [1]),
        ([HELLO[0], (True, b"(h"), (True, b"elp)\r\n")], [2]),
        ([*HELLO, *MAIL, *DATA, (True, b"Hello, Alice\r\n.\r\n(help)\r\n")], [7]),
        ([(True, b"(help)\r\n"), HELLO[0]], []),
    ],
)
def test_where_a_command_is_due_the_client_sends_one(payloads, wrong):
    assert found(payloads) == wrong


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([*HELLO, MAIL[0], (False, b"OK\r\n")], [4]),
        ([*HELLO, MAIL[0], (False, b"2\xff0 OK\r\n")], [4]),
        ([*HELLO, MAIL[0], (False, b" 250 OK\r\n"), (False, b"OK\r\n")], [4, 5]),
        ([*HELLO, MAIL[0], (False, b"250 OK\r\n"), (False, b"OK\r\n")], [5]),
        ([*HELLO, MAIL[0], (False, b"250 OK\r\nOK\r\n")], [4]),
        ([*HELLO, MAIL[0], (False, b"250 OK\r\n\r\n")], [4]),
        ([*HELLO, *MAIL, (True, b"XFOO\r\n"), (False, b"250 OK\r\nOK\r\n")], []),
        ([*HELLO, *MAIL, (True, b"AUTH LOGIN\r\n"), (False, b"334 a\r\nOK\r\n")], []),
        ([*HELLO, *MAIL, (False, b"334 a\r\n"), (False, b"OK\r\n")], []),
        ([*HELLO[:2], (False, b"250-mail\r\n"), (False, b"DSN\r\n")], [3]),
        ([*HELLO[:2], (False, b"250-mail\r\n25"), (False, b"0 DSN\r\n")], []),
        ([*HELLO, (True, b"NOOP\r\n"), (False, b"OK\r\n")], [4]),
        ([*HELLO, (True, b"vrfy Alice\r\n"), (False, b"OK\r\n")], [4]),
        ([*HELLO, *MAIL, *DATA, (True, b"Help me\r\n"), (False, b"OK\r\n")], [8]),
        ([*HELLO, (True, b"MAIL FROM:<a"), (False, b"OK\r\n")], [4]),
        ([*HELLO, (True, b"TURN\r\n"), (False, b"EHLO b\r\n")], []),
        ([(False, b"hello\r\n"), (True, b"EHLO a\r\n"), (False, b"hello a\r\n")], []),
        ([(False, b"what?\r\n"), (False, b"250 OK\r\n"), (False, b"220 mail\r\n")], []),
        ([HELLO[0], DATA[0], (True, b"EHLO a\r\n"), (False, b"what?\r\n")], []),
    ],
)
def test_every_reply_has_a_code(payloads, wrong):
    assert found(payloads) == wrong


@given(st.lists(st.sampled_from(PAYLOADS), max_size=12))
def test_equals_its_twin(payloads):
    wrong = [number for number, (_, amiss) in enumerate(judged(payloads)) if amiss]
    assert found(payloads) == wrong
