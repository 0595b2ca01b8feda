"""IPv4 (RFC 791). A rule sees the bytes from the IP header to the end of the frame, padding
included; `outer` is the Ethernet frame, the header of a loopback device, or empty."""

from procwire.protocol_words import header_sums
from procwire.rule import rule
from procwire.words import bits, captured, filled, length, u8, u16, u32

EXPERIMENTS = (253, 254)
ECHO_HEADER, UDP, ECHO_PORT = 0x45, 17, 3785  # bidirectional forwarding detection
LOOPBACK_HEADERS = (4, 16, 20)  # bytes, where a capture of the device has no Ethernet headers
ADDRESSES = "c000 0201 c633 6401"
HEADER = f"4500 0014 0001 0000 40fd 0000 {ADDRESSES}"


@rule(
    id="ipv4.truncated",
    sid=9100101,
    title="IPv4 packet shorter than its header or total length says",
    reference="RFC 791 3.1, Total Length",
    layers=("ipv4_malformed",),
    at=(2, 2),
    suricata=("decoder.ipv4.pkt_too_small", "decoder.ipv4.trunc_pkt"),
    zeek=("truncated_IP", "truncated_IP_len", "internally_truncated_header"),
    fires_on=["4500 0014 0001", HEADER.replace("4500 0014", "4500 0030")],
    silent_on=[HEADER, HEADER + "0000"],
)
def ipv4_packet_cut(p):
    """The frame must hold the whole packet; more bytes than that are link padding. A packet of
    which the capture holds less than was on the wire is cut, unless its snap length explains it.
    """
    if length(p) < 20:
        return True
    if bits(u8(p, 0), 4, 4) != 4 or bits(u8(p, 0), 0, 4) < 5:
        return False
    if captured(p) < 20 or u16(p, 2) > captured(p):
        return True
    return bits(u8(p, 0), 0, 4) * 4 > length(p)


@rule(
    id="ipv4.bad_hlen",
    sid=9100102,
    title="IPv4 header length below 20 bytes",
    reference="RFC 791 3.1, IHL",
    layers=("ipv4_malformed",),
    needs=20,
    at=(0, 1),
    suricata=("decoder.ipv4.hlen_too_small",),
    zeek=("invalid_IP_header_size",),
    fires_on=[HEADER.replace("4500", "4400")],
    silent_on=[HEADER, HEADER.replace("4500", "5400")],
)
def ipv4_header_length_too_small(p):
    """IHL counts 32-bit words; a header without options has five."""
    return bits(u8(p, 0), 4, 4) == 4 and bits(u8(p, 0), 0, 4) < 5


@rule(
    id="ipv4.len_lt_hlen",
    sid=9100103,
    title="IPv4 total length shorter than the header",
    reference="RFC 791 3.1, Total Length",
    layers=("ipv4_malformed",),
    needs=20,
    at=(2, 2),
    suricata=("decoder.ipv4.iplen_smaller_than_hlen",),
    zeek=("bogus_IP_header_lengths",),
    fires_on=[
        HEADER.replace("4500 0014", "4500 0013"),
        HEADER.replace("4500 0014", "4500 0000"),
    ],
    silent_on=[HEADER, HEADER.replace("4500 0014", "4500 0000") + "00" * 557],
)
def ipv4_total_shorter_than_header(p):
    """Zero is what a capture sees before segmentation offload fills the field in, but offload
    leaves alone what any host takes whole: up to 576 bytes."""
    words = bits(u8(p, 0), 0, 4)
    if bits(u8(p, 0), 4, 4) != 4 or words < 5:
        return False
    if u16(p, 2) == 0 and length(p) > 576:
        return False
    return u16(p, 2) < words * 4


@rule(
    id="ipv4.bad_version",
    sid=9100104,
    title="IPv4 by the link layer's word, another version by its own",
    reference="RFC 791 3.1, Version",
    layers=("ipv4_malformed",),
    needs=20,
    at=(0, 1),
    suricata=("decoder.ipv4.wrong_ip_version", "decoder.ipraw.invalid_ip_version"),
    zeek=("unknown_ip_version",),
    fires_on=[HEADER.replace("4500", "5500")],
    silent_on=[HEADER, "5500"],
)
def ipv4_version_wrong(p):
    """The first four bits of an IPv4 packet are 4."""
    return bits(u8(p, 0), 4, 4) != 4


@rule(
    id="ipv4.reserved_flag",
    sid=9100109,
    title="Reserved IPv4 flag set",
    reference="RFC 791 3.1, Flags",
    needs=20,
    at=(6, 1),
    fires_on=[HEADER.replace("0001 0000", "0001 8000")],
    silent_on=[HEADER, HEADER.replace("0001 0000", "0001 4000")],
)
def ipv4_reserved_flag_set(p):
    """Bit 0 of the flags must be zero."""
    return bits(u8(p, 6), 7, 1) == 1


