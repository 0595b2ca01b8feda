"""The words rules are written in. Each is total: a byte outside the span reads as 0.

A rule's parameter `p` is a Span. From Python these functions run as plain Python and are the
oracle; kernels compile the same text; lua/words.lua says the same in Lua, where a span is a string.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from procwire.compiled.byte_search import first_of
from procwire.compiled.jit import fused

# Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, shim6: the
# headers that IANA lists as extension headers and whose length can be read.
EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
MOST_EXTENSIONS = 16
MOST_OPTIONS = 40  # bytes that a header of IPv4 or TCP has for them
TOKEN_MARKS = (33, 35, 36, 37, 38, 39, 42, 43, 45, 46, 124, 126)
MOST_TOKEN = 256
_PRIME = 0x7FFFFFFF
MOST_LABELS = 256  # a name of 255 bytes has 127, each with a pointer before it at most


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
def header_sums(p: Span) -> bool:
    """Whether the checksum of the IPv4 header `p` holds (RFC 791 3.1), as far as can be told."""
    size = (u8(p, 0) & 15) * 4
    if size > p.captured:
        return True
    total = 0
    for offset in range(0, size, 2):
        total += u16(p, offset)
    return total > 0 and total % 0xFFFF == 0


@fused
def option(p: Span, end: int, wanted: int) -> int:
    """Where the first option of kind `wanted` lies in a header of IPv4 or TCP that ends at `end`
    (RFC 791 3.1, RFC 9293 3.1); 0 if nowhere, or behind one that has no length."""
    offset = 20
    for _step in range(MOST_OPTIONS):
        kind = u8(p, offset)
        if offset >= min(end, p.captured) or kind == 0:
            return 0
        if kind == wanted:
            return offset
        size = 1
        if kind != 1:
            size = u8(p, offset + 1)
            if size < 2:
                return 0
        offset += size
    return 0


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


@fused
def upper_header(p: Span) -> int:
    """Where the chain of extension headers of the IPv6 packet `p` ends, times 256, plus the number
    of what follows there: of the upper layer, or of an extension header that was not captured. 0
    in a fragment that is not the first, which has no upper-layer header."""
    kind = u8(p, 6)
    offset = 40
    for _step in range(MOST_EXTENSIONS):
        if kind not in EXTENSIONS or offset + 8 > p.captured:
            break
        size = 8 + u8(p, offset + 1) * 8
        if kind == 51:
            size = 8 + u8(p, offset + 1) * 4
        if kind == 44:
            size = 8
            if u16(p, offset + 2) >= 8:
                return 0
        kind = u8(p, offset)
        offset += size
    return offset * 256 + kind


@fused
def name_end(p: Span, offset: int) -> int:
    """Where the domain name at `offset` ends (RFC 1035 3.1, 4.1.4): behind its root label or its
    pointer; 0 if it holds a reserved label type or runs out of the captured bytes."""
    for _label in range(MOST_LABELS):
        size = u8(p, offset)
        if offset >= p.captured or 64 <= size < 192:
            return 0
        if size == 0:
            return offset + 1
        if size >= 192:
            return offset + 2 if offset + 2 <= p.captured else 0
        offset += 1 + size
    return 0


@fused
def name_walk(p: Span, offset: int) -> int:
    """name_fault(p, offset), and times eight the labels and pointers that were read to know it."""
    size, piece = 1, offset
    for step in range(MOST_LABELS):
        label = u8(p, offset)
        if offset >= p.captured or (label >= 192 and offset + 2 > p.captured):
            return 8 * step + 1
        if label == 0:
            return 8 * step
        if 64 <= label < 192:
            return 8 * step + 2
        if label >= 192:
            target = u16(p, offset) - 0xC000
            if not 12 <= target < piece:
                return 8 * step + 4
            offset = piece = target
        else:
            size += 1 + label
            if size > 255:
                return 8 * step + 3
            offset += 1 + label
    return 8 * MOST_LABELS + 4


@fused
def name_fault(p: Span, offset: int) -> int:
    """What is wrong with the domain name at `offset`, its pointers followed: 0 nothing, 1 it runs
    out of the captured bytes, 2 a label longer than 63 bytes, 3 a name longer than 255, 4 a pointer
    that leads to no earlier place in the message, or one more than a name can have."""
    return name_walk(p, offset) % 8


@fused
def dns_entries(p: Span) -> int:
    """How many questions and records the DNS header of `p` announces. 0 where it is hardly one: a
    count above 255, or a query that asks nothing or has a response code (RFC 1035 4.1.1)."""
    flags = u16(p, 2)
    if flags < 0x8000 and (flags % 16 != 0 or u16(p, 4) == 0):
        return 0
    total = 0
    for i in range(4):
        count = u16(p, 4 + 2 * i)
        if count > 255:
            return 0
        total += count
    return total


@fused
def dns_entry_end(p: Span, offset: int, index: int) -> int:
    """Where entry number `index` of a DNS message ends, which begins at `offset`: the questions
    come first (RFC 1035 4.1.2, 4.1.3). 0 if it runs out of the message."""
    end = name_end(p, offset)
    if end == 0:
        return 0
    end += 4
    if index >= u16(p, 4):
        end += 6 + u16(p, end + 4)
    return end if end <= p.length else 0


@fused
def ber_value(p: Span, offset: int) -> int:
    """Where the value of the BER element at `offset` starts (X.690 8.1.3), whose tag takes a byte;
    0 if its length is indefinite or takes more than four bytes."""
    first = u8(p, offset + 1)
    if first < 128:
        return offset + 2
    return offset + first - 126 if 128 < first <= 132 else 0


@fused
def ber_end(p: Span, offset: int) -> int:
    """Where the BER element at `offset` ends; 0 as for ber_value, or if it runs out of `p`."""
    value = ber_value(p, offset)
    if value == 0 or value > p.length:
        return 0
    size = u8(p, offset + 1)
    if size > 128:
        size = 0
        for i in range(4):
            if offset + 2 + i < value:
                size = size * 256 + u8(p, offset + 2 + i)
    return value + size if value + size <= p.length else 0


@fused
def crc_dnp(p: Span, offset: int, count: int) -> int:
    """DNP3's cyclic redundancy check (IEEE 1815 clause 9) of the bytes at `offset`, 16 at most."""
    crc = 0
    for i in range(min(count, 16)):
        crc ^= u8(p, offset + i)
        for _bit in range(8):
            crc = crc >> 1 ^ 0xA6BC * (crc & 1)
    return crc ^ 0xFFFF


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
    for at in range(offset, offset + MOST_TOKEN):
        value = u8(p, at)
        letter = 65 <= value <= 90 or 94 <= value <= 122
        if not letter and not 48 <= value <= 57 and value not in TOKEN_MARKS:
            return at
    return offset + MOST_TOKEN


@fused
def folded(p: Span, offset: int, count: int) -> int:
    """A number for the text of `count` bytes at `offset`, 32 at most; capitals count as small.
    folded(span(b"host"), 0, 4) is what a rule compares with."""
    number = 0
    for i in range(min(count, 32)):
        value = u8(p, offset + i)
        if 65 <= value <= 90:
            value += 32
        number = number * 257 + value
        # Divisions are what costs; four bytes would not fit into 63 bits.
        if i % 3 == 2:
            number %= _PRIME
    return number % _PRIME
