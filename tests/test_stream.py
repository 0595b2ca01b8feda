"""Bytes sent again: found where they differ, within what is remembered, and nowhere else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_stream import differing
from observing import fresh, observe
from procwire.decode.stream_table import WINDOW

BASE = 1000
PSH_ACK = 0x18


def segment(seq, payload, back=False, flags=PSH_ACK):
    """A frame of one TCP segment between two hosts."""
    ends = [bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))]
    ports = [5000, 80]
    if back:
        ends, ports = ends[::-1], ports[::-1]
    tcp = struct.pack(">HHIIBBHHH", *ports, seq % (1 << 32), 1, 0x50, flags, 512, 0, 0)
    size = 40 + len(payload)
    ipv4 = struct.pack(">BBHHHBBH", 0x45, 0, size, 7, 0, 64, 6, 0) + ends[0] + ends[1]
    return bytes(12) + b"\x08\0" + ipv4 + tcp + payload


def contradictions(frames, observer=None):
    """Numbers of the packets, from 1, that contradict an earlier one."""
    found = observe(observer or fresh(), [(0, frame) for frame in frames])
    return [number for number, check, _ in found if check == "stream.overlap_differs"]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([(0, b"abcd"), (0, b"abcd")], []),
        ([(0, b"abcd"), (0, b"abXd")], [2]),
        ([(0, b"abcd"), (2, b"Xdef")], [2]),
        ([(0, b"abcd"), (2, b"cdef"), (4, b"eX")], [3]),
        ([(0, b"ab"), (9, b"xy"), (0, b"cd")], [3]),
        ([(0, b"ab"), (9, b"xy"), (9, b"xz"), (2, b"0123456")], [3]),
        ([(0, b"ab"), (9, b"xy"), (7, b"zzy"), (2, b"01234")], [3]),
        ([(0, b"ab"), (9, b"xy"), (2, b"0123456z")], [3]),
        ([(0, b"abcd"), (1, b"X")], [2]),
        ([(0, b"ab"), (4, b"ef"), (2, b"cd"), (0, b"abcdef"), (0, b"abcdeX")], [5]),
        ([(0, b"ab"), (1, b"X")], []),
        ([(-2, b"abcd"), (-1, b"bX")], [2]),
    ],
    ids=[
        "same",
        "other",
        "partly",
        "twice",
        "filled gap",
        "behind it",
        "half of it",
        "what fills it",
        "one byte",
        "in order",
        "keep-alive",
        "high",
    ],
)
def test_what_was_sent_before_is_compared(segments, expected):
    assert contradictions([segment(seq, payload) for seq, payload in segments]) == expected


def test_directions_and_connections_are_kept_apart():
    opened = segment(BASE - 1, b"", flags=0x02)
    frames = [segment(BASE, b"abcd"), segment(BASE, b"wxyz", back=True)]
    assert contradictions([*frames, opened, segment(BASE, b"efgh")]) == []


def test_as_much_as_the_window_is_remembered():
    parts = [segment(i * 1024, bytes([i]) * 1024) for i in range(2 * WINDOW // 1024)]
    within = segment(WINDOW, b"XX")
    before = segment(WINDOW - 2, b"XX")
    assert contradictions([*parts, before, within]) == [len(parts) + 2]
    assert contradictions([segment(0, bytes(3 * WINDOW)), segment(2 * WINDOW, b"XX")]) == [2]


SEGMENTS = st.lists(
    st.tuples(
        st.integers(BASE, BASE + 30),
        st.lists(st.sampled_from(b"ab"), max_size=8).map(bytes),
    ),
    max_size=25,
)


def equals_its_twin(segments, size):
    """size: segments in a batch."""
    frames = [segment(seq, payload) for seq, payload in segments]
    observer, found = fresh(), []
    for start in range(0, len(frames), size):
        part = contradictions(frames[start : start + size], observer)
        found += [start + number for number in part]
    expected = [number for number, hit in enumerate(differing(segments), 1) if hit]
    assert found == expected


@given(SEGMENTS, st.integers(1, 25))
def test_equals_its_twin_wherever_batches_end(segments, size):
    equals_its_twin(segments, size)


@st.composite
def long_segments(draw):
    """Segments most of which go on where the one before ended, and some of which lie."""
    sent, high = [], BASE
    for _ in range(draw(st.integers(1, 20))):
        back = draw(st.one_of(st.just(0), st.integers(-20, 2 * WINDOW)))
        seq, size = max(BASE, high - back), draw(st.integers(2, WINDOW + 500))
        payload = bytearray(number * number >> 5 & 255 for number in range(seq, seq + size))
        if draw(st.booleans()):
            payload[draw(st.integers(0, size - 1))] ^= 1
        sent.append((seq, bytes(payload)))
        high = max(high, seq + size) if back >= 0 else high
    return sent


@given(long_segments(), st.integers(1, 20))
def test_equals_its_twin_where_the_window_is_filled_again_and_again(segments, size):
    equals_its_twin(segments, size)
