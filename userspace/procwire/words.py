"""The words rules are written in. Each is total: a byte outside the span reads as 0.

A rule's parameter `p` is a Span. From Python these functions run as plain Python and are the
oracle; kernels compile the same text; lua/words.lua says the same in Lua, where a span is a string.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from procwire.jit import fused

# Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, shim6: the
# headers that IANA lists as extension headers and whose length can be read.
EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
MOST_EXTENSIONS = 16


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
def extension(p: Span, wanted: int) -> int:
    """Where the IPv6 packet `p` has its first extension header of number `wanted`; 0 if nowhere.

    RFC 8200 4: the chain ends at the upper layer, and at a fragment that is not the first.
    """
    kind = u8(p, 6)
    offset = 40
    for _step in range(MOST_EXTENSIONS):
        if kind not in EXTENSIONS or offset + 8 > p.captured:
            return 0
        if kind == wanted:
            return offset
        size = 8 + u8(p, offset + 1) * 8
        if kind == 51:
            size = 8 + u8(p, offset + 1) * 4
        if kind == 44:
            size = 8
            if u16(p, offset + 2) >= 8:
                return 0
        kind = u8(p, offset)
        offset += size
    return 0


class Word(NamedTuple):
    """What the subset must know of a word: how its arguments are read and what it returns.

    arguments: "span" or "int" each; a `constant` argument must be an integer literal; returns
    "bool" or the largest int.
    """

    arguments: tuple[str, ...]
    returns: str | int
    constant: tuple[int, ...] = ()


LARGEST_PACKET = 2**18  # the snap length that every capture tool stops at
LARGEST_RUN = 64  # bytes that one same() or filled() may compare

WORDS: dict[str, Word] = {
    "length": Word(("span",), LARGEST_PACKET),
    "captured": Word(("span",), LARGEST_PACKET),
    "u8": Word(("span", "int"), 2**8 - 1),
    "u16": Word(("span", "int"), 2**16 - 1),
    "u32": Word(("span", "int"), 2**32 - 1),
    "bits": Word(("int", "int", "int"), 2**32 - 1, constant=(1, 2)),
    "same": Word(("span", "int", "int", "int"), "bool", constant=(3,)),
    "extension": Word(("span", "int"), LARGEST_PACKET),
    "filled": Word(("span", "int", "int", "int"), "bool", constant=(2, 3)),
}
