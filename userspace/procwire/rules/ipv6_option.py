"""Options of hop-by-hop and destination headers (RFC 8200 4.2). A rule sees the bytes from the IP
header on and walks the chain as in ipv6_extension.py.
"""

from procwire.rule import rule
from procwire.rules.ipv6_extension import ADDRESSES, NO_NEXT, PAD_8
from procwire.words import captured, u8

OPTION_HEADERS = (0, 60)
ALERT = "0502 0000 0100"


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
