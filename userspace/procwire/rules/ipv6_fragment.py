"""Fragments of IPv6 packets, each judged alone (RFC 8200 4.5). A rule sees the bytes from the IP
header on; what several fragments show together is in fragments.py.
"""

from procwire.protocol_words import EXTENSIONS, extension, upper_header
from procwire.rule import rule
from procwire.rules.ipv6_extension import ADDRESSES, FRAGMENT, PAD_8
from procwire.words import bits, u16

EIGHT_BYTES = (17, 58)  # UDP and ICMPv6: the header is 8 bytes


@rule(
    id="ipv6.atomic_frag",
    sid=9100208,
    title="IPv6 fragment header on an unfragmented packet",
    layers=("ipv6",),
    reference="RFC 8021; RFC 6946",
    needs=48,
    at=(40, 8),
    severity=4,
    suricata=("decoder.ipv6.exthdr_useless_fh",),
    fires_on=[f"6000 0000 0008 2c40 {ADDRESSES} 3b00 0000 0000 0001"],
    silent_on=[
        f"6000 0000 0010 2c40 {ADDRESSES} 1100 0001 0000 0001 0000 0000 0000 0000",
        f"6000 0000 0010 2c40 {ADDRESSES} 1100 0008 0000 0001 0000 0000 0000 0000",
    ],
)
def ipv6_atomic_fragment(p):
    """Offset 0 and no more fragments: nothing needs it any more, attacks and evasion use it."""
    offset = extension(p, FRAGMENT)
    if offset == 0:
        return False
    return bits(u16(p, offset + 2), 3, 13) == 0 and bits(u16(p, offset + 2), 0, 1) == 0


@rule(
    id="ipv6.frag_bad_len",
    sid=9100209,
    title="IPv6 fragment, not the last, whose length is no multiple of 8",
    layers=("ipv6",),
    reference="RFC 8200 4.5",
    needs=48,
    at=(4, 2),
    suricata=("decoder.ipv6.frag_invalid_length",),
    fires_on=[f"6000 0000 000f 2c40 {ADDRESSES} 1100 0001 0000 0001 0000 0000 0000 00"],
    silent_on=[
        f"6000 0000 0010 2c40 {ADDRESSES} 1100 0001 0000 0001 0000 0000 0000 0000",
        f"6000 0000 000f 2c40 {ADDRESSES} 1100 0008 0000 0001 0000 0000 0000 00",
    ],
)
def ipv6_fragment_length_odd(p):
    """Offsets count 8-byte units, so only the last fragment may end elsewhere."""
    offset = extension(p, FRAGMENT)
    more = offset > 0 and bits(u16(p, offset + 2), 0, 1) == 1
    return more and (40 + u16(p, 4) - offset) % 8 != 0


@rule(
    id="ipv6.frag_too_large",
    sid=9100210,
    title="IPv6 fragment reaches beyond 65535 bytes",
    layers=("ipv6",),
    reference="RFC 8200 4.5",
    needs=48,
    at=(42, 2),
    severity=2,
    suricata=("decoder.ipv6.frag_pkt_too_large",),
    zeek=("excessively_large_fragment",),
    fires_on=[
        f"6000 0000 0010 2c40 {ADDRESSES} 1100 fff8 0000 0001 0000 0000 0000 0000",
        f"6000 0000 0018 0040 {ADDRESSES} 2c00 {PAD_8} 1100 fff0 0000 0001 0000 0000 0000 0000",
    ],
    silent_on=[f"6000 0000 0010 2c40 {ADDRESSES} 1100 0008 0000 0001 0000 0000 0000 0000"],
)
def ipv6_fragment_beyond_largest_packet(p):
    """Reassembled, the payload would overflow the 16-bit payload length, which also counts the
    extension headers before the fragment header."""
    offset = extension(p, FRAGMENT)
    return offset > 0 and bits(u16(p, offset + 2), 3, 13) * 8 + u16(p, 4) - 8 > 65535


@rule(
    id="ipv6.frag_hdr_chain_split",
    sid=9100211,
    title="First IPv6 fragment lacks the upper-layer header",
    layers=("ipv6",),
    reference="RFC 7112 section 5",
    needs=48,
    at=(40, 8),
    severity=2,
    fires_on=[f"6000 0000 0010 2c40 {ADDRESSES} 0600 0001 0000 0001 0000 0000 0000 0000"],
    silent_on=[
        f"6000 0000 0010 2c40 {ADDRESSES} 1100 0001 0000 0001 0000 0000 0000 0000",
        f"6000 0000 0010 2c40 {ADDRESSES} 0600 0008 0000 0001 0000 0000 0000 0000",
    ],
)
def ipv6_first_fragment_without_header(p):
    """The first fragment holds the whole header chain, or filters could not judge the packet."""
    fragment = extension(p, FRAGMENT)
    if fragment == 0 or bits(u16(p, fragment + 2), 0, 1) == 0:
        return False
    upper = upper_header(p)
    if upper == 0:
        return False
    kind = bits(upper, 0, 8)
    offset = bits(upper, 8, 20)
    end = 40 + u16(p, 4)
    if kind in EXTENSIONS:
        return offset + 8 > end
    return (kind == 6 and offset + 20 > end) or (kind in EIGHT_BYTES and offset + 8 > end)
