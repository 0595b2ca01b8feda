"""Places of TCP directions: the one that ended first gives way, or where none has, a quiet one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from procwire.decode.http_framing import HEAD_ENDS, next_line_state, pass_lines
from procwire.decode.stream_table import DIRECTIONS, empty_streams, end_stream, place_for
from procwire.words import span

KEPT = 512  # that have ended


@pytest.fixture
def memory():
    return empty_streams().view(np.recarray)[0]


def begin(memory, owner, used=1, before=-1):
    """The place of a stream."""
    place = place_for(memory, owner, before)
    memory.streams[place].owner, memory.streams[place].used = owner, used
    return place


def test_the_place_that_ended_first_is_given_to_the_next(memory):
    places = []
    for owner in range(1, 4 * KEPT):
        places.append(begin(memory, owner))
        end_stream(memory, places[-1])
        end_stream(memory, places[-1])
    assert places == [at % (KEPT + 1) for at in range(len(places))]


def test_no_living_direction_gives_way_where_one_has_ended(memory):
    living = range(1, DIRECTIONS)
    places = [begin(memory, owner) for owner in living]
    for owner in range(DIRECTIONS, 2 * DIRECTIONS):
        end_stream(memory, begin(memory, owner))
    assert [int(memory.streams[place].owner) for place in places] == list(living)


def test_a_direction_that_goes_on_after_its_end_keeps_its_place(memory):
    first = begin(memory, 1)
    end_stream(memory, first)
    memory.streams[first].used = 7
    for owner in range(2, 3 * KEPT):
        end_stream(memory, begin(memory, owner))
    assert memory.streams[first].owner == 1
    end_stream(memory, first)
    assert first in {begin(memory, owner) for owner in range(3 * KEPT, 5 * KEPT + DIRECTIONS)}


def test_where_all_are_alive_the_quietest_of_a_few_gives_way(memory):
    places = [begin(memory, owner) for owner in range(1, DIRECTIONS + 1)]
    assert places == list(range(DIRECTIONS))
    memory.streams["used"][::4] = 2
    for owner in range(DIRECTIONS + 1, DIRECTIONS + DIRECTIONS // 4):
        begin(memory, owner, used=2)
    assert memory.streams["owner"][::4].tolist() == list(range(1, DIRECTIONS, 4))


def test_a_direction_of_the_same_slot_takes_over_the_place_of_the_one_before(memory):
    place = begin(memory, 7)
    assert begin(memory, 8) != place
    assert begin(memory, 7, before=place) == place
    assert begin(memory, 9, before=place) != place


@given(
    st.lists(st.sampled_from(b"\r\n\r\nab"), max_size=80).map(bytes),
    st.integers(0, HEAD_ENDS),
    st.integers(0, 80),
    st.integers(0, 80),
)
def test_lines_passed_at_once_end_where_they_do_byte_by_byte(text, state, first, limit):
    limit = min(limit, len(text))
    at, expected = first, state
    while at < limit:
        expected, at = next_line_state(expected, text[at]), at + 1
        if expected == HEAD_ENDS:
            break
    assert pass_lines(span(text), first, limit, state) == (at, expected)
