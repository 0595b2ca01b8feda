"""Options of hop-by-hop and destination headers (RFC 8200 4.2). A rule sees the bytes from the IP
header on and finds such headers wherever the chain has them.
"""

from procwire.protocol_words import EXTENSIONS, extension_end
from procwire.rule import rule
from procwire.rules.ipv6_extension import (
    ADDRESSES,
    DESTINATION,
    HOP_BY_HOP,
    NO_NEXT,
    PAD_8,
)
from procwire.words import captured, u8, u16

OPTION_HEADERS = (HOP_BY_HOP, DESTINATION)
MOST_HEADERS, MOST_OPTIONS = 16, 64
PAD_N, ROUTER_ALERT, JUMBO, HOME_ADDRESS = 1, 5, 194, 201
# IANA, Internet Protocol Version 6 (IPv6) Parameters: Destination Options and Hop-by-Hop Options.
ASSIGNED = (
    *(1, 4, 5, 7, 8, 15, 17, 18, 30, 35, 38, 48, 49, 50, 62, 77, 94, 99, 109, 126),
    *(138, 139, 140, 158, 190, 194, 201, 222, 238, 254),
)
ALERT, TUNNEL_LIMIT = "0502 0000 0100", "0401 0401 0000"
HOME = f"c910 {'20' * 16}"


@rule(
    id="ipv6.opt_bad",
    sid=9100206,
    title="Malformed, repeated or unknown IPv6 hop-by-hop or destination option",
    layers=("ipv6",),
    reference="RFC 8200 4.2; RFC 2711; RFC 2675; RFC 6275 6.3; IANA IPv6 parameters",
    needs=48,
    at=(40, 8),
    suricata=(
        "decoder.ipv6.exthdr_invalid_optlen",
        "decoder.ipv6.hopopts_unknown_opt",
        "decoder.ipv6.dstopts_unknown_opt",
    ),
    zeek=("bad_ipv6_dest_opt_len", "bad_home_addr_len", "multiple_home_addr_opts"),
    fires_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 0505 0000 0000",
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 0503 0000 0000",
        f"6000 0000 0008 3c40 {ADDRESSES} 3b00 c904 0000 0000",
        f"6000 0000 0008 3c40 {ADDRESSES} 3b00 4104 0000 0000",
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 c204 0001 0000",
        f"6000 0000 0000 3c40 {ADDRESSES} 3b00 c204 0001 0000",
        f"6000 0000 0028 3c40 {ADDRESSES} 3b04 0100 {HOME} {HOME}",
        f"6000 0000 0010 2b40 {ADDRESSES} 3c00 0400 0000 0000 3b00 0503 0000 0000",
        f"6000 0000 0010 3c40 {ADDRESSES} 3c00 {TUNNEL_LIMIT} 3b00 c910 0000 0000",
    ],
    silent_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 {ALERT}",
        f"6000 0000 0000 0040 {ADDRESSES} 3b00 c204 0001 0000",
        f"6000 0000 0008 3c40 {ADDRESSES} 3b00 {PAD_8}",
        f"6000 0000 0018 3c40 {ADDRESSES} 3b02 0102 0000 {HOME}",
        NO_NEXT + " 0000" * 4,
    ],
)
def ipv6_option_malformed(p):
    """An option stays inside its header; router alert carries 2 bytes and a home address, of which
    there is one at most, 16. A jumbo length has 4, stands in a hop-by-hop header, and does not go
    with another length (RFC 2675 section 3)."""
    homes = 0
    kind = u8(p, 6)
    start = 40
    for _step in range(MOST_HEADERS):
        if kind not in EXTENSIONS or start + 8 > captured(p):
            break
        end = extension_end(p, kind, start)
        if end == 0:
            break
        offset = start + 2
        for _option in range(MOST_OPTIONS):
            if kind not in OPTION_HEADERS or offset >= end or offset >= captured(p):
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
                if offset + step > end or option not in ASSIGNED:
                    return True
                if option == ROUTER_ALERT and size != 2:
                    return True
                if option == JUMBO and (size != 4 or kind != HOP_BY_HOP or u16(p, 4) != 0):
                    return True
                if option == HOME_ADDRESS:
                    homes += 1
                    if size != 16 or homes > 1:
                        return True
            offset += step
        kind = u8(p, start)
        start = end
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
    fires_on=[
        f"6000 0000 0008 0040 {ADDRESSES} 3b00 {PAD_8}",
        f"6000 0000 0010 0040 {ADDRESSES} 3c00 {ALERT} 3b00 {PAD_8}",
        f"6000 0000 0010 3c40 {ADDRESSES} 3c00 {TUNNEL_LIMIT} 3b00 {PAD_8}",
    ],
    silent_on=[f"6000 0000 0008 0040 {ADDRESSES} 3b00 {ALERT}", NO_NEXT + " 0000" * 4],
)
def ipv6_options_only_padding(p):
    """Padding aligns options; with no option to align it carries hidden data or hides the upper
    layer."""
    kind = u8(p, 6)
    start = 40
    for _step in range(MOST_HEADERS):
        if kind not in EXTENSIONS or start + 8 > captured(p):
            break
        end = extension_end(p, kind, start)
        if end == 0 or end > captured(p):
            break
        offset = start + 2
        for _option in range(MOST_OPTIONS):
            if kind not in OPTION_HEADERS or offset >= end or u8(p, offset) > PAD_N:
                break
            step = 1
            if u8(p, offset) == PAD_N:
                step = 2 + u8(p, offset + 1)
            offset += step
        if kind in OPTION_HEADERS and offset >= end:
            return True
        kind = u8(p, start)
        start = end
    return False


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
    for _option in range(MOST_OPTIONS):
        if offset + 2 > end or offset + 2 > captured(p):
            break
        option = u8(p, offset)
        step = 1
        if option != 0:
            step = 2 + u8(p, offset + 1)
        if option == PAD_N and step == 2:
            return True
        offset += step
    return False
