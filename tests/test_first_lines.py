"""First lines of connections that are cut anywhere: the same is told as of one that is whole."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from batches import batch_of
from procwire.judging.examine import Examiner, examine
from procwire.judging.observe import Observer
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings
from test_spoken import connection, segment, told

REST, NO_HOST = b" HTTP/1.1\r\nHost: a\r\n\r\n", b" HTTP/1.1\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = (True, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
MISMATCH, BAD_LINE = "app.protocol_mismatch", "http.request_line_bad"
Payloads = list[tuple[bool, bytes]]


def checks(frames: list[bytes], lengths: list[int] | None = None) -> Counter[str]:
    """What is found in a whole capture. lengths: on the wire, where frames were cut."""
    batch = batch_of(frames, np.arange(len(frames)))
    if lengths is not None:
        batch = batch._replace(length=np.array(lengths, np.int32))
    decoded, _ = Examiner().complete(batch, examine(batch))
    observer = Observer(FlowSettings(capacity=1024))
    rules = observer.update(batch, decoded)["rule"].tolist()
    rules += observer.finish().findings["rule"].tolist()
    return Counter(all_rules()[rule].id for rule in rules)


def cuts(payloads: Payloads, which: int) -> list[Payloads]:
    """One of the payloads in two, cut at each place, and in single bytes."""
    before, (client, data), behind = payloads[:which], payloads[which], payloads[which + 1 :]
    parts = [[data[:at], data[at:]] for at in range(1, len(data))]
    parts.append([bytes([byte]) for byte in data])
    return [[*before, *((client, part) for part in one), *behind] for one in parts]


@pytest.mark.parametrize("port", [22, 53, 80, 443, 502, 8080])
@pytest.mark.parametrize(
    "line",
    [b"GET /", b"FOO /" + b"a" * 70, b"BASELINE-CONTROL /a", b"\r\nFOO /a", b"FOO\t/a", b"F  /a"],
)
@pytest.mark.parametrize("rest", [REST, NO_HOST])
def test_a_first_request_may_be_cut_anywhere(port: int, line: bytes, rest: bytes) -> None:
    payloads = [(True, line + rest), (False, RESPONSE)]
    others, whole = cuts(payloads, 0), checks(connection(port, payloads))
    expected = {MISMATCH} if port not in (80, 8080) else set()
    expected |= {"http.host_bad"} if rest == NO_HOST else set()
    expected |= {BAD_LINE} if b"\t" in line or b"  " in line else set()
    assert set(whole) == expected
    assert [checks(connection(port, one)) for one in others] == [whole] * len(others)


@pytest.mark.parametrize("which", range(4))
def test_so_may_what_follows_on_a_connection(which: int) -> None:
    payloads = [GET, (False, RESPONSE), (True, b"FOO /aa" + NO_HOST), (False, RESPONSE)]
    for one in cuts(payloads, which):
        assert checks(connection(8000, one)) == {"http.host_bad": 1}


@pytest.mark.parametrize("size", [250, 1400, 5000, 8000])
@pytest.mark.parametrize("begun", [3, 16, 100])
@pytest.mark.parametrize("body", [0, 3000])
def test_a_long_line_is_known_where_it_ends(size: int, begun: int, body: int) -> None:
    line = b"FOO /" + b"a" * size + b"b"
    rest = REST[:-2] + b"Content-Length: %d\r\n\r\n" % body + b"x" * body
    for at in (begun, len(line) // 2, len(line) - 1, len(line), len(line) + 1):
        payloads = [(True, line[:at]), (True, line[at:] + rest), (False, RESPONSE)]
        assert told(connection(443, payloads)) == [3]
        assert checks(connection(8080, payloads)) == {}


@pytest.mark.parametrize("method", [b"GET", b"FOO"])
@pytest.mark.parametrize("missing", ["nothing", "a segment", "what a snap length cut"])
def test_the_end_of_a_line_that_was_lost_begins_nothing(method: bytes, missing: str) -> None:
    line = method + b" /" + b"a" * (9000 if missing == "nothing" else 600)
    frames = connection(80, [(True, line[:400]), (True, line[400:]), (True, b"b" + NO_HOST)])
    lengths = [len(frame) for frame in frames]
    if missing == "a segment":
        del frames[3], lengths[3]
    elif missing == "what a snap length cut":
        frames = [frame[:96] for frame in frames]
    assert checks(frames, lengths)[BAD_LINE] == 0


@pytest.mark.parametrize("port", [53, 80, 443])
def test_a_request_of_a_few_bytes_is_one(port: int) -> None:
    whole = checks(connection(port, [(True, b"GET /\r\n")]))
    for one in cuts([(True, b"GET /\r\n")], 0):
        assert checks(connection(port, one)) == whole


def test_text_that_is_no_request_is_none() -> None:
    for text in (b"USER a b\r\n", b"word " * 60 + b"\r\n", b"a" * 9000, b"a " * 5000):
        for at in (1, 5, 20, len(text) - 1):
            payloads = [(True, text[:at]), (True, text[at:]), (False, b"+OK\r\n"), GET]
            assert checks(connection(8080, payloads)) == {}


FIN_ACK, RST_ACK, FLAGS_AT = 0x11, 0x14, 47


@pytest.mark.parametrize(
    ("sent", "flags", "count"),
    [
        (b"GET /a/target", FIN_ACK, 1),
        (b"GET /a HTTP/1.1", FIN_ACK, 1),
        (b"GET /a HTTP/1.1\r\nHost", FIN_ACK, 0),
        (b"GET /a/target", RST_ACK, 0),
        (b"some", FIN_ACK, 0),
        (b"POSTED", FIN_ACK, 0),
        (b"HTTP is", FIN_ACK, 0),
        (GET[1] + b"GET /b", FIN_ACK, 1),
        (GET[1] + b"some", FIN_ACK, 0),
        (GET[1], FIN_ACK, 0),
    ],
)
def test_a_request_that_ends_in_its_line_is_told(sent: bytes, flags: int, count: int) -> None:
    for payloads in ([(True, sent)], *cuts([(True, sent)], 0)):
        frames = connection(8080, payloads)
        end = segment(8080, True, flags, (100 + len(sent), 500))
        assert checks([*frames, end])[BAD_LINE] == count
        if flags == FIN_ACK:
            last = frames[-1][:FLAGS_AT] + bytes([flags]) + frames[-1][FLAGS_AT + 1 :]
            assert checks([*frames[:-1], last])[BAD_LINE] == count


ANSWERED: Payloads = [GET, (False, RESPONSE)]
TUNNEL = (False, b"HTTP/1.1 101 a\r\n\r\n")
TO_THE_CLOSE = (False, b"HTTP/1.1 200 OK\r\n\r\nok")
BODY_OF_HEAD = [(True, b"HEAD" + GET[1][3:]), (False, RESPONSE)]


@pytest.mark.parametrize(
    "stray",
    [
        b"\0\1\2\3\4",
        b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"hello\r\n\r\n",
        b"hello\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_behind_requests_that_were_answered_come_others(stray: bytes) -> None:
    """Whatever a body has more than its length says is taken for a request (RFC 9112 6.3)."""
    payloads = [*ANSWERED, *ANSWERED, (True, stray)]
    for one in (payloads, *cuts(payloads, 4)):
        assert checks(connection(3000, one))[BAD_LINE] == 1


@pytest.mark.parametrize(
    "payloads",
    [
        [GET],
        [GET, TUNNEL],
        [GET, TO_THE_CLOSE],
        [GET, (False, RESPONSE[:-1])],
        [GET, *ANSWERED],
        BODY_OF_HEAD,
    ],
)
def test_what_comes_elsewhere_may_be_anything(payloads: Payloads) -> None:
    for stray in (b"\0\1\2\3\4", b"hello\r\n\r\n"):
        assert checks(connection(3000, [*payloads, (True, stray)])) == {}
    for lines in (b"\r\n\r\n", b"\r\nFOO /a HTTP/1.1\r\nHost: a\r\n\r\n"):
        for one in cuts([*ANSWERED, (True, lines)], 2):
            assert checks(connection(3000, one)) == {}


@pytest.mark.parametrize(("answer", "count"), [(RESPONSE, 1), (b"+OK\r\n", 0)])
def test_a_server_that_answers_in_http_was_sent_a_request_on_any_port(
    answer: bytes, count: int
) -> None:
    sent = b"GET /a/target"
    payloads = [(True, sent), (False, answer)]
    for one in (payloads, *cuts(payloads, 0)):
        end = segment(3000, True, FIN_ACK, (100 + len(sent), 500 + len(answer)))
        assert checks([*connection(3000, one), end])[BAD_LINE] == count


def test_the_byte_of_a_keep_alive_is_no_data_wherever_it_lies() -> None:
    """The capture lacks what it is said to repeat, until that is sent once more."""
    data = GET[1] * 4
    first, last = connection(80, [(True, data[:9]), (True, data[9:])])[2:]
    acknowledges = segment(80, False, 0x10, (500, 100 + len(data)))
    keep_alive = segment(80, True, 0x10, (99 + len(data), 500), b"\xff")
    frames = [*connection(80, []), first, acknowledges, keep_alive, last]
    assert "stream.overlap_differs" not in checks(frames)


@pytest.mark.parametrize("zeros", [1, 3, 4])
def test_zeros_before_a_status_are_no_response(zeros: int) -> None:
    payloads = [GET, (False, bytes(zeros) + RESPONSE)]
    for one in (payloads, *cuts(payloads, 1)):
        assert checks(connection(80, one)) == {"http.response_bad": 1}
    assert checks(connection(80, [GET, (False, bytes(zeros) + b"HTT")])) == {}


@pytest.mark.parametrize("port", [20, 3000, 9000])
@pytest.mark.parametrize("sent", [b"GET key", b"POSTED", b"CONNECTED", b"HEADER 1", b"HTTP is"])
def test_text_without_a_line_is_no_request(port: int, sent: bytes) -> None:
    """Data connections of FTP and protocols of words begin like methods, too."""
    end = segment(port, True, FIN_ACK, (100 + len(sent), 500))
    assert checks([*connection(port, [(True, sent)]), end]) == {}


@pytest.mark.parametrize(("flags", "count"), [(FIN_ACK, 1), (RST_ACK, 0)])
def test_a_request_that_is_due_does_not_end_in_any_text(flags: int, count: int) -> None:
    payloads = [*ANSWERED, (True, b"a=b")]
    place = (100 + len(GET[1]) + 3, 500 + len(RESPONSE))
    for one in (payloads, *cuts(payloads, 2)):
        end = segment(3000, True, flags, place)
        assert checks([*connection(3000, one), end])[BAD_LINE] == count
