"""The words rules are written in: those for bytes, numbers and text. protocol_words.py has those
for protocols' own structures. Each is total: a byte outside the span reads as 0.

A rule's parameter `p` is a Span. From Python these functions run as plain Python and are the
oracle; kernels compile the same text; lua/words.lua says the same in Lua, where a span is a string.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from procwire.compiled.byte_search import BLOCK, TOKEN, first_of, token_in_block
from procwire.compiled.jit import fused

MOST_TOKEN = 256
_PRIME = 0x7FFFFFFF
_POWERS = np.array([pow(257, power, _PRIME) for power in range(32)])


class Span(NamedTuple):
    """The bytes of one layer: `captured` of its `length` bytes on the wire, from data[start] on.

    data: bytes or a uint8 array; start, captured, length: ints.
    """

    data: Any
    start: int
    captured: int
    length: int


def span(data: bytes) -> Span:
    """The span that covers all of `data`."""
    return Span(data, 0, len(data), len(data))


@fused
def length(p: Span) -> int:
    """Bytes of this layer on the wire."""
    return p.length


@fused
def captured(p: Span) -> int:
    """Bytes of this layer that the capture holds; fewer than length(p) if it was cut."""
    return p.captured


@fused
def u8(p: Span, offset: int) -> int:
    """The byte at `offset`."""
    if offset < 0 or offset >= p.captured:
        return 0
    return int(p.data[p.start + offset])


@fused
def u16(p: Span, offset: int) -> int:
    """The 16-bit big-endian number at `offset`."""
    return u8(p, offset) * 256 + u8(p, offset + 1)


@fused
def u32(p: Span, offset: int) -> int:
    """The 32-bit big-endian number at `offset`."""
    return u16(p, offset) * 65536 + u16(p, offset + 2)


@fused
def u16_little(p: Span, offset: int) -> int:
    """The 16-bit little-endian number at `offset`."""
    return u8(p, offset + 1) * 256 + u8(p, offset)


@fused
def u32_little(p: Span, offset: int) -> int:
    """The 32-bit little-endian number at `offset`."""
    return u16_little(p, offset + 2) * 65536 + u16_little(p, offset)


@fused
def bits(value: int, shift: int, width: int) -> int:
    """`width` bits of `value`, after dropping the lowest `shift`."""
    return (value >> shift) & ((1 << width) - 1)


@fused
def same(p: Span, first: int, second: int, count: int) -> bool:
    """Whether the `count` bytes at `first` equal those at `second`."""
    for i in range(count):
        if u8(p, first + i) != u8(p, second + i):
            return False
    return True


@fused
def filled(p: Span, offset: int, count: int, value: int) -> bool:
    """Whether the `count` bytes at `offset` all equal `value`."""
    for i in range(count):
        if u8(p, offset + i) != value:
            return False
    return True


@fused
def find(p: Span, offset: int, value: int) -> int:
    """Where the first byte `value` at or behind `offset` lies; captured(p) if nowhere."""
    return find_before(p, offset, p.captured, value)


@fused
def find_before(p: Span, offset: int, end: int, value: int) -> int:
    """Where the first byte `value` at or behind `offset` and before `end` lies; if nowhere, `end`,
    or captured(p) where that is less."""
    first, limit = max(offset, 0), min(max(end, 0), p.captured)
    return first_of(p.data, p.start + min(first, limit), p.start + limit, value) - p.start


@fused
def token_end(p: Span, offset: int) -> int:
    """Where the token at `offset` ends (RFC 9110 5.6.2): its letters, digits and !#$%&'*+-.^_`|~
    are counted as far as 256."""
    at, limit = offset, min(offset + MOST_TOKEN, p.captured)
    while at >= 0 and at + BLOCK <= limit:
        step = token_in_block(p.data, p.start + at)
        at += step
        if step < BLOCK:
            return at
    while at < limit and _is_of_token(u8(p, at)):
        at += 1
    return at


@fused
def _is_of_token(value: int) -> bool:
    for low, high in TOKEN:
        if low <= value <= high:
            return True
    return False


@fused
def folded(p: Span, offset: int, count: int) -> int:
    """A number for the text of `count` bytes at `offset`, 32 at most; capitals count as small.
    folded(span(b"host"), 0, 4) is what a rule compares with."""
    # The last byte counts once, each before it 257 times as much as the next: what each adds needs
    # no other, and one division is enough.
    number, last = 0, offset + min(count, 32) - 1
    for i in range(min(count, 32)):
        value = u8(p, last - i)
        value += 32 if 65 <= value <= 90 else 0
        number += value * _POWERS[i]
    return int(number % _PRIME)
