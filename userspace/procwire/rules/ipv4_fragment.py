"""Fragments of IPv4 packets, each judged alone (RFC 791 2.3, RFC 1858). A rule sees the bytes from
the IP header on; what several fragments show together is in fragments.py.
"""

from procwire.rule import rule
from procwire.rules.ipv4 import HEADER
from procwire.words import bits, u8, u16


@rule(
    id="ipv4.frag_too_large",
    sid=9100107,
    title="IPv4 fragment reaches beyond 65535 bytes",
    layers=("ipv4",),
    reference="RFC 791 3.2, Fragmentation",
    needs=20,
    at=(6, 2),
    severity=2,
    suricata=("decoder.ipv4.frag_pkt_too_large",),
    zeek=("excessively_large_fragment",),
    fires_on=[HEADER.replace("4500 0014 0001 0000", "4500 0022 0001 1fff") + " 0000" * 7],
    silent_on=[HEADER.replace("0001 0000", "0001 1ffd"), HEADER],
)
def ipv4_fragment_beyond_largest_packet(p):
    """Reassembled, the packet would overflow the 16-bit total length: the ping of death."""
    offset = bits(u16(p, 6), 0, 13) * 8
    return offset > 0 and offset + u16(p, 2) > 65535


@rule(
    id="ipv4.frag_tiny",
    sid=9100108,
    title="IPv4 fragment that splits the transport header",
    layers=("ipv4",),
    reference="RFC 1858 3; RFC 3128",
    needs=20,
    at=(6, 2),
    severity=2,
    zeek=("excessively_small_fragment",),
    fires_on=[
        HEADER.replace("4500 0014 0001 0000 40fd", "4500 001c 0001 2000 4006") + " 0000" * 4,
        HEADER.replace("4500 0014 0001 0000 40fd", "4500 001c 0001 0001 4006") + " 0000" * 4,
    ],
    silent_on=[
        HEADER.replace("4500 0014 0001 0000 40fd", "4500 002c 0001 2000 4006") + " 0000" * 12,
        HEADER.replace("4500 0014 0001 0000 40fd", "4500 0000 0001 2000 4011") + " 0000" * 4,
        HEADER.replace("0001 0000", "0001 2000"),
    ],
)
def ipv4_fragment_splits_header(p):
    """Filters look for ports and flags in the first fragment; no link's MTU is so small that they
    could not fit."""
    flags = u16(p, 6)
    offset = bits(flags, 0, 13)
    protocol = u8(p, 9)
    size = u16(p, 2) - bits(u8(p, 0), 0, 4) * 4
    if offset == 1:
        return protocol == 6
    if offset != 0 or bits(flags, 13, 1) == 0 or u16(p, 2) == 0:
        return False
    return (protocol == 6 and size < 20) or (protocol == 17 and size < 8)


@rule(
    id="ipv4.frag_df",
    sid=9100114,
    title="IPv4 fragment that says it must not be fragmented",
    layers=("ipv4",),
    reference="RFC 791 3.1, Flags; RFC 6864 section 4",
    needs=20,
    at=(6, 2),
    severity=4,
    tier="C",
    zeek=("fragment_with_DF",),
    fires_on=[HEADER.replace("0001 0000", "0001 6000"), HEADER.replace("0001 0000", "0001 4001")],
    silent_on=[HEADER.replace("0001 0000", "0001 4000"), HEADER.replace("0001 0000", "0001 2000")],
)
def ipv4_fragment_with_do_not_fragment(p):
    """Some senders cut their own datagrams and forbid routers to cut them further."""
    flags = u16(p, 6)
    return bits(flags, 14, 1) == 1 and (bits(flags, 13, 1) == 1 or bits(flags, 0, 13) > 0)


@rule(
    id="ipv4.frag_bad_len",
    sid=9100116,
    title="IPv4 fragment, not the last, whose length is no multiple of 8",
    layers=("ipv4",),
    reference="RFC 791 2.3, 3.2, Fragmentation",
    needs=20,
    at=(2, 2),
    fires_on=[
        HEADER.replace("4500 0014 0001 0000", "4500 0021 0001 2000") + " 0000" * 6 + " 00",
        HEADER.replace("4500 0014 0001 0000", "4600 0024 0001 2000") + " 0101 0101" + " 0000" * 6,
    ],
    silent_on=[
        HEADER.replace("4500 0014 0001 0000", "4500 0024 0001 2000") + " 0000" * 8,
        HEADER.replace("4500 0014 0001 0000", "4500 0021 0001 0001") + " 0000" * 6 + " 00",
        HEADER.replace("0001 0000", "0001 2000"),
        HEADER.replace("4500 0014 0001 0000", "4500 0000 0001 2000"),
        HEADER.replace("4500 0014 0001 0000", "4600 0020 0001 2000") + " 0101 0101" + " 0000" * 4,
    ],
)
def ipv4_fragment_length_odd(p):
    """Offsets count 8-byte units, so only the last fragment may end elsewhere. Some receivers drop
    the odd bytes, some the fragment: a sensor cannot know which."""
    if bits(u16(p, 6), 13, 1) == 0 or u16(p, 2) == 0:
        return False
    # The header's length counts 4-byte units.
    if bits(u8(p, 0), 0, 1) == 1:
        return bits(u16(p, 2), 0, 3) != 4
    return bits(u16(p, 2), 0, 3) != 0
