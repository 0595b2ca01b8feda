"""TCP (RFC 9293). A rule sees the segment from its source port to the end of the IP packet."""

from procwire.protocol_words import option
from procwire.rule import rule
from procwire.words import bits, captured, length, u8, u16, u32

FIN, SYN = 1, 2
WINDOW_SCALE = 3
SYN_SEGMENT = "0400 0050 0000 0001 0000 0000 5002 2000 0000 0000"


@rule(
    id="tcp.truncated",
    sid=9100401,
    title="TCP segment shorter than a TCP header",
    reference="RFC 9293 3.1",
    layers=("tcp_malformed",),
    suricata=("decoder.tcp.pkt_too_small",),
    zeek=("truncated_header",),
    fires_on=["0400 0050 0000 0001"],
    silent_on=[SYN_SEGMENT],
)
def tcp_segment_cut(p):
    """A TCP header without options has 20 bytes."""
    return length(p) < 20


@rule(
    id="tcp.bad_hlen",
    sid=9100402,
    title="TCP data offset below 5 or beyond the segment",
    reference="RFC 9293 3.1, Data Offset",
    layers=("tcp_malformed",),
    needs=20,
    at=(12, 1),
    suricata=("decoder.tcp.hlen_too_small",),
    zeek=("bad_TCP_header_len",),
    fires_on=[SYN_SEGMENT.replace("5002", "4002"), SYN_SEGMENT.replace("5002", "6002")],
    silent_on=[SYN_SEGMENT],
)
def tcp_data_offset_wrong(p):
    """The data offset counts the header's 32-bit words, 5 without options."""
    words = bits(u8(p, 12), 4, 4)
    return words < 5 or words * 4 > length(p)


@rule(
    id="tcp.opt_malformed",
    sid=9100403,
    title="Malformed TCP option",
    reference="RFC 9293 3.1, 3.2; RFC 7323; RFC 2018; RFC 7413",
    layers=("tcp", "tcp_malformed"),
    needs=20,
    at=(12, 48),
    suricata=("decoder.tcp.opt_invalid_len", "decoder.tcp.invalid_optlen"),
    zeek=(
        "tcp_option_mss_invalid_len",
        "tcp_option_sack_invalid_len",
        "tcp_option_timestamps_invalid_len",
        "tcp_option_window_scale_invalid_len",
    ),
    fires_on=[
        SYN_SEGMENT.replace("5002", "6002") + " 0203 0500",
        SYN_SEGMENT.replace("5002", "6002") + " 0101 0102",
        SYN_SEGMENT.replace("5002", "6002") + " 0101 0805",
        SYN_SEGMENT.replace("5002", "6002") + " 1301 0000",
        SYN_SEGMENT.replace("5002", "6002") + " 1304 0000",
        SYN_SEGMENT.replace("5002", "6002") + " 1c03 0000",
        SYN_SEGMENT.replace("5002", "6002") + " 1d03 0000",
        SYN_SEGMENT.replace("5002", "6002") + " 2204 abcd",
        SYN_SEGMENT.replace("5002", "7002") + " 2207 abcd abcd abcd",
        SYN_SEGMENT.replace("5002", "2002"),
    ],
    silent_on=[
        SYN_SEGMENT.replace("5002", "6002") + " 0204 05b4",
        SYN_SEGMENT.replace("5002", "8002") + " 0101 080a 0000 0001 0000 0000",
        SYN_SEGMENT.replace("5002", "6002") + " 0000 ffff",
        SYN_SEGMENT.replace("5002", "7002") + " 2202 1c04 8001 0101",
        SYN_SEGMENT.replace("5002", "7002") + " 2206 abcd abcd 0101",
        SYN_SEGMENT.replace("5002", "6002") + " 1d04 0102",
        SYN_SEGMENT.replace("5002", "7002") + " 0204 05b4",
    ],
)
def tcp_option_malformed(p):
    """An option's length counts its kind and length bytes and stays inside the header; most options
    have one length each, selective acknowledgements 8 bytes a block, a fast open cookie 4 to 16 in
    pairs. A data offset below 5 leaves the options fewer bytes than none."""
    end = bits(u8(p, 12), 4, 4) * 4
    if end < 20:
        return True
    offset = 20
    for _step in range(40):
        if offset >= end or offset >= captured(p):
            break
        kind = u8(p, offset)
        if kind == 0:
            break
        size = 1
        if kind != 1:
            if offset + 1 >= end:
                return True
            if offset + 1 >= captured(p):
                break
            size = u8(p, offset + 1)
            if size < 2 or offset + size > end:
                return True
            if kind == 2 and size != 4:
                return True
            if kind == 3 and size != 3:
                return True
            if kind == 4 and size != 2:
                return True
            if kind == 5 and (size < 10 or size % 8 != 2):
                return True
            if kind == 8 and size != 10:
                return True
            if kind == 19 and size != 18 or kind == 28 and size != 4 or kind == 29 and size < 4:
                return True
            if kind == 34 and size != 2 and (size % 2 == 1 or size < 6 or size > 18):
                return True
        offset += size
    return False


