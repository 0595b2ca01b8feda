"""ICMPv6 (RFC 4443) with neighbour discovery (RFC 4861) and multicast listener discovery. A rule
sees the message from its type on; `outer` is the IPv6 header."""

from procwire.protocol_words import extension, upper_header
from procwire.rule import rule
from procwire.rules.ipv6_extension import FRAGMENT
from procwire.words import bits, captured, length, u8, u16

ICMP6 = 58
NEIGHBOUR_DISCOVERY = (133, 134, 135, 136, 137)
LISTENER_QUERY, LISTENER_REPORT_2 = 130, 143
LISTENER_DISCOVERY = (130, 131, 132, 143)
MOST_RECORDS = 128
PREFIX, MTU = 3, 5
IP_255 = "6000 0000 0018 3aff" + " fe80 0000 0000 0000 0000 0000 0000 0001" * 2
IP_64 = IP_255.replace("3aff", "3a40")
IP_1 = IP_255.replace("3aff", "3a01")
IP_FRAGMENT = IP_255.replace("3aff", "2cff") + " 3a00 0000 0000 0001"
SOLICITATION = "8700 0000 0000 0000 fe80 0000 0000 0000 0000 0000 0000 0001"
ADVERTISED = "8600 0000 4000 0708 0000 0000 0000 0000"
QUERY = "8200 0000 0000 0000 ff02 0000 0000 0000 0000 0000 0000 0001"
RECORD = "0400 0000 ff02 0000 0000 0000 0000 0000 0000 00fb"


@rule(
    id="icmp6.truncated",
    sid=9100601,
    title="ICMPv6 message shorter than its header",
    reference="RFC 4443 2.1",
    layers=("icmp6_malformed",),
    suricata=("decoder.icmpv6.pkt_too_small",),
    fires_on=["8000 0000 0000"],
    silent_on=["8000 0000 0000 0000"],
)
def icmp6_message_cut(p):
    """Four bytes of header and, in every message defined, four more."""
    return length(p) < 8


@rule(
    id="icmp6.bad_type_code",
    sid=9100602,
    title="ICMPv6 type or code that is not assigned",
    reference="RFC 4443 section 6; IANA ICMPv6 parameters",
    needs=8,
    at=(0, 2),
    suricata=("decoder.icmpv6.unassigned_type", "decoder.icmpv6.unknown_code"),
    fires_on=[
        "0500 0000 0000 0000",
        "8001 0000 0000 0000",
        "c800 0000 0000 0000",
        "8a02 0000 0000 0000",
        "8b03 0000 0000 0000",
        "8f01 0000 0000 0000",
    ],
    silent_on=[
        "8000 0000 0000 0000",
        "0104 0000 0000 0000",
        "8f00 0000 0000 0000",
        "8aff 0000 0000 0000",
        "8c02 0000 0000 0000",
        "9714 0000 0000 0000",
    ],
)
def icmp6_type_or_code_unassigned(p):
    """Types 1 to 4 and 128 to 161 are assigned; those for experiments belong in a laboratory."""
    kind = u8(p, 0)
    code = u8(p, 1)
    if kind == 0 or kind > 161 or 4 < kind < 128:
        return True
    if kind == 2 or 128 <= kind <= 137 or 141 <= kind <= 149:
        return code != 0
    unreachable = kind == 1 and code > 8
    exceeded = kind == 3 and code > 1
    parameter = kind == 4 and code > 10
    renumbering = kind == 138 and 1 < code < 255
    information = 139 <= kind <= 140 and code > 2
    return unreachable or exceeded or parameter or renumbering or information


