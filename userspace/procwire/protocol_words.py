"""The words rules are written in for structures of protocols: headers of IP, names and entries of
DNS, elements of BER, checks of DNP3, ports of URIs. lua/protocol_words.lua says the same in Lua.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.words import Span, u8, u16

# Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, shim6: the
# headers that IANA lists as extension headers and whose length can be read.
EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
FRAGMENT, AUTHENTICATION = 44, 51
MOST_EXTENSIONS = 16
MOST_OPTIONS = 40  # bytes that a header of IPv4 or TCP has for them
MOST_LABELS = 256  # a name of 255 bytes has 127, each with a pointer before it at most
# Types of DNS records with names in their data: NS, CNAME, PTR and DNAME are one; SOA, MINFO and RP
# begin with two; of MX, AFSDB, RT and KX a number comes first, of SRV three.
NAMES, TWO_NAMES = (2, 5, 12, 39), (6, 14, 17)
PREFERRED, SERVICE = (15, 18, 21, 36), 33
CLASSES = (1, 3, 4, 254, 255)  # of DNS: IN, CH, HS, NONE, ANY
COLON, MOST_DIGITS, LAST_PORT = 58, 6, 65535


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
def extension_end(p: Span, kind: int, offset: int) -> int:
    """Where the extension header at `offset` of an IPv6 packet ends, which is of number `kind`
    (RFC 8200 4; RFC 4302 2.2); 0 if nothing can follow it: in a fragment that is not the first."""
    if kind == FRAGMENT:
        return offset + 8 if u16(p, offset + 2) < 8 else 0
    unit = 4 if kind == AUTHENTICATION else 8
    return offset + 8 + u8(p, offset + 1) * unit


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
        end = extension_end(p, kind, offset)
        if end == 0:
            return 0
        kind = u8(p, offset)
        offset = end
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
        end = extension_end(p, kind, offset)
        if end == 0:
            return 0
        kind = u8(p, offset)
        offset = end
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
                return 8 * step + (5 if _is_label_before(p, target, piece, offset) else 4)
            offset = piece = target
        else:
            size += 1 + label
            if size > 255:
                return 8 * step + 3
            offset += 1 + label
    return 8 * MOST_LABELS + 4


@fused
def _is_label_before(p: Span, target: int, first: int, end: int) -> bool:
    """Whether one of the labels from `first` up to `end` begins at `target`."""
    for _label in range(MOST_LABELS):
        if first >= target:
            break
        first += 1 + u8(p, first)
    return first == target and target < end


@fused
def name_fault(p: Span, offset: int) -> int:
    """What is wrong with the domain name at `offset`, its pointers followed: 0 nothing, 1 it runs
    out of the captured bytes, 2 a label longer than 63 bytes, 3 a name longer than 255, 4 a pointer
    that leads to no earlier place in the message, or one more than a name can have, 5 a pointer
    back to labels that lead to it, so that the name has no end."""
    return name_walk(p, offset) % 8


@fused
def one_question(p: Span) -> bool:
    """Whether the DNS message `p` asks one question in order (RFC 1035 4.1.2): its name holds, and
    its class is a known one, or the question is all that there is."""
    if u16(p, 4) != 1 or name_fault(p, 12) != 0:
        return False
    end = name_end(p, 12) + 4
    alone = u16(p, 6) + u16(p, 8) + u16(p, 10) == 0 and end == p.length
    return alone or u16(p, end - 2) in CLASSES


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
def data_name(p: Span, offset: int) -> int:
    """Where the first name in the data of a DNS record begins, whose type stands at `offset` (RFC
    1035 3.3, RFC 1183, RFC 2782); 0 if there is none."""
    kind = u16(p, offset)
    before = -1
    if kind in NAMES or kind in TWO_NAMES:
        before = 0
    elif kind in PREFERRED:
        before = 2
    elif kind == SERVICE:
        before = 6
    return offset + 10 + before if 0 <= before < u16(p, offset + 8) else 0


@fused
def dns_entry_walk(p: Span, offset: int, index: int) -> int:
    """What is wrong with the names of entry number `index` of a DNS message, which begins at
    `offset`, as name_fault() says it: of its own, or else of those in its data. Plus eight times
    the labels and pointers that were read to know it."""
    walk = name_walk(p, offset)
    end = name_end(p, offset)
    if walk % 8 != 0 or end == 0 or index < u16(p, 4):
        return walk
    name = data_name(p, end)
    if name > 0:
        walk += name_walk(p, name)
        if walk % 8 == 0 and u16(p, end) in TWO_NAMES:
            walk += name_walk(p, name_end(p, name))
    return walk


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
def port_end(p: Span, offset: int) -> int:
    """Where the port that may follow a host at `offset` ends (RFC 3986 3.2.3): `offset` if there is
    none; 0 if it is no number from 1 to 65535 (RFC 6335 6)."""
    if u8(p, offset) != COLON:
        return offset
    port = 0
    for at in range(offset + 1, offset + 2 + MOST_DIGITS):
        digit = u8(p, at) - 48
        if not 0 <= digit <= 9:
            return at if port > 0 or at == offset + 1 else 0
        port = port * 10 + digit
        if port > LAST_PORT:
            return 0
    return 0
