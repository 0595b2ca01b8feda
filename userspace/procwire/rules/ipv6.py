"""IPv6 (RFC 8200): the fixed header. A rule sees the bytes from the IP header to the end of the
frame, padding included."""

from procwire.protocol_words import EXTENSIONS
from procwire.rule import rule
from procwire.words import bits, captured, length, u8, u16

ADDRESSES = "2001 0db8 0000 0000 0000 0000 0000 0001 2001 0db8 0000 0000 0000 0000 0000 0002"
NO_NEXT = f"6000 0000 0000 3b40 {ADDRESSES}"


@rule(
    id="ipv6.truncated",
    sid=9100201,
    title="IPv6 packet shorter than its header or payload length says",
    reference="RFC 8200 section 3",
    layers=("ipv6_malformed",),
    at=(4, 2),
    suricata=("decoder.ipv6.trunc_pkt", "decoder.ipv6.pkt_too_small"),
    zeek=("IPv6_min_header_size",),
    fires_on=["6000 0000 0000 3b40 2001 0db8", NO_NEXT.replace("0000 3b40", "0001 3b40")],
    silent_on=[NO_NEXT, NO_NEXT + "0000"],
)
def ipv6_packet_cut(p):
    """The frame must hold the header and the payload; more bytes than that are link padding. A
    packet of which the capture holds less is cut, unless its snap length explains it."""
    if length(p) < 40:
        return True
    if bits(u8(p, 0), 4, 4) != 6:
        return False
    return captured(p) < 40 or u16(p, 4) > captured(p) - 40


@rule(
    id="ipv6.bad_version",
    sid=9100202,
    title="IPv6 by the link layer's word, another version by its own",
    reference="RFC 8200 section 3",
    layers=("ipv6_malformed",),
    needs=40,
    at=(0, 1),
    suricata=("decoder.ipv6.wrong_ip_version",),
    fires_on=[NO_NEXT.replace("6000", "5000", 1)],
    silent_on=[NO_NEXT, "5000"],
)
def ipv6_version_wrong(p):
    """The first four bits of an IPv6 packet are 6."""
    return bits(u8(p, 0), 4, 4) != 6


@rule(
    id="ipv6.carries_icmpv4",
    sid=9100212,
    title="ICMP for IPv4 inside IPv6",
    reference="RFC 4443 section 1",
    needs=40,
    at=(6, 1),
    suricata=("decoder.ipv6.icmpv4",),
    fires_on=[f"6000 0000 0008 0140 {ADDRESSES} 0800 0000 0000 0000"],
    silent_on=[f"6000 0000 0008 3a40 {ADDRESSES} 8000 0000 0000 0000"],
)
def ipv6_carries_icmpv4(p):
    """IPv6 has an ICMP of its own, next header 58."""
    kind = u8(p, 6)
    offset = 40
    for _step in range(16):
        if kind not in EXTENSIONS or offset + 8 > captured(p):
            break
        size = 8 + u8(p, offset + 1) * 8
        if kind == 51:
            size = 8 + u8(p, offset + 1) * 4
        if kind == 44:
            size = 8
            if bits(u16(p, offset + 2), 3, 13) != 0:
                break
        kind = u8(p, offset)
        offset += size
    return kind == 1


@rule(
    id="ipv6.bad_src",
    sid=9100213,
    title="IPv6 source is a multicast address",
    reference="RFC 4291 2.7",
    needs=40,
    at=(8, 16),
    severity=2,
    fires_on=[NO_NEXT.replace("2001 0db8", "ff02 0db8", 1)],
    silent_on=[NO_NEXT],
)
def ipv6_source_is_multicast(p):
    """A multicast address names receivers; no packet comes from one."""
    return u8(p, 8) == 255
