"""IPv6 extension headers (RFC 8200 section 4). A rule sees the bytes from the IP header on.

Rules that walk the chain do it alike: `kind` is the next header's number, `offset` where it starts,
`end` where the payload ends (a payload length of 0 marks a jumbogram).
"""

from procwire.rule import rule
from procwire.words import EXTENSIONS, bits, captured, extension, length, u8, u16

HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
NO_NEXT_HEADER = 59
OPTION_HEADERS = (0, 60)
EIGHT_BYTES = (17, 58)  # UDP and ICMPv6: the header is 8 bytes
ADDRESSES = "2001 0db8 0000 0000 0000 0000 0000 0001 2001 0db8 0000 0000 0000 0000 0000 0002"
NO_NEXT = f"6000 0000 0000 3b40 {ADDRESSES}"
PAD_8 = "0104 0000 0000"
ALERT = "0502 0000 0100"


@rule(
    id="ipv6.exthdr_truncated",
    sid=9100203,
    title="IPv6 header chain reaches beyond the packet",
    layers=("ipv6",),
    reference="RFC 8200 section 4; RFC 7112 section 2",
    needs=40,
    at=(40, 8),
    suricata=("decoder.ipv6.trunc_exthdr",),
    zeek=("truncated_IPv6_option",),
    fires_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b01 {PAD_8}",
        f"6000 0000 0004 2b40 {ADDRESSES} 3b00 0000",
        f"6000 0000 0009 3c40 {ADDRESSES} 0600 {PAD_8} 01",
    ],
    silent_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 {PAD_8}",
        f"6000 0000 000a 3c40 {ADDRESSES} 0600 {PAD_8} 0102",
        f"6000 0000 0008 2c40 {ADDRESSES} 0600 0008 0000 0001",
        NO_NEXT,
    ],
)
def ipv6_extension_cut(p):
    """Every extension header lies wholly inside the payload, and what the last one names follows:
    a single byte, or none, is no header of any protocol."""
    end = 40 + u16(p, 4)
    if u16(p, 4) == 0:
        end = length(p)
    kind = u8(p, 6)
    offset = 40
    for _step in range(16):
        if kind not in EXTENSIONS:
            return offset > 40 and kind != NO_NEXT_HEADER and offset + 2 > end
        if offset + 8 > end:
            return True
        if offset + 8 > captured(p):
            break
        size = 8 + u8(p, offset + 1) * 8
        if kind == FRAGMENT:
            size = 8
            if bits(u16(p, offset + 2), 3, 13) != 0:
                break
        if kind == AUTHENTICATION:
            size = 8 + u8(p, offset + 1) * 4
        if offset + size > end:
            return True
        kind = u8(p, offset)
        offset += size
    return False


@rule(
    id="ipv6.exthdr_duplicate",
    sid=9100204,
    title="IPv6 extension header repeated",
    layers=("ipv6",),
    reference="RFC 8200 4.1",
    needs=48,
    at=(40, 8),
    suricata=(
        "decoder.ipv6.exthdr_dupl_fh",
        "decoder.ipv6.exthdr_dupl_rh",
        "decoder.ipv6.exthdr_dupl_hh",
        "decoder.ipv6.exthdr_dupl_dh",
        "decoder.ipv6.exthdr_dupl_ah",
    ),
    zeek=("multiple_routing_headers",),
    fires_on=[
        f"6000 0000 0010 0040 {ADDRESSES} 0000 {PAD_8} 3b00 {PAD_8}",
        f"6000 0000 0018 3c40 {ADDRESSES} 3c00 {PAD_8} 3c00 {PAD_8} 3b00 {PAD_8}",
    ],
    silent_on=[
        f"6000 0000 0010 3c40 {ADDRESSES} 3c00 {PAD_8} 3b00 {PAD_8}",
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 {PAD_8}",
    ],
)
def ipv6_extension_repeated(p):
    """Each extension header occurs once, destination options twice: before a routing header and
    before the upper layer."""
    hop_by_hop = 0
    routing = 0
    fragment = 0
    authentication = 0
    destination = 0
    kind = u8(p, 6)
    offset = 40
    for _step in range(16):
        if kind not in EXTENSIONS or offset + 8 > captured(p):
            break
        size = 8 + u8(p, offset + 1) * 8
        if kind == HOP_BY_HOP:
            hop_by_hop += 1
        if kind == ROUTING:
            routing += 1
        if kind == DESTINATION:
            destination += 1
        if kind == AUTHENTICATION:
            authentication += 1
            size = 8 + u8(p, offset + 1) * 4
        if kind == FRAGMENT:
            fragment += 1
            size = 8
            if bits(u16(p, offset + 2), 3, 13) != 0:
                break
        kind = u8(p, offset)
        offset += size
    once = hop_by_hop < 2 and routing < 2 and fragment < 2 and authentication < 2
    return not once or destination > 2


@rule(
    id="ipv6.rh0",
    sid=9100205,
    title="IPv6 routing header of type 0",
    layers=("ipv6",),
    reference="RFC 5095 section 3",
    needs=48,
    at=(40, 8),
    severity=2,
    suricata=("decoder.ipv6.rh_type_0",),
    zeek=("routing0_hdr",),
    fires_on=[f"6000 0000 0008 2b40 {ADDRESSES} 3b00 0000 0000 0000"],
    silent_on=[f"6000 0000 0008 2b40 {ADDRESSES} 3b00 0400 0000 0000", NO_NEXT + " 0000" * 4],
)
def ipv6_routing_type_zero(p):
    """Source routing lets one packet bounce between two hosts; it is deprecated and dropped."""
    offset = extension(p, ROUTING)
    return offset > 0 and u8(p, offset + 2) == 0


