"""GRE (RFC 2784, 2890) and the enhanced GRE of PPTP (RFC 2637). A rule sees the packet from its GRE
header to the end of the IP packet around it."""

from procwire.rule import rule
from procwire.words import bits, captured, length, u16

PPP = 0x880B


@rule(
    id="gre.bad_header",
    sid=9100081,
    title="GRE header of an unknown version, with reserved bits, a source route, or cut short",
    reference="RFC 2784 section 2; RFC 2890 section 2; RFC 2637 section 4.1",
    at=(0, 4),
    suricata=(
        "decoder.gre.pkt_too_small",
        "decoder.gre.wrong_version",
        "decoder.gre.version0_recur",
        "decoder.gre.version0_flags",
        "decoder.gre.version0_hdr_too_big",
        "decoder.gre.version1_chksum",
        "decoder.gre.version1_route",
        "decoder.gre.version1_ssr",
        "decoder.gre.version1_recur",
        "decoder.gre.version1_flags",
        "decoder.gre.version1_no_key",
        "decoder.gre.version1_wrong_protocol",
        "decoder.gre.version1_hdr_too_big",
    ),
    zeek=("truncated_GRE", "unknown_gre_version", "unknown_gre_flags", "gre_routing"),
    fires_on=[
        "0002 0800",
        "0000 08",
        "b000 0800 0000 0000 0000",
        "4000 0800 0000 0000",
        "0400 88b5",
        "0300 88b5",
        "2008 0800 0000 0001",
        "0001 880b",
        "2001 0800 0000 0001",
        "a001 880b 0000 0001 0000 0000",
        "3001 880b 0000 0001",
    ],
    silent_on=[
        "0000 88b5",
        "2000 88b5 0000 0007",
        "b000 88b5 0000 0000 0000 0007 0000 0001",
        "3081 880b 0000 0001 0000 0001 0000 0001",
    ],
)
def gre_header_contradicts_itself(p):
    """Versions are 0 and 1; each flag of checksum, key and number adds a word to the header. All
    other bits of version 0 are sent as zero: a receiver drops the packet for those of a route and
    the bit behind them, and ignores the rest. PPTP sends PPP, always with a key, and no checksum or
    route."""
    if length(p) < 4:
        return True
    if captured(p) < 4:
        return False
    flags = u16(p, 0)
    version = bits(flags, 0, 3)
    if version > 1 or version == 0 and bits(flags, 14, 1) + bits(flags, 3, 9) != 0:
        return True
    words = 1 + bits(flags, 13, 1) + bits(flags, 12, 1)
    if bits(flags, 14, 2) != 0:
        words += 1
    if version == 1:
        words += bits(flags, 7, 1)
        reserved = bits(flags, 14, 2) + bits(flags, 8, 4) + bits(flags, 3, 4)
        if reserved != 0 or bits(flags, 13, 1) == 0 or u16(p, 2) != PPP:
            return True
    return words * 4 > length(p)
