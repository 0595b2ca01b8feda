"""Protocols that contradict their port or their peer, and STARTTLS without TLS."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from batches import batch_of
from hypothesis import given
from hypothesis import strategies as st
from naive_spoken import contradiction
from procwire.examples import IPV4_TEMPLATE, LINK, PROTOCOLS, ipv4
from procwire.judging.examine import Examiner, examine
from procwire.judging.observe import Observer
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings

CLIENT_PORT = 40000
SYN, SYN_ACK, DATA = 0x02, 0x12, 0x18
TURNED = IPV4_TEMPLATE[:12] + IPV4_TEMPLATE[16:20] + IPV4_TEMPLATE[12:16]

HELLO = bytes.fromhex("16030100050100000100")
REQUEST, RESPONSE = b"GET / HTTP/1.1\r\n", b"HTTP/1.1 400 Bad Request\r\n"
REST, PROXIED = b" HTTP/1.1\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n"
CONNECT, CONNECTED = b"CONNECT a:443 HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"
BANNER = b"SSH-2.0-OpenSSH_9.7\r\n"
NEGOTIATE = bytes.fromhex("00000023ff534d4272") + bytes(30)
GREETING, EHLO, ABLE = b"220 mail ESMTP\r\n", b"EHLO a\r\n", b"250 STARTTLS\r\n"
STARTTLS, READY, REFUSED = b"STARTTLS\r\n", b"220 ready\r\n", b"454 not now\r\n"
QUESTION = bytes.fromhex("0011 1603 0100 0001 0000 0000 0000 00 0001 0001")
READ_COILS = bytes.fromhex("1603 0000 0006 01 01 0000 0001")
RESET_LINK = bytes.fromhex("0564 05 c0 0100 0004 e921")
UNKNOWN = b"\x81\x02\x03\x04 anything else"
PAYLOADS = (
    *(HELLO, REQUEST, RESPONSE, CONNECT, CONNECTED, BANNER, NEGOTIATE),
    *(GREETING, EHLO, ABLE, STARTTLS, READY, REFUSED, UNKNOWN, b"starttls\n"),
    *(QUESTION, READ_COILS, RESET_LINK),
)
MAIL = [(False, GREETING), (True, EHLO), (False, ABLE), (True, STARTTLS)]


def segment(port: int, client: bool, flags: int, numbers: tuple[int, int], payload=b"") -> bytes:
    ports = (CLIENT_PORT, port) if client else (port, CLIENT_PORT)
    header = struct.pack(">HHIIBBHHH", *ports, *numbers, 0x50, flags, 1024, 0, 0)
    addresses = IPV4_TEMPLATE if client else TURNED
    return LINK + b"\x08\0" + ipv4(addresses, PROTOCOLS["tcp"], header + payload)


def connection(port: int, payloads: list[tuple[bool, bytes]]) -> list[bytes]:
    """Frames of a handshake and of the payloads, each in a segment of its own."""
    frames = [segment(port, True, SYN, (99, 0)), segment(port, False, SYN_ACK, (499, 100))]
    following = {True: 100, False: 500}
    for client, payload in payloads:
        numbers = following[client], following[not client]
        frames.append(segment(port, client, DATA, numbers, payload))
        following[client] += len(payload)
    return frames


def told(frames: list[bytes], check: str = "app.protocol_mismatch") -> list[int]:
    """The frames in which the check is found."""
    batch = batch_of(frames, np.arange(len(frames)))
    decoded, _ = Examiner().complete(batch, examine(batch))
    findings = Observer(FlowSettings(capacity=1024)).update(batch, decoded)
    return [int(row["row"]) for row in findings if all_rules()[row["rule"]].id == check]


@pytest.mark.parametrize(
    ("port", "payloads", "wrong"),
    [
        (22, [(True, REQUEST), (False, BANNER)], 0),
        (53, [(True, REQUEST), (False, RESPONSE)], 0),
        (53, [(True, QUESTION), (False, RESPONSE)], 1),
        (502, [(True, BANNER)], 0),
        (502, [(True, HELLO)], 0),
        (20000, [(True, REQUEST), (False, BANNER)], 1),
        (8022, [(True, REQUEST), (False, BANNER)], 1),
        (80, [(True, HELLO)], 0),
        (443, [(True, REQUEST)], 0),
        (443, [(True, BANNER)], 0),
        (445, [(False, BANNER)], 0),
        (8080, [(True, HELLO), (False, RESPONSE)], 1),
        (25, [(True, REQUEST)], 0),
        (25, [(False, GREETING), (True, HELLO)], 1),
        (25, [*MAIL, (False, READY), (True, EHLO)], 5),
        (25, [*MAIL, (False, READY), (False, RESPONSE)], 5),
        (465, [(False, GREETING), (True, HELLO)], 1),
    ],
)
def test_what_contradicts_its_port_or_its_peer_is_told_once(port, payloads, wrong):
    assert told(connection(port, payloads)) == [2 + wrong]


@pytest.mark.parametrize(
    ("port", "payloads"),
    [
        (80, [(True, REQUEST), (False, RESPONSE)]),
        (8443, [(True, REQUEST), (False, RESPONSE)]),
        (53, [(True, QUESTION), (False, QUESTION)]),
        (53, [(True, QUESTION * 2), (False, QUESTION + QUESTION[:9])]),
        (502, [(True, READ_COILS), (False, READ_COILS)]),
        (20000, [(True, RESET_LINK), (False, RESET_LINK)]),
        (20000, [(True, REQUEST), (False, RESPONSE)]),
        (3389, [(True, HELLO), (False, HELLO)]),
        (8080, [(True, CONNECT), (False, CONNECTED), (True, HELLO), (False, HELLO)]),
        (80, [(True, UNKNOWN), (False, HELLO[:3])]),
        (25, [*MAIL, (False, READY), (True, HELLO), (False, HELLO)]),
        (25, [*MAIL, (False, REFUSED), (True, EHLO)]),
        (465, [(False, GREETING), (True, EHLO)]),
    ],
)
def test_what_agrees_is_not(port, payloads):
    assert told(connection(port, payloads)) == []


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([(False, BANNER), (True, UNKNOWN)], [3]),
        ([(False, BANNER), (True, UNKNOWN), (True, UNKNOWN)], [3]),
        ([(False, BANNER), (True, BANNER), (True, UNKNOWN)], []),
        ([(False, BANNER), (True, BANNER[:3])], []),
        ([(True, BANNER), (False, UNKNOWN)], []),
        ([(True, BANNER), (False, b"Exceeded MaxStartups\r\n")], []),
        ([(True, BANNER), (False, bytes.fromhex("0000002c0614"))], [3]),
        ([(True, BANNER), (False, b"hello\r\n"), (False, bytes(9))], []),
        ([(False, UNKNOWN), (True, UNKNOWN)], []),
        ([(True, UNKNOWN), (False, BANNER)], [3]),
        ([(True, b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 22\r\n" + BANNER), (False, BANNER)], []),
    ],
)
def test_who_speaks_ssh_identifies_itself(payloads, wrong):
    assert told(connection(22, payloads), "ssh.banner_bad") == wrong


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([(True, UNKNOWN), (False, RESPONSE)], [3]),
        ([(True, b"\xdd\0\0\0 " + REQUEST), (False, RESPONSE)], [3]),
        ([(True, b" " + REQUEST), (False, RESPONSE)], [3]),
        ([(True, REQUEST.lower()), (False, RESPONSE)], [3]),
        ([(True, UNKNOWN), (False, RESPONSE), (False, RESPONSE)], [3]),
        *(([(True, b"\r\n" * lines + REQUEST), (False, RESPONSE)], []) for lines in (1, 2, 4)),
        ([(True, b"REPORT / HTTP/1.1\r\n"), (False, RESPONSE)], []),
        ([(True, b"PROPFIN"), (True, b"D / HTTP/1.1\r\n"), (False, RESPONSE)], []),
        ([(True, bytes.fromhex("0d0a0d0a000d0a515549540a21")), (False, RESPONSE)], []),
        ([(True, UNKNOWN), (False, UNKNOWN)], []),
    ],
)
def test_what_a_server_of_http_answers_begins_like_a_request(payloads, wrong):
    assert told(connection(8000, payloads), "http.request_line_bad") == wrong


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([(True, b"FOO bar\r\n"), (False, RESPONSE)], [3]),
        ([(True, b"\r\nLIST all of it, by name\r\n"), (False, RESPONSE)], [3]),
        ([(True, b"FOO "), (True, b"bar\r\n"), (False, RESPONSE)], [4]),
        ([(True, b"FOO bar"), (True, REST), (False, RESPONSE)], []),
        ([(True, b"FOO bar HTTP/1.1\r\n"), (False, RESPONSE)], []),
        ([(True, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), (False, RESPONSE)], []),
        ([(True, PROXIED + REQUEST), (False, RESPONSE)], []),
        ([(True, PROXIED), (True, REQUEST), (False, RESPONSE)], []),
        ([(True, b"FOO bar\r\n"), (False, UNKNOWN)], []),
    ],
)
def test_a_first_line_that_ends_without_a_version_is_no_request(payloads, wrong):
    assert told(connection(80, payloads), "http.request_line_bad") == wrong
    assert told(connection(8001, payloads), "http.request_line_bad") == []


@pytest.mark.parametrize(
    ("payloads", "wrong"),
    [
        ([(False, CONNECTED)], [2]),
        ([(False, CONNECTED), (True, REQUEST)], [2]),
        ([(False, b"HTTP/1.1 408 Request Timeout\r\n")], []),
        ([(True, REQUEST[:3]), (False, CONNECTED)], []),
    ],
)
def test_a_response_follows_a_request(payloads, wrong):
    assert told(connection(8000, payloads), "http.response_bad") == wrong


FIRST_SAID = [
    (22, [(True, REQUEST)], "app.protocol_mismatch"),
    (443, [(True, REQUEST)], "app.protocol_mismatch"),
    (443, [(True, b"REQ /a/longer/target HTTP/1.0\r\n")], "app.protocol_mismatch"),
    (80, [(True, HELLO)], "app.protocol_mismatch"),
    (445, [(False, BANNER)], "app.protocol_mismatch"),
    (443, [(True, NEGOTIATE)], "app.protocol_mismatch"),
    (8080, [(True, HELLO), (False, RESPONSE)], "app.protocol_mismatch"),
    (53, [(True, REQUEST)], "app.protocol_mismatch"),
    (53, [(True, HELLO)], "app.protocol_mismatch"),
    (502, [(True, b"EHLO mail.a\r\n")], "app.protocol_mismatch"),
    (502, [(True, HELLO)], "app.protocol_mismatch"),
    (25, [*MAIL, (False, READY), (True, EHLO)], "app.protocol_mismatch"),
    (22, [(False, BANNER), (True, UNKNOWN)], "ssh.banner_bad"),
    (8000, [(True, UNKNOWN), (False, RESPONSE)], "http.request_line_bad"),
    (8000, [(False, CONNECTED)], "http.response_bad"),
]


@pytest.mark.parametrize(("port", "payloads", "check"), FIRST_SAID)
@pytest.mark.parametrize("size", [1, 3, 5, 7, 9])
def test_in_how_many_segments_something_is_said_first_makes_no_difference(
    port, payloads, check, size
):
    *before, (client, last) = payloads
    pieces = [(client, last[:size]), (client, last[size:])]
    assert len(told(connection(port, [*before, *pieces]), check)) == 1
    if not before:
        frames = connection(port, [(client, bytes([byte])) for byte in last])
        assert len(told(frames, check)) == 1


# Of the lengths and numbers below, each looks like the beginning of a record of TLS.
LONG_ANSWER = bytes.fromhex("1603 0102 8180 0001 0001 0000 0000") + bytes(5623)
WRITE = bytes.fromhex("1603 0000 000b 01 10 0000 0002 04 16030100")


@pytest.mark.parametrize(
    ("port", "message"),
    [(53, QUESTION), (53, LONG_ANSWER), (502, READ_COILS), (502, WRITE), (20000, RESET_LINK)],
)
@pytest.mark.parametrize("client", [True, False])
def test_what_its_port_carries_agrees_wherever_it_is_cut(port, message, client):
    for at in range(1, min(len(message), 40)):
        for pieces in ([message[:at], message[at:]], [message[:at], message[at:] + message]):
            assert told(connection(port, [(client, piece) for piece in pieces])) == []


def test_a_client_may_have_a_port_of_another_protocol():
    ports = struct.pack(">HH", CLIENT_PORT, 22), struct.pack(">HH", 22, CLIENT_PORT)
    theirs = struct.pack(">HH", 20000, 22), struct.pack(">HH", 22, 20000)
    frames = connection(22, [(True, REQUEST), (False, BANNER)])
    for before, after in zip(ports, theirs, strict=True):
        frames = [frame.replace(before, after) for frame in frames]
    assert told(frames) == [2]


@pytest.mark.parametrize("size", [1, 4])
def test_tls_behind_starttls_may_begin_with_a_few_bytes(size):
    payloads = [*MAIL, (False, READY), (True, HELLO[:size]), (True, HELLO[size:])]
    assert told(connection(25, payloads)) == []


def test_a_request_the_capture_lacks_was_asked_all_the_same():
    frames = connection(8000, [(True, REQUEST), (False, CONNECTED)])
    assert told([*frames[:2], frames[3]], "http.response_bad") == []


def test_without_its_beginning_a_connection_says_nothing():
    assert told(connection(22, [(True, REQUEST), (False, RESPONSE)])[2:]) == []


def test_a_reply_that_is_sent_again_is_not_what_follows_starttls():
    frames = connection(25, [*MAIL, (False, READY)])
    assert told([*frames, frames[-1]]) == []


def in_fragments(frame: bytes) -> list[bytes]:
    """An IPv4 packet in two, the first 24 bytes of what it carries in one of its own."""
    head, carried = frame[len(LINK) + 2 :][:20], frame[len(LINK) + 22 :]
    pieces = [(b"\x20\x00", carried[:24]), (b"\x00\x03", carried[24:])]
    return [
        LINK + b"\x08\0" + ipv4(head[:6] + place + head[8:], PROTOCOLS["tcp"], part)
        for place, part in pieces
    ]


def test_what_arrives_in_fragments_contradicts_nothing():
    frames = connection(25, [*MAIL, (False, READY), (True, HELLO)])
    assert told([*frames[:-1], *in_fragments(frames[-1])]) == []


@given(
    st.sampled_from((22, 25, 53, 80, 443, 445, 465, 502, 587, 993, 2525, 8080, 20000)),
    st.lists(st.tuples(st.booleans(), st.sampled_from(PAYLOADS)), max_size=8),
)
def test_equals_its_twin(port, payloads):
    place = contradiction(port, payloads)
    assert told(connection(port, payloads)) == ([] if place is None else [2 + place])
