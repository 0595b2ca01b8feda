"""What is compared at once is what a loop would find, of every width, wherever it begins and
however the bounds lie."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from procwire.compiled.jit import kernel
from procwire.compiled.number_search import places

COUNT = 24


@kernel
def of_24(rows, row, first, low, high):
    """The places in a row of a table, which is an array inside a record."""
    return places(rows[row].numbers, first, 24, low, high)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8"])
@given(data=st.data())
def test_compares_as_a_loop_does(kind, data):
    most = int(np.iinfo(kind).max)
    number = st.integers(0, 3) | st.integers(most - 3, most) | st.integers(0, most)
    size = COUNT + 7
    rows = np.zeros(3, [("before", "u1"), ("numbers", kind, (size,))])
    rows["numbers"] = most // 2
    rows["numbers"][1] = data.draw(st.lists(number, min_size=size, max_size=size))
    first, low, high = data.draw(st.integers(0, 7)), data.draw(number), data.draw(number)
    low, high = rows["numbers"].dtype.type(low), rows["numbers"].dtype.type(high)
    expected = places(rows["numbers"][1], first, COUNT, low, high)
    looped = [low <= one <= high for one in rows["numbers"][1, first : first + COUNT].tolist()]
    assert expected == sum(found << place for place, found in enumerate(looped))
    assert of_24(rows, 1, first, low, high) == expected


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_count_that_is_no_constant_is_refused():
    @kernel
    def of_so_many(numbers, count):
        return places(numbers, 0, count, 1, 2)

    with pytest.raises(numba.TypingError, match="constant"):
        of_so_many(np.zeros(9, np.uint16), 9)
