"""Both directions of HTTP/1, with every way to end a body: each broken head is told and nothing in
a body is, however the dialogue is cut, whatever comes early or again, wherever batches end."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observing import batch
from procwire.decode.frame import decode
from procwire.judging.observe import Observer
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings

CLIENT, SERVER = 0, 1
PORTS, ADDRESSES = (5000, 80), (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
FIRST = (4_294_967_000, 77)  # numbers of the client wrap soon
SYN, ACK, PUSH = 0x02, 0x10, 0x18
BROKEN = b"Foo Bar: b"
# What would break rules if it were taken for a message.
TEXT = b"GET /a b HTTP/1.1\r\nX Y: z\r\n\r\nHTTP/1.1 2 x\r\n\r\n0\r\n\r\n5\r\n" * 9
HOST = b"Host: a"
Flight = tuple[bytes, bytes]  # what the client sends before it waits, and what the server answers


class Body(NamedTuple):
    """sizes: of its chunks, of all if it is counted, None for no body; trailer: whether fields
    follow its chunks; extension: of their lines."""

    sizes: tuple[int, ...] | None
    chunked: bool
    trailer: bool
    extension: bytes

    def fields(self) -> list[bytes]:
        if self.sizes is None:
            return []
        counted = b"Content-Length: %d" % sum(self.sizes)
        return [b"Transfer-Encoding: chunked" if self.chunked else counted]

    def data(self) -> bytes:
        sizes = self.sizes or ()
        if not self.chunked or self.sizes is None:
            return TEXT[: sum(sizes)]
        lines = [b"%x%s\r\n%s\r\n" % (size, self.extension, TEXT[:size]) for size in sizes]
        return b"".join(lines) + b"0\r\n" + (b"A: b\r\n" if self.trailer else b"") + b"\r\n"


class Exchange(NamedTuple):
    """A request, with empty lines before it or not, and its response; either head may be broken."""

    method: bytes
    sent: Body
    request_broken: bool
    empty_lines: int
    status: int
    answered: Body
    response_broken: bool
    interim: bool

    def request(self) -> bytes:
        start = b"\r\n" * self.empty_lines + self.method + b" / HTTP/1.1"
        return head(start, [HOST, *self.sent.fields()], self.request_broken) + self.sent.data()

    def response(self) -> bytes:
        interim = head(b"HTTP/1.1 100 Continue", [], False) if self.interim else b""
        body = self.answered if self.answered.sizes is not None else NO_BYTES
        fields = [] if self.status == 204 else body.fields()
        start = head(b"HTTP/1.1 %d x" % self.status, fields, self.response_broken)
        bodiless = self.method == b"HEAD" or self.status in (204, 304)
        return interim + start + (b"" if bodiless else body.data())


NO_BYTES = Body((0,), False, False, b"")


def head(start: bytes, fields: list[bytes], broken: bool) -> bytes:
    return b"\r\n".join([start, *fields, *([BROKEN] if broken else []), b"", b""])


BROKEN_ANSWER = head(b"HTTP/1.1 200 x", [], True)
BROKEN_REQUEST = head(b"GET / HTTP/1.1", [HOST], True)
CONNECT = head(b"CONNECT a:443 HTTP/1.1", [b"Host: a:443"], False)
# How a connection may end: what is sent, each beside the broken heads in it.
ENDS: dict[str, tuple[list[Flight], int]] = {
    "at once": ([], 0),
    "a body until the close": ([(head(b"GET / HTTP/1.1", [HOST], False), BROKEN_ANSWER + TEXT)], 1),
    "another protocol": (
        [
            (
                head(b"GET / HTTP/1.1", [HOST, b"Upgrade: x"], False),
                head(b"HTTP/1.1 101 x", [b"Upgrade: x"], True),
            ),
            (b"\x81\x05hello" * 20, b"\x82\x10" + b"z" * 50),
        ],
        1,
    ),
    "a tunnel": ([(CONNECT, BROKEN_ANSWER), (b"\0" * 90, b"\1" * 80)], 1),
    "a tunnel refused": (
        [
            (CONNECT, head(b"HTTP/1.1 403 x", [b"Content-Length: 30"], False) + TEXT[:30]),
            (BROKEN_REQUEST, head(b"HTTP/1.1 204 x", [], False)),
        ],
        1,
    ),
}

bodies = st.one_of(
    st.just(Body(None, False, False, b"")),
    st.builds(Body, st.tuples(st.integers(0, 300)), st.just(False), st.just(False), st.just(b"")),
    st.builds(
        Body,
        st.lists(st.integers(1, 150), max_size=3).map(tuple),
        st.just(True),
        st.booleans(),
        st.sampled_from([b"", b";a=b", b' ;a="x"']),
    ),
)
exchanges = st.builds(
    Exchange,
    method=st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS"]),
    sent=bodies,
    request_broken=st.booleans(),
    empty_lines=st.integers(0, 2),
    status=st.sampled_from([200, 204, 304, 404]),
    answered=bodies,
    response_broken=st.booleans(),
    interim=st.booleans(),
)


def frame(side: int, offset: int, payload: bytes, acknowledged: int, flags: int = PUSH) -> bytes:
    ports = PORTS if side == CLIENT else PORTS[::-1]
    numbers = ((FIRST[side] + offset) % 2**32, (FIRST[1 - side] + acknowledged) % 2**32)
    tcp = struct.pack(">HHIIBBHHH", *ports, *numbers, 0x50, flags, 60000, 0, 0)
    fields = (0x45, 0, 40 + len(payload), 7, 0, 64, 6, 0)
    ends = ADDRESSES[side] + ADDRESSES[1 - side]
    return bytes(12) + b"\x08\0" + struct.pack(">BBHHHBBH", *fields) + ends + tcp + payload


def cut(data: bytes, sizes: list[int]) -> Iterator[tuple[int, bytes]]:
    at, count = 0, 0
    while at < len(data):
        size = sizes[count % len(sizes)]
        yield at, data[at : at + size]
        at, count = at + size, count + 1


def frames_of(
    flights: list[Flight], sizes: list[int], disorder: list[tuple[int, int]]
) -> list[bytes]:
    """disorder: in each flight, which segment comes after the next one, and which comes again."""
    frames = [frame(CLIENT, -1, b"", 0, SYN), frame(SERVER, -1, b"", 0, SYN | ACK)]
    sent = [0, 0]
    for flight in flights:
        for side, data in enumerate(flight):
            segments = list(cut(data, sizes))
            for later, again in disorder if len(segments) > 2 else []:
                # The first one stays: it says where the direction begins.
                here = 1 + later % (len(segments) - 1)
                segments[here : here + 2] = segments[here : here + 2][::-1]
                segments.insert(here + 1, segments[again % len(segments)])
            frames += [frame(side, sent[side] + at, part, sent[1 - side]) for at, part in segments]
            sent[side] += len(data)
    return frames


def broken_rules(frames: list[bytes], size: int) -> Counter[str]:
    """Of messages; size: packets in a batch."""
    observer, findings = Observer(FlowSettings()), []
    for start in range(0, len(frames), size):
        one = batch([(1, data) for data in frames[start : start + size]], 1 + start)
        findings += observer.update(one, decode(one))["rule"].tolist()
    findings += observer.finish().findings["rule"].tolist()
    names = (all_rules()[rule].id for rule in findings)
    return Counter(name for name in names if not name.startswith("stream."))


@settings(max_examples=60)
@given(
    st.lists(st.lists(exchanges, min_size=1, max_size=3), min_size=1, max_size=4),
    st.sampled_from(sorted(ENDS)),
    st.lists(st.integers(1, 200), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=5),
    st.integers(1, 60),
)
def test_each_broken_head_is_told_and_no_body(
    groups: list[list[Exchange]],
    end: str,
    sizes: list[int],
    disorder: list[tuple[int, int]],
    size: int,
) -> None:
    flights = [
        (b"".join(one.request() for one in group), b"".join(one.response() for one in group))
        for group in groups
    ]
    flags = [(one.request_broken, one.response_broken) for group in groups for one in group]
    broken = sum(map(sum, flags)) + ENDS[end][1]
    found = broken_rules(frames_of(flights + ENDS[end][0], sizes, disorder), size)
    assert found == Counter({"http.field_syntax": broken} if broken else {})


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_answers_requests_that_were_not_seen_may_have_no_body(size: int) -> None:
    """One of HEAD names the chunks that one of GET would have (RFC 9110 9.3.2)."""
    named = head(b"HTTP/1.1 200 x", [b"Transfer-Encoding: chunked"], False)
    frames = frames_of([(b"", named)] * 3 + [(b"", BROKEN_ANSWER)], [size], [])
    broken = {"http.field_syntax": 1} if size == 1000 else {}
    assert broken_rules(frames[1:], 9) == Counter(broken)
    frames = frames_of([(b"", named + b"5\r\nhello\r\nHTTP/1.1 200 x\r\n\r\n")], [size], [])
    assert broken_rules(frames[1:], 9) == Counter({"http.chunk_bad": 1})


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("between", "broken"),
    [
        (b"\r\n", False),
        (b"\n", False),
        (b"\r\n ", False),
        (b" ", True),
        (b"\r", True),
        (b"0", True),
        (b"\r\r\n", True),
    ],
)
def test_the_data_of_a_chunk_ends_where_its_size_says(
    size: int, between: bytes, broken: bool
) -> None:
    answer = head(b"HTTP/1.1 200 x", [b"Transfer-Encoding: chunked"], False) + b" 5\r\nhello"
    flights = [
        (head(b"GET / HTTP/1.1", [HOST], False), answer + between + b"5\r\nhello\r\n0\r\n\r\n")
    ]
    found = broken_rules(frames_of(flights, [size], []), 9)
    assert found == Counter({"http.chunk_bad": 1} if broken else {})


def test_text_in_another_protocol_is_no_message_for_its_first_bytes() -> None:
    """Rows of a table that hold HTTP may begin a segment; what begins with its line is judged."""
    rows = [
        b"HTTP/1.1 GET / HTTP/1.1 " * 9,
        b"GET is a method\r\nof HTTP\r\n\r\n",
        b"http://a/\r\n",
    ]
    flights = [
        (b"\0\0\0\x08\x04\xd2\x16\x2f", b"R\0\0\0\x08\0\0\0\0"),
        *((b"", row) for row in rows),
    ]
    assert broken_rules(frames_of(flights, [1400], []), 9) == Counter()
    flights.append((BROKEN_REQUEST, BROKEN_ANSWER))
    assert broken_rules(frames_of(flights, [1400], []), 9) == Counter({"http.field_syntax": 2})
