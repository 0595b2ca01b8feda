"""Messages in TCP streams: what is found in them does not depend on how they are cut, in which
order their segments come, or where batches end; and memory for them is bounded."""

from __future__ import annotations

import struct
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from message_examples import BAD_LINE, CONVERSATIONS, HTTP, POST
from observing import batch
from procwire import layers
from procwire.decode.frame import decode
from procwire.decode.framing import HEADER_SIZES, begins_message
from procwire.decode.framing import frame as frame_of
from procwire.decode.stream_table import DIRECTIONS, MESSAGES, PIECES, SURE
from procwire.judging.observe import Observer
from procwire.output.summary import summary
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings
from procwire.words import span
from test_spoken import connection, segment, told

FIRST = 4_294_967_000  # numbers wrap soon
ACK, SYN = 0x18, 0x02
COUNTED = [one for one in HEADER_SIZES if one[0] not in (layers.HTTP1, layers.SMTP, layers.SSH)]


def frame(offset, payload, ports, flags=ACK):
    tcp = struct.pack(">HHIIBBHHH", *ports, (FIRST + offset) % (1 << 32), 1, 0x50, flags, 512, 0, 0)
    size = 40 + len(payload)
    addresses = bytes((192, 0, 2, 1, 192, 0, 2, 2))
    ipv4 = struct.pack(">BBHHHBBH", 0x45, 0, size, 7, 0, 64, 6, 0) + addresses
    return bytes(12) + b"\x08\0" + ipv4 + tcp + payload


def found(segments, ports, size=1000):
    """Counter of the checks that the messages of (offset, payload) segments break, and counters."""
    frames = [frame(-1, b"", ports, SYN), *(frame(at, part, ports) for at, part in segments)]
    observer, findings = Observer(FlowSettings()), []
    for start in range(0, len(frames), size):
        one = batch([(1, frame) for frame in frames[start : start + size]], 1 + start)
        findings += observer.update(one, decode(one))["rule"].tolist()
    counters = observer.counters()
    findings += observer.finish().findings["rule"].tolist()
    names = (all_rules()[rule].id for rule in findings)
    own = Counter(name for name in names if not name.startswith(("stream.", "app.")))
    return own, counters


def cut(stream, sizes):
    """Segments of a stream, of the sizes over and over."""
    segments, at = [], 0
    while at < len(stream):
        size = sizes[len(segments) % len(sizes)]
        segments.append((at, stream[at : at + size]))
        at += size
    return segments


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_each_message_is_found_wherever_it_lies(name):
    ports, messages, broken = CONVERSATIONS[name]
    stream = b"".join(messages)

    @settings(max_examples=60)
    @given(
        st.lists(st.integers(1, 60), min_size=1, max_size=6),
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=6),
        st.integers(1, 60),
    )
    def check(sizes, disorder, size):
        segments = cut(stream, sizes)
        for later, again in disorder:
            # The first one stays: it says where the direction begins.
            here = 1 + later % len(segments)
            segments[here : here + 2] = segments[here : here + 2][::-1]
            segments.insert(1 + here, segments[again % len(segments)])
        assert found(segments, ports, size)[0] == Counter(broken)

    check()


@pytest.mark.parametrize(("layer", "header"), COUNTED)
def test_no_message_is_shorter_than_what_tells_its_length(layer, header):
    for first in (0, 5, 0x16, 0x17, 0x80, 0x81, 0xFF):
        for second in range(256):
            begun = span(bytes((first, second)) + bytes(header - 2))
            size = frame_of(layer, begun, SURE)
            assert header <= size.wanted <= size.size or not begins_message(layer, begun, SURE)


@pytest.mark.parametrize("before", [b"?", b"?" * 15, b"?" * 16, b"?" * 40])
def test_a_message_may_begin_with_any_segment_of_what_began_as_nothing_known(before):
    findings, _ = found([(0, before), (len(before), BAD_LINE)], HTTP)
    assert findings == Counter({"http.request_line_bad": 1})


