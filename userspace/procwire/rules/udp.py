"""UDP (RFC 768). A rule sees the datagram from its source port to the end of the IP packet."""

from procwire.rule import rule
from procwire.words import bits, length, u8, u16

# Tunnels that may send a zero checksum over IPv6 (RFC 6935, RFC 6936): GTP-U, LISP, VXLAN, its
# generic protocol extension, Geneve, MPLS, GUE.
ZERO_CHECKSUM_TUNNELS = (2152, 4341, 4789, 4790, 6081, 6635, 6080)
IPV6 = "6000 0000 0008 1140"


@rule(
    id="udp.truncated",
    sid=9100302,
    title="UDP datagram shorter than its header or its length field says",
    reference="RFC 768, Format and Length",
    layers=("udp_malformed",),
    suricata=("decoder.udp.hlen_too_small", "decoder.udp.pkt_too_small"),
    zeek=("truncated_header",),
    fires_on=["0035 0035 0008", "0035 0035 0009 0000"],
    silent_on=["0035 0035 0008 0000", "0035 0035 0007 0000"],
)
def udp_datagram_cut(p):
    """A UDP header has 8 bytes, and the IP packet holds all of the datagram."""
    return length(p) < 8 or u16(p, 4) > length(p)


@rule(
    id="udp.len_mismatch",
    sid=9100301,
    title="UDP length field that contradicts its header or the IP packet",
    reference="RFC 768, Length; RFC 2675 section 4",
    layers=("udp_malformed",),
    needs=8,
    at=(4, 2),
    suricata=("decoder.udp.len_invalid",),
    zeek=("UDP_datagram_length_mismatch",),
    fires_on=[
        "0035 0035 0007 0000",
        "0035 0035 0009 0000",
        "4500 001c 0001 0000 4011 | 0035 0035 0000 0000",
        f"{IPV6} | 0035 0035 0000 0000",
    ],
    silent_on=[
        "0035 0035 0008 0000",
        "0035 0035 0008 0000 0000",
        "0035 0035",
    ],
)
def udp_length_wrong(p, outer):
    """The length counts the eight header bytes; zero marks a jumbogram, whose IP header says zero,
    too. A packet may be longer than its datagram, never shorter; from the header alone nobody can
    tell whether the field lies or the datagram was cut, so that fault breaks both rules."""
    size = u16(p, 4)
    if size != 0:
        return size < 8 or size > length(p)
    version = bits(u8(outer, 0), 4, 4)
    return version == 4 and u16(outer, 2) != 0 or version == 6 and u16(outer, 4) != 0


@rule(
    id="udp6.zero_checksum",
    sid=9100303,
    title="UDP over IPv6 without a checksum",
    reference="RFC 8200 8.1; RFC 6936",
    needs=8,
    at=(6, 2),
    fires_on=[f"{IPV6} | 0400 0035 0008 0000"],
    silent_on=[
        f"{IPV6} | 0400 0035 0008 1234",
        f"{IPV6} | 0400 12b5 0008 0000",
        "4500 001c 0001 0000 4011 | 0400 0035 0008 0000",
    ],
)
def udp_over_ipv6_without_checksum(p, outer):
    """The IPv6 header has no checksum of its own, so receivers discard the datagram; tunnels that
    protect their payload are excepted."""
    if bits(u8(outer, 0), 4, 4) != 6 or u16(p, 6) != 0:
        return False
    return u16(p, 2) not in ZERO_CHECKSUM_TUNNELS