@rule(
    id="ipv4.martian_src",
    sid=9100110,
    title="IPv4 source address that no host can have",
    reference="RFC 1122 3.2.1.3; RFC 6890",
    needs=20,
    at=(12, 4),
    severity=2,
    fires_on=[
        "4500 0014 0001 0000 40fd 6fb6 e000 0001 c633 6401",
        "4500 0014 0001 0000 40fd d0b6 7f00 0001 c633 6401",
        "4500 0014 0001 0000 40fd 4fb8 ffff ffff c633 6401",
        "4500 0014 0001 0000 40fd 4db4 0001 0203 c633 6401",
        "4500 0014 0001 0000 40fd 5fb6 f000 0001 c633 6401",
    ],
    silent_on=[
        HEADER,
        HEADER.replace("c000 0201 c633", "e000 0001 c633"),
        "4500 0028 0001 0000 4006 6099 f000 0001 c633 6401"
        " 01bb a8ca 0000 0007 0000 0009 5012 2000 0000 0000",
        HEADER.replace("c000 0201 c633 6401", "7f00 0001 7f00 0001"),
        HEADER.replace("c000 0201 c633", "0000 0000 c633"),
    ],
)
def ipv4_source_is_martian(p):
    """Multicast, broadcast and, off the host, loopback addresses send nothing; of network 0 only
    0.0.0.0 does, before a host knows its address. 240.0.0.0/4 is reserved, yet some networks number
    hosts from it: who acknowledges a segment was reached, so such a source is a host. Where the
    header's checksum is wrong, the address is not the one that was sent: it was damaged, or
    rewritten to make a capture anonymous."""
    network = u8(p, 12)
    martian = network >= 224 or (network == 0 and u32(p, 12) != 0)
    if network == 127:
        martian = u8(p, 16) != 127
    if 240 <= network < 255 and u8(p, 9) == 6 and bits(u16(p, 6), 0, 13) == 0:
        flags_at = bits(u8(p, 0), 0, 4) * 4 + 13
        martian = flags_at < captured(p) and bits(u8(p, flags_at), 4, 1) == 0
    return martian and header_sums(p)


@rule(
    id="ipv4.land",
    sid=9100111,
    title="IPv4 source and destination address are the same",
    reference="RFC 1122 3.2.1.3",
    needs=20,
    at=(12, 8),
    severity=2,
    fires_on=[
        f"0200 0000 0002 0200 0000 0001 0800 | {HEADER.replace('c633 6401', 'c000 0201')}",
        "4500 0020 0001 0000 4011 0000 c000 0201 c000 0201 c000 0ec9 000c 0000 0000 0000",
        "4500 0020 0001 0000 fe11 0000 c000 0201 c000 0201 c000 0035 000c 0000 0000 0000",
    ],
    silent_on=[
        HEADER,
        HEADER.replace("c000 0201 c633 6401", "7f00 0001 7f00 0001"),
        f"0000 0000 0000 0000 0000 0000 0800 | {HEADER.replace('c633 6401', 'c000 0201')}",
        "4500 0020 0001 0000 fe11 0000 c000 0201 c000 0201 c000 0ec9 000c 0000 0000 0000",
    ],
)
def ipv4_land(p, outer):
    """A host that answers itself loops. Lawful is its own traffic over the loopback device, whose
    frames carry zero addresses or none, and what it has a neighbour send back to see whether the
    link is alive (RFC 5881 section 4)."""
    if captured(outer) >= 12 and filled(outer, 0, 12, 0):
        return False
    if captured(outer) in LOOPBACK_HEADERS:
        return False
    to_echo = u16(p, 22) == ECHO_PORT or captured(p) < 24
    if u8(p, 0) == ECHO_HEADER and u8(p, 9) == UDP and to_echo and u8(p, 8) >= 254:
        return False
    return u32(p, 12) == u32(p, 16) and u8(p, 12) != 127 and u32(p, 12) != 0


@rule(
    id="ipv4.ttl_zero",
    sid=9100112,
    title="IPv4 time to live is zero",
    reference="RFC 1122 3.2.1.7",
    needs=20,
    at=(8, 1),
    fires_on=["4500 0014 0001 0000 00fd cdb6 c000 0201 c633 6401"],
    silent_on=[HEADER, HEADER.replace("40fd", "01fd"), HEADER.replace("40fd", "00fd")],
)
def ipv4_ttl_zero(p):
    """A host must not send it and a router that counts down to it discards the packet. Where the
    header's checksum is wrong, no stack has sent it, nor would one receive it."""
    return u8(p, 8) == 0 and header_sums(p)


@rule(
    id="ipv4.carries_icmpv6",
    sid=9100113,
    title="ICMPv6 inside IPv4",
    reference="RFC 4443 section 1",
    needs=20,
    at=(9, 1),
    suricata=("decoder.ipv4.icmpv6",),
    fires_on=[HEADER.replace("40fd", "403a")],
    silent_on=[HEADER, HEADER.replace("40fd", "4001")],
)
def ipv4_carries_icmpv6(p):
    """ICMPv6 is part of IPv6 and its checksum covers an IPv6 header."""
    return u8(p, 9) == 58


@rule(
    id="ipv4.unknown_proto",
    sid=9100115,
    title="IPv4 carries a protocol number that is not assigned",
    reference="IANA, Protocol Numbers",
    needs=20,
    at=(9, 1),
    severity=4,
    tier="C",
    suricata=("decoder.ipv4.unknown_protocol",),
    fires_on=[HEADER.replace("40fd", "40c8"), HEADER.replace("40fd", "40ff")],
    silent_on=[HEADER, HEADER.replace("40fd", "4093")],
)
def ipv4_protocol_unassigned(p):
    """147 is the last number assigned, 253 and 254 are for experiments."""
    return u8(p, 9) > 147 and u8(p, 9) not in EXPERIMENTS