@rule(
    id="icmp6.embedded_bad",
    sid=9100603,
    title="ICMPv6 error that quotes no IPv6 packet",
    reference="RFC 4443 2.4 (c)",
    needs=8,
    at=(8, 40),
    suricata=("decoder.icmpv6.ipv6_trunc_pkt", "decoder.icmpv6.ipv6_unknown_version"),
    fires_on=[
        "0100 0000 0000 0000 6000 0000",
        f"0100 0000 0000 0000 {IP_64.replace('6000', '4000', 1)}",
    ],
    silent_on=[f"0100 0000 0000 0000 {IP_64}", "8000 0000 0000 0000"],
)
def icmp6_error_quotes_no_packet(p):
    """An error returns as much of the packet that caused it as fits, its header at least."""
    kind = u8(p, 0)
    if kind == 0 or kind > 4:
        return False
    if length(p) < 48:
        return True
    return captured(p) > 8 and bits(u8(p, 8), 4, 4) != 6


@rule(
    id="icmp6.mld_hlim",
    sid=9100604,
    title="Multicast listener message with a hop limit other than 1",
    reference="RFC 2710 section 3; RFC 3810 section 5",
    needs=8,
    at=(7, 1),
    at_outer=True,
    suricata=("decoder.icmpv6.mld_message_with_invalid_hl",),
    fires_on=[f"{IP_64} | {QUERY}"],
    silent_on=[f"{IP_1} | {QUERY}", f"{IP_64} | 8000 0000 0000 0000"],
)
def icmp6_listener_hop_limit(p, outer):
    """Listener discovery stays on its link; a higher hop limit means it came from elsewhere."""
    return u8(p, 0) in LISTENER_DISCOVERY and captured(outer) >= 40 and u8(outer, 7) != 1


@rule(
    id="icmp6.mld_bad",
    sid=9100608,
    title="Multicast listener message shorter than its form, or than the records it announces",
    reference="RFC 2710 section 3; RFC 3810 5.1, 5.2, 8.1",
    needs=8,
    at=(0, 28),
    zeek=(
        "truncated_ICMPv6_MLDv1",
        "truncated_ICMPv6_MLDv2",
        "truncated_ICMPv6_MLDv2_record",
    ),
    fires_on=[
        QUERY[:-5],
        f"{QUERY} 027d",
        f"{QUERY} 027d 0001",
        QUERY.replace("8200", "8300")[:-5],
        f"8f00 0000 0000 0002 {RECORD}",
        "8f00 0000 0000 0001 0400 0000",
        f"8f00 0000 0000 0001 {RECORD.replace('0400 0000', '0400 0001')}",
        f"8f00 0000 0000 0001 {RECORD.replace('0400 0000', '0401 0000')}",
    ],
    silent_on=[
        QUERY,
        f"{QUERY} 027d 0000",
        f"{QUERY} 027d 0001 fe80 0000 0000 0000 0000 0000 0000 0001",
        QUERY.replace("8200", "8400"),
        f"8f00 0000 0000 0002 {RECORD} {RECORD}",
        f"8f00 0000 0000 0001 {RECORD} 0000",
        "8f00 0000 0000 0000",
        "8000 0000 0000 0000",
    ],
)
def icmp6_listener_message_cut(p):
    """Routers and switches that snoop on group membership parse these in the kernel; 24 bytes are
    the first version's query, 28 and more the second's, and what lies between is neither."""
    kind = u8(p, 0)
    if kind not in LISTENER_DISCOVERY:
        return False
    if kind != LISTENER_REPORT_2:
        if kind != LISTENER_QUERY or length(p) <= 24:
            return length(p) < 24
        return length(p) < 28 or captured(p) >= 28 and length(p) < 28 + 16 * u16(p, 26)
    offset = 8
    for record in range(MOST_RECORDS):
        if record >= u16(p, 6) or offset + 4 > captured(p):
            break
        offset += 20 + u8(p, offset + 1) * 4 + u16(p, offset + 2) * 16
        if offset > length(p):
            return True
    return length(p) < 8 + 20 * u16(p, 6)