@rule(
    id="tcp.wscale_range",
    sid=9100404,
    title="TCP window scale above 14",
    reference="RFC 7323 2.3",
    needs=23,
    at=(20, 40),
    zeek=("TCP_scale_range",),
    fires_on=[SYN_SEGMENT.replace("5002", "6002") + " 0103 030f"],
    silent_on=[
        SYN_SEGMENT.replace("5002", "6002") + " 0103 030e",
        SYN_SEGMENT.replace("5002", "6010") + " 0103 030f",
    ],
)
def tcp_window_scale_too_large(p):
    """A larger shift could put old data into the window; the option counts only on a SYN."""
    if bits(u8(p, 13), 1, 1) == 0:
        return False
    end = bits(u8(p, 12), 4, 4) * 4
    at = option(p, end, WINDOW_SCALE)
    return at > 0 and at + 3 <= end and u8(p, at + 1) == 3 and u8(p, at + 2) > 14


@rule(
    id="tcp.flags_syn_fin",
    sid=9100405,
    title="TCP segment with SYN and FIN",
    reference="RFC 9293 3.5",
    needs=20,
    at=(13, 1),
    severity=2,
    suricata=("stream.fin_syn",),
    zeek=("inappropriate_FIN", "baroque_SYN"),
    fires_on=[SYN_SEGMENT.replace("5002", "5003")],
    silent_on=[SYN_SEGMENT, SYN_SEGMENT.replace("5002", "5011")],
)
def tcp_syn_with_fin(p):
    """A connection does not begin and end at once; the pair passes careless filters."""
    return bits(u8(p, 13), 0, 2) == SYN + FIN


@rule(
    id="tcp.flags_null_xmas",
    sid=9100406,
    title="TCP segment with neither SYN, RST nor ACK: a NULL, FIN or XMAS probe",
    reference="RFC 9293 3.10.7.4",
    needs=20,
    at=(13, 1),
    severity=2,
    analytics=("AN1949", "AN1962", "AN1999"),
    zeek=("TCP_christmas",),
    fires_on=[
        SYN_SEGMENT.replace("5002", "5000"),
        SYN_SEGMENT.replace("5002", "5001"),
        SYN_SEGMENT.replace("5002", "5029"),
    ],
    silent_on=[
        SYN_SEGMENT,
        SYN_SEGMENT.replace("5002", "5010"),
        SYN_SEGMENT.replace("5002", "5004"),
        SYN_SEGMENT.replace("5002", "5000") + " 61",
    ],
)
def tcp_probe_flags(p):
    """Every segment after the first SYN carries ACK unless it resets; a closed port answers such a
    segment and an open one does not, which is what the probe wants to know. With data and neither
    FIN nor URG it may be a piece of a conversation, which stream.data_without_ack judges."""
    flags = u8(p, 13)
    if bits(flags, 1, 2) != 0 or bits(flags, 4, 1) == 1:
        return False
    bare = length(p) <= bits(u8(p, 12), 4, 4) * 4
    return bare or bits(flags, 0, 1) == 1 or bits(flags, 5, 1) == 1


@rule(
    id="tcp.flags_syn_rst",
    sid=9100407,
    title="TCP segment with SYN and RST",
    reference="RFC 9293 3.5",
    needs=20,
    at=(13, 1),
    severity=2,
    fires_on=[SYN_SEGMENT.replace("5002", "5006")],
    silent_on=[SYN_SEGMENT, SYN_SEGMENT.replace("5002", "5014")],
)
def tcp_syn_with_rst(p):
    """No segment both opens and refuses a connection."""
    return bits(u8(p, 13), 1, 2) == 3


@rule(
    id="tcp.ackno_without_ack",
    sid=9100410,
    title="Acknowledgement number without ACK",
    reference="RFC 9293 3.1, Acknowledgment Number",
    needs=20,
    at=(8, 4),
    severity=4,
    tier="C",
    suricata=("stream.pkt_broken_ack",),
    fires_on=[SYN_SEGMENT.replace("0000 0000 5002", "0000 0007 5002")],
    silent_on=[SYN_SEGMENT, SYN_SEGMENT.replace("0000 0000 5002", "0000 0007 5010")],
)
def tcp_acknowledgement_without_flag(p):
    """Without the flag the number means nothing; some stacks leave an old one in it."""
    return bits(u8(p, 13), 4, 1) == 0 and u32(p, 8) != 0


@rule(
    id="l4.port_zero",
    sid=9100408,
    title="Port 0",
    reference="RFC 6335 section 6; RFC 768, Source Port",
    layers=("tcp", "udp"),
    needs=8,
    at=(0, 4),
    fires_on=[
        "4500 0028 0001 0000 4006 | " + SYN_SEGMENT.replace("0400 0050", "0000 0050"),
        SYN_SEGMENT.replace("0400 0050", "0400 0000"),
    ],
    silent_on=[SYN_SEGMENT, "4500 001c 0001 0000 4011 | 0000 0035 0008 0000"],
)
def port_zero(p, outer):
    """Port 0 is reserved. As a UDP source it says that no answer is wanted, which is lawful."""
    if u16(p, 2) == 0:
        return True
    over_ipv4 = bits(u8(outer, 0), 4, 4) == 4 and u8(outer, 9) == 6
    over_ipv6 = bits(u8(outer, 0), 4, 4) == 6 and u8(outer, 6) == 6
    return u16(p, 0) == 0 and (over_ipv4 or over_ipv6)
