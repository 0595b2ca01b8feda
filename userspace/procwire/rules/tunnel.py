"""IP inside a tunnel (RFC 2003, 2473, 4213 and others). A rule sees an inner header that
contradicts itself or does not fit its tunnel, to the end of what the tunnel carries; `outer` is the
IP or GRE header that carries it, if one does."""

from procwire.protocol_words import upper_header
from procwire.rule import rule
from procwire.words import bits, length, u8, u16

IPV4, IPV6 = 4, 41
ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
ADDRESSES = "2001 0db8 0000 0000 0000 0000 0000 0001 2001 0db8 0000 0000 0000 0000 0000 0002"


@rule(
    id="tun.inner_ip_bad",
    sid=9100091,
    title="IP header inside a tunnel is cut, of another version or longer than the tunnel's packet",
    reference="RFC 2003 section 3; RFC 2473 section 3; RFC 4213 section 3",
    layers=("inner_ip_malformed",),
    at=(0, 4),
    suricata=(
        "decoder.ipv6.ipv4_in_ipv6_too_small",
        "decoder.ipv6.ipv4_in_ipv6_wrong_version",
        "decoder.ipv6.ipv6_in_ipv6_too_small",
        "decoder.ipv6.ipv6_in_ipv6_wrong_version",
    ),
    zeek=(
        "invalid_inner_IP_version",
        "inner_IP_payload_length_mismatch",
        "truncated_inner_IP",
    ),
    fires_on=[
        "4500 0014 0001 0000",
        "5500 0014 0001 0000 4011 0000 c000 0201 c633 6401",
        "4500 0015 0001 0000 4011 0000 c000 0201 c633 6401",
        "4400 0014 0001 0000 4011 0000 c000 0201 c633 6401",
        "6000 0000 0000 3b40 2001 0db8",
        f"4500 003c 0001 0000 4004 | 6000 0000 0000 3b40 {ADDRESSES}",
        f"6000 0000 0028 0440 {ADDRESSES} | 6000 0000 0000 3b40 {ADDRESSES}",
    ],
    silent_on=["4500 0014 0001 0000 4011 0000 c000 0201 c633 6401"],
)
def inner_ip_header_contradicts(p, outer):
    """The end of a tunnel unpacks what it is sent; sensors and filters before it see the outer
    packet alone, which hides what a broken inner one does to the stack behind."""
    version = bits(u8(p, 0), 4, 4)
    carrier = bits(u8(outer, 0), 4, 4)
    carried = 0
    if carrier == 4:
        carried = u8(outer, 9)
    elif carrier == 6:
        carried = bits(upper_header(outer), 0, 8)
    elif u16(outer, 2) == ETHERTYPE_IPV4:
        carried = IPV4
    elif u16(outer, 2) == ETHERTYPE_IPV6:
        carried = IPV6
    if carried == IPV4 and version != 4 or carried == IPV6 and version != 6:
        return True
    if version == 6:
        return length(p) < 40 or u16(p, 4) > length(p) - 40
    if version != 4 or length(p) < 20:
        return True
    header = bits(u8(p, 0), 0, 4) * 4
    total = u16(p, 2)
    if header < 20 or total > length(p):
        return True
    if total == 0:
        return length(p) <= 576
    return total < header