@rule(
    id="ipv6.opt_bad",
    sid=9100206,
    title="Malformed IPv6 hop-by-hop or destination option",
    layers=("ipv6",),
    reference="RFC 8200 4.2; RFC 2711; RFC 2675; RFC 6275 6.3",
    needs=48,
    at=(40, 8),
    suricata=("decoder.ipv6.exthdr_invalid_optlen",),
    zeek=("bad_ipv6_dest_opt_len", "bad_home_addr_len"),
    fires_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 0505 0000 0000",
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 0503 0000 0000",
        f"6000 0000 0008 3c40 {ADDRESSES} 3b00 c904 0000 0000",
    ],
    silent_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 {ALERT}",
        f"6000 0000 0008 3c40 {ADDRESSES} 3b00 {PAD_8}",
    ],
)
def ipv6_option_malformed(p):
    """An option stays inside its header; router alert carries 2 bytes, a jumbo length 4 and a home
    address 16. Only the first header of the chain can be hop-by-hop."""
    kind = u8(p, 6)
    if kind not in OPTION_HEADERS:
        return False
    end = 48 + u8(p, 41) * 8
    offset = 42
    for _step in range(64):
        if offset >= end or offset >= captured(p):
            break
        option = u8(p, offset)
        step = 1
        if option != 0:
            if offset + 1 >= end:
                return True
            if offset + 1 >= captured(p):
                break
            size = u8(p, offset + 1)
            step = 2 + size
            if offset + step > end:
                return True
            if option == 5 and size != 2:
                return True
            if option == 194 and size != 4:
                return True
            if option == 201 and size != 16:
                return True
        offset += step
    return False


@rule(
    id="ipv6.opts_only_padding",
    sid=9100207,
    title="IPv6 options header that holds only padding",
    layers=("ipv6",),
    reference="RFC 8200 4.2; RFC 4942 2.1.9.5",
    needs=48,
    at=(40, 8),
    severity=4,
    suricata=("decoder.ipv6.hopopts_only_padding", "decoder.ipv6.dstopts_only_padding"),
    fires_on=[f"6000 0000 0008 0040 {ADDRESSES} 3b00 {PAD_8}"],
    silent_on=[f"6000 0000 0008 0040 {ADDRESSES} 3b00 {ALERT}", NO_NEXT + " 0000" * 4],
)
def ipv6_options_only_padding(p):
    """Padding aligns options; with no option to align it carries hidden data or hides the upper
    layer."""
    kind = u8(p, 6)
    if kind not in OPTION_HEADERS:
        return False
    end = 48 + u8(p, 41) * 8
    if end > captured(p):
        return False
    offset = 42
    for _step in range(64):
        if offset >= end:
            return True
        option = u8(p, offset)
        step = 1
        if option > 1:
            return False
        if option == 1:
            step = 2 + u8(p, offset + 1)
        offset += step
    return offset >= end


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
    end = 40 + u16(p, 4)
    kind = u8(p, 6)
    offset = 40
    first_fragment = False
    for _step in range(16):
        if kind not in EXTENSIONS or offset + 8 > captured(p):
            break
        size = 8 + u8(p, offset + 1) * 8
        if kind == AUTHENTICATION:
            size = 8 + u8(p, offset + 1) * 4
        if kind == FRAGMENT:
            size = 8
            if bits(u16(p, offset + 2), 3, 13) != 0 or bits(u16(p, offset + 2), 0, 1) == 0:
                return False
            first_fragment = True
        kind = u8(p, offset)
        offset += size
    if not first_fragment:
        return False
    if kind in EXTENSIONS:
        return offset + 8 > end
    return (kind == 6 and offset + 20 > end) or (kind in EIGHT_BYTES and offset + 8 > end)


@rule(
    id="ipv6.data_after_none",
    sid=9100214,
    title="IPv6 payload behind a header that says nothing follows",
    layers=("ipv6",),
    reference="RFC 8200 4.7",
    needs=40,
    at=(6, 1),
    severity=4,
    tier="C",
    suricata=("decoder.ipv6.data_after_none_header",),
    zeek=("ipv6_no_next",),
    fires_on=[f"6000 0000 0001 3b40 {ADDRESSES} 61"],
    silent_on=[NO_NEXT, f"6000 0000 0001 1140 {ADDRESSES} 61"],
)
def ipv6_data_after_no_next_header(p):
    """Receivers ignore what follows and routers pass it on; it may carry anything."""
    return u8(p, 6) == NO_NEXT_HEADER and u16(p, 4) > 0


@rule(
    id="ipv6.zero_len_padn",
    sid=9100215,
    title="IPv6 padding option without padding",
    layers=("ipv6",),
    reference="RFC 8200 4.2, PadN",
    needs=48,
    at=(40, 8),
    severity=4,
    tier="C",
    suricata=("decoder.ipv6.zero_len_padn",),
    fires_on=[f"6000 0000 0008 0040 {ADDRESSES} 3b00 {ALERT}"],
    silent_on=[f"6000 0000 0008 0040 {ADDRESSES} 3b00 {PAD_8}"],
)
def ipv6_padding_of_no_length(p):
    """PadN pads by two bytes and more: its two alone are the least, which many stacks send."""
    kind = u8(p, 6)
    if kind not in OPTION_HEADERS:
        return False
    end = 48 + u8(p, 41) * 8
    offset = 42
    for _step in range(64):
        if offset + 2 > end or offset + 2 > captured(p):
            break
        option = u8(p, offset)
        step = 1
        if option != 0:
            step = 2 + u8(p, offset + 1)
        if option == 1 and step == 2:
            return True
        offset += step
    return False
