"""IPv6 extension headers (RFC 8200 section 4). A rule sees the bytes from the IP header on.

Rules that walk the chain do it alike: `kind` is the next header's number, `offset` where it starts,
`end` where the payload ends (a payload length of 0 marks a jumbogram).
"""

from procwire.protocol_words import EXTENSIONS, extension, extension_end
from procwire.rule import rule
from procwire.words import captured, length, u8, u16

HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
NO_NEXT_HEADER = 59
ENCAPSULATED, ENCAPSULATED_HEADER = 50, 8  # bytes in the clear, RFC 4303 section 2
AUTHENTICATED_HEADER = 12  # bytes, without what proves it, RFC 4302 section 2
ADDRESSES = "2001 0db8 0000 0000 0000 0000 0000 0001 2001 0db8 0000 0000 0000 0000 0000 0002"
NO_NEXT = f"6000 0000 0000 3b40 {ADDRESSES}"
PAD_8 = "0104 0000 0000"


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
        f"6000 0000 0007 3240 {ADDRESSES} 0000 0001 0000 01",
        f"6000 0000 0008 3340 {ADDRESSES} 3b00 0000 0000 0001",
    ],
    silent_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 {PAD_8}",
        f"6000 0000 000a 3c40 {ADDRESSES} 0600 {PAD_8} 0102",
        f"6000 0000 0008 3240 {ADDRESSES} 0000 0001 0000 0001",
        f"6000 0000 000c 3340 {ADDRESSES} 3b01 0000 0000 0001 0000 0001",
        f"6000 0000 0008 2c40 {ADDRESSES} 0600 0008 0000 0001",
        NO_NEXT,
    ],
)
def ipv6_extension_cut(p):
    """Every extension header lies wholly inside the payload, of an encrypted one the part that can
    be read; and what the last one names follows: a single byte, or none, is no header of any
    protocol."""
    end = 40 + u16(p, 4)
    if u16(p, 4) == 0:
        end = length(p)
    kind = u8(p, 6)
    offset = 40
    for _step in range(16):
        if kind == ENCAPSULATED:
            return offset + ENCAPSULATED_HEADER > end
        if kind not in EXTENSIONS:
            return offset > 40 and kind != NO_NEXT_HEADER and offset + 2 > end
        if offset + 8 > end or kind == AUTHENTICATION and offset + AUTHENTICATED_HEADER > end:
            return True
        if offset + 8 > captured(p):
            break
        behind = extension_end(p, kind, offset)
        if behind == 0:
            break
        if behind > end:
            return True
        kind = u8(p, offset)
        offset = behind
    return False


@rule(
    id="ipv6.exthdr_duplicate",
    sid=9100204,
    title="IPv6 extension header repeated or out of place",
    layers=("ipv6",),
    reference="RFC 8200 section 4, 4.1",
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
        f"6000 0000 0010 3c40 {ADDRESSES} 0000 {PAD_8} 3b00 {PAD_8}",
    ],
    silent_on=[
        f"6000 0000 0010 3c40 {ADDRESSES} 3c00 {PAD_8} 3b00 {PAD_8}",
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 {PAD_8}",
    ],
)
def ipv6_extension_repeated(p):
    """Each extension header occurs once, hop-by-hop options as the first; destination options occur
    twice: before a routing header and before the upper layer."""
    routing = 0
    fragment = 0
    authentication = 0
    destination = 0
    kind = u8(p, 6)
    offset = 40
    for _step in range(16):
        if kind not in EXTENSIONS or offset + 8 > captured(p):
            break
        if kind == HOP_BY_HOP and offset > 40:
            return True
        if kind == ROUTING:
            routing += 1
        if kind == DESTINATION:
            destination += 1
        if kind == AUTHENTICATION:
            authentication += 1
        if kind == FRAGMENT:
            fragment += 1
        behind = extension_end(p, kind, offset)
        if behind == 0:
            break
        kind = u8(p, offset)
        offset = behind
    once = routing < 2 and fragment < 2 and authentication < 2
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