@pytest.mark.parametrize("size", [5, 1000])
@pytest.mark.parametrize("port", [11300, 80])
@pytest.mark.parametrize(
    ("before", "is_other"),
    [
        (b"put 0 0 60 42\r\n" * 3, True),
        (b"a1 login a b\r\n", True),
        (b"SSH-2.0-a\r\n" + bytes(90), True),
        (b"PROXY TCP4 192.0.2.9 192.0.2.2 4000 80\r\n", False),
        (b"\5\1\0\5\1\0\1\xc0\0\2\2\0\x50" + bytes(8), False),
    ],
)
def test_text_of_another_protocol_holds_no_message_but_on_the_ports_of_http(
    before, is_other, port, size
):
    segments = [*cut(before, [size]), (len(before), BAD_LINE)]
    findings, _ = found(segments, (40000, port))
    assert findings["http.request_line_bad"] == (not is_other or port == 80)


def test_a_length_beyond_all_bounds_is_told_only_from_the_start_of_a_stream():
    """In the middle, the bytes of a sound message may be read one off."""
    read, check = bytes.fromhex("0417 0000 0006 ff 04 0384 0093"), "modbus.bad_length"
    frames = connection(502, [(True, read[1:])])
    assert told(frames, check) == [2]
    assert told(frames[2:], check) == []


def test_bytes_of_a_body_are_no_messages():
    body = POST + b"Content-Length: 60\r\n\r\n"
    assert found([(0, body), (len(body), BAD_LINE.ljust(60))], HTTP)[0] == Counter()


def test_a_message_that_never_ends_is_judged_by_what_fits():
    head = b"GET /a b HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 4000
    findings, counters = found(cut(head, [1]), HTTP)
    assert findings["http.request_line_bad"] == 1
    assert counters["messages_overflowing"] == 1


def test_segments_behind_a_gap_are_held_up_to_a_bound():
    segments = [(0, BAD_LINE), *((100 + 2 * i, b"x") for i in range(500))]
    _, counters = found(segments, HTTP)
    assert counters["segments_held"] == 500
    assert counters["gaps_skipped"] == 500 - 64


@pytest.mark.parametrize(
    ("acknowledged", "filled"), [(10, True), (9, True), (11, False), (10 + (1 << 30), True)]
)
def test_what_precedes_a_segment_is_waited_for_unless_the_receiver_has_it(acknowledged, filled):
    """Nor does a number that nobody can have received say so."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n"
    frames = connection(80, [(True, request[:10])])
    frames.append(segment(80, False, 0x10, (500, 100 + acknowledged)))
    for part in (slice(20, None), slice(10, 20)):
        frames.append(segment(80, True, ACK, (100 + part.start, 500), request[part]))
    assert told(frames, "http.field_syntax") == [len(frames) - 1] * filled


def losses(payload, offset, clients):
    """Counters after as many clients each sent the first byte of a request, and a segment then."""
    frames = [
        frame(at, part, (client, 80))
        for client in range(1024, 1024 + clients)
        for at, part in ((0, b"G"), (offset, payload))
    ]
    one = batch([(1, frame) for frame in frames], 1)
    observer = Observer(FlowSettings())
    observer.update(one, decode(one))
    return observer.counters()


@pytest.mark.parametrize(
    ("counter", "bound", "offset", "payload"),
    [
        ("messages_overflowing", MESSAGES, 1, b"ET / HTTP/1.1"),
        ("gaps_skipped", PIECES, 9, b"x"),
        ("streams_evicted", DIRECTIONS, 1, b"X"),
    ],
)
def test_memory_for_streams_is_bounded_and_what_it_costs_is_shown(counter, bound, offset, payload):
    clients = bound + bound // 8
    counters = losses(payload, offset, clients)
    assert 0 < counters[counter] < clients
    assert counters[counter] + counters["streams_evicted"] >= clients - bound
    shown = summary("a.pcap", {f"flows.{name}": n for name, n in counters.items()}, (), 100)
    assert f"flows.{counter} {counters[counter]:,}" in shown.replace("\xa0", " ")
