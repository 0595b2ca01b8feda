"""Where TLS is due: what comes instead of a record, and how a hello of SSL 2.0 is known."""

from __future__ import annotations

import pytest
from procwire.rules import tls
from test_spoken import GREETING, PROXIED, UNKNOWN, connection, told

CLIENT_HELLO, SERVER_HELLO = bytes.fromhex(tls.CLIENT), bytes.fromhex(tls.SERVER)
ALERT = bytes.fromhex("15030300020228")
# SSL 2.0: version, suites of three bytes, no session, a challenge of sixteen.
OLD_HELLO = bytes.fromhex("802e 01 0301 0015 0000 0010") + bytes(37)


@pytest.mark.parametrize("answer", [SERVER_HELLO, ALERT])
@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([(True, UNKNOWN)], [3]),
        ([(True, b"hello")], [3]),
        ([(True, b"a")], [3]),
        ([(True, bytes.fromhex("1305010005010000010000"))], [3]),
        ([(True, b"PRO"), (True, b"BLEM")], [4]),
        ([(True, CLIENT_HELLO)], []),
        ([(True, CLIENT_HELLO[:4])], []),
        ([(True, CLIENT_HELLO[:4]), (True, CLIENT_HELLO[4:])], []),
        ([(True, PROXIED + CLIENT_HELLO)], []),
        ([(True, bytes.fromhex("0d0a0d0a000d0a515549540a21"))], []),
        ([(True, OLD_HELLO)], []),
        ([(True, OLD_HELLO[:9]), (True, OLD_HELLO[9:])], []),
        ([(True, UNKNOWN), (False, b"OK, go on\n"), (True, CLIENT_HELLO)], []),
        ([], []),
    ],
)
def test_a_record_of_tls_answers_one(before, answer, wrong):
    frames = connection(8443, [*before, (False, answer)])
    assert told(frames, "tls.record_bad") == wrong


@pytest.mark.parametrize("size", [*range(1, 46), 47])
def test_a_hello_of_ssl_2_is_told_wherever_it_is_cut(size):
    for pieces in ([OLD_HELLO[:size], OLD_HELLO[size:]], [bytes([byte]) for byte in OLD_HELLO]):
        frames = connection(443, [(True, piece) for piece in pieces if piece])
        assert len(told(frames, "tls.sslv2")) == 1
        assert told(frames) == []


@pytest.mark.parametrize(
    "junk", [b"\xff" * 7, b"\x80\x05\x01\2\3\4\5", b"\x80\x2e\x09" + bytes(45)]
)
def test_behind_a_record_there_is_no_hello_of_ssl_2(junk):
    for before in ([(True, CLIENT_HELLO)], [(True, CLIENT_HELLO), (False, SERVER_HELLO)]):
        for client in (True, False):
            frames = connection(8443, [*before, (False, SERVER_HELLO), (client, junk)])
            assert told(frames, "tls.record_bad") == [len(frames) - 1]
    joined = connection(8443, [(True, CLIENT_HELLO + junk)])
    assert told(joined, "tls.record_bad") == [2]


def test_what_follows_tls_that_began_in_the_middle_may_be_anything():
    payloads = [(True, b"\xde\xad\xbe\xef" * 8), (True, CLIENT_HELLO), (True, b"\xca\xfe" * 8)]
    assert told(connection(443, payloads), "tls.record_bad") == []


def test_what_only_looks_like_a_record_is_no_answer_of_tls():
    for answer in (bytes.fromhex(tls.SEALED), CLIENT_HELLO):
        payloads = [(True, UNKNOWN), (False, answer)]
        assert told(connection(8443, payloads), "tls.record_bad") == []


@pytest.mark.parametrize("answer", [b"<html>no</html>", bytes(9), b"go away!"])
def test_a_hello_of_tls_is_answered_with_a_record_however_short(answer):
    payloads = [(True, CLIENT_HELLO), (False, answer)]
    assert told(connection(8443, payloads), "tls.record_bad") == [3]
    assert told(connection(8443, [(True, CLIENT_HELLO), (False, ALERT)]), "tls.record_bad") == []


def test_tls_that_begins_later_asks_nothing_of_what_its_peer_said_before():
    """The server's hello is seen before the client's, of which it is the answer."""
    dialogue = [(False, GREETING), (True, b"AUTH TLS\r\n"), (False, b"234 go on\r\n")]
    frames = connection(21, [*dialogue, (False, SERVER_HELLO), (True, CLIENT_HELLO)])
    assert told(frames, "tls.record_bad") == []
    assert told(
        connection(21, [(False, SERVER_HELLO), (True, b"AUTH TLS, please")]), "tls.record_bad"
    )
