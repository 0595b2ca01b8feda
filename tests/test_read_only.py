"""Spans of our own bytes: what they show, and that kernels take them for captured ones."""

import numba
import numpy as np
from procwire.decode.read_only import own_span, read_only
from procwire.words import Span, u16

MEMORY = np.dtype([("count", "i8"), ("store", "u1", (64,))])


@numba.njit
def first_two(p):
    return u16(p, 0)


@numba.njit
def of_both(memory, captured, start):
    own = first_two(own_span(memory[0].store, start, 2, 2))
    return own, first_two(Span(captured, start, 2, 2))


def test_own_bytes_are_read_by_the_kernel_that_reads_captured_ones():
    memory, captured = np.zeros(1, MEMORY), read_only(np.arange(100, 164, dtype=np.uint8))
    memory["store"] = np.arange(64)
    expected = (0x3E3F, 162 << 8 | 163)
    assert of_both(memory, captured, 62) == expected
    assert len(first_two.overloads) == 1


def test_plain_python_reads_the_same():
    memory = np.zeros(1, MEMORY)
    memory["store"] = np.arange(64)
    shown = own_span(memory["store"][0], 62, 2, 2)
    assert (u16(shown, 0), shown.data.flags.writeable) == (0x3E3F, False)
