"""Where a text may be, against looking for its letters one place after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from procwire.compiled.byte_search import may_hold
from procwire.compiled.jit import kernel

TEXT = b"content-length"
PAIR = b"\0)"
# Each of its letters, and what differs from one by nothing but bit 5.
PIECES = (TEXT, TEXT.upper(), b"Content-Length", b"content", b"-length", b"c", b"h", b"\r", b"x")


@kernel
def compiled(data: NDArray[np.uint8], start: int, end: int) -> bool:
    return may_hold(data, start, end, TEXT)


@kernel
def compiled_pair(data: NDArray[np.uint8], start: int, end: int) -> bool:
    return may_hold(data, start, end, PAIR)


def naive(data: bytes, text: bytes) -> bool:
    places = (0, len(text) // 2, len(text) - 1)
    return any(
        all((data[at + place] ^ text[place]) & ~0x20 == 0 for place in places)
        for at in range(len(data) - len(text) + 1)
    )


@given(
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=40)), max_size=6),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_a_text_may_be_where_three_of_its_letters_are(
    pieces: list[bytes], before: int, behind: int
) -> None:
    data = b"".join(pieces)
    start, end = min(before, len(data)), max(len(data) - behind, min(before, len(data)))
    # Numba compiles for an array, and an empty one has no address.
    array = np.frombuffer(data + b"a", np.uint8)
    expected = naive(data[start:end], TEXT)
    assert compiled(array, start, end) == may_hold(array, start, end, TEXT) == expected
    assert expected or TEXT not in data[start:end].lower()


@given(st.binary(max_size=90), st.integers(0, 90))
def test_so_may_one_of_two_bytes(data: bytes, place: int) -> None:
    place = min(place, len(data))
    data = data[:place] + PAIR + data[place:]
    array = np.frombuffer(data, np.uint8)
    for end in (len(data), place + 1):
        found = compiled_pair(array, 0, end)
        assert found == may_hold(array, 0, end, PAIR) == naive(data[:end], PAIR)


def test_what_lies_before_is_no_part_of_what_is_searched() -> None:
    for start in (1, len(TEXT)):
        for size in range(len(TEXT), 200):
            array = np.frombuffer(TEXT + b"x" * size, np.uint8)
            assert not may_hold(array, start, len(array), TEXT)
            assert not compiled(array, start, len(array))