@rule(
    id="icmp6.nd_hlim",
    sid=9100605,
    title="Neighbour discovery with a hop limit other than 255",
    reference="RFC 4861 6.1, 7.1",
    needs=8,
    at=(7, 1),
    at_outer=True,
    severity=2,
    fires_on=[f"{IP_64} | {SOLICITATION}"],
    silent_on=[f"{IP_255} | {SOLICITATION}", f"{IP_64} | 8000 0000 0000 0000"],
)
def icmp6_neighbour_hop_limit(p, outer):
    """255 proves that no router forwarded it; anything else was sent from off the link."""
    return u8(p, 0) in NEIGHBOUR_DISCOVERY and captured(outer) >= 40 and u8(outer, 7) != 255


@rule(
    id="icmp6.nd_opt_bad",
    sid=9100606,
    title="Neighbour discovery that ends before its options, or an option of a wrong length",
    reference="RFC 4861 4.6, 6.1, 7.1",
    needs=8,
    at=(8, 8),
    zeek=(
        "zero_length_ICMPv6_ND_option",
        "truncated_ICMPv6_ND_options",
        "icmp6_ns_bad_opt_offset",
        "icmp6_na_bad_opt_offset",
        "icmp6_ra_bad_opt_offset",
        "icmp6_redirect_bad_opt_offset",
    ),
    fires_on=[
        f"{SOLICITATION} 0100 0200 0000 0001",
        f"{SOLICITATION} 0102 0200 0000 0001",
        SOLICITATION[:-5],
        "8600 0000 4000 0708 0000 0000",
        f"{ADVERTISED} 0502 0000 0000 05dc 0000 0000 0000 0000",
        f"{ADVERTISED} 0303 40c0 0000 0e10 0000 0e10 0000 0000 2001 0db8 0000 0000",
    ],
    silent_on=[
        f"{SOLICITATION} 0101 0200 0000 0001",
        SOLICITATION,
        "8500 0000 0000 0000",
        f"{ADVERTISED} 0501 0000 0000 05dc 0304 40c0 {'00' * 28}",
    ],
)
def icmp6_neighbour_option_malformed(p):
    """Options follow the addresses that the message has; an option's length counts 8-byte units and
    is never 0, and of a prefix 4 (4.6.2) and of an MTU 1 (4.6.4)."""
    kind = u8(p, 0)
    if kind not in NEIGHBOUR_DISCOVERY:
        return False
    offset = 24
    if kind == 133:
        offset = 8
    if kind == 134:
        offset = 16
    if kind == 137:
        offset = 40
    if offset > length(p):
        return True
    for _step in range(64):
        if offset >= length(p):
            break
        if offset + 2 > length(p):
            return True
        if offset + 2 > captured(p):
            break
        option = u8(p, offset)
        size = u8(p, offset + 1) * 8
        if size == 0 or offset + size > length(p):
            return True
        if option == PREFIX and size != 32 or option == MTU and size != 8:
            return True
        offset += size
    return False


@rule(
    id="icmp6.nd_fragmented",
    sid=9100607,
    title="Neighbour discovery behind a fragment header",
    layers=("ipv6",),
    reference="RFC 6980 section 5",
    needs=49,
    at=(40, 8),
    severity=2,
    fires_on=[
        f"{IP_FRAGMENT} {SOLICITATION}",
        f"{IP_FRAGMENT.replace('0000 0000 0001', '0001 0000 0001')} {SOLICITATION}",
    ],
    silent_on=[
        f"{IP_255} {SOLICITATION}",
        f"{IP_FRAGMENT} 8000 0000 0000 0000",
        f"{IP_FRAGMENT.replace('0000 0000 0001', '0008 0000 0001')} {SOLICITATION}",
    ],
)
def icmp6_neighbour_fragmented(p):
    """Nodes ignore it; fragments once carried it past router advertisement guards. The first one
    tells what it is; nobody has to put them together."""
    if extension(p, FRAGMENT) == 0:
        return False
    upper = upper_header(p)
    return bits(upper, 0, 8) == ICMP6 and u8(p, bits(upper, 8, 20)) in NEIGHBOUR_DISCOVERY
