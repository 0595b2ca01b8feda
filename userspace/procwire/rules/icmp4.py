"""ICMP for IPv4 (RFC 792). A rule sees the message from its type on; `outer` is the IP header."""

from procwire.rule import rule
from procwire.words import bits, captured, length, u8

ERRORS = (3, 4, 5, 11, 12)
TIME_STAMPS, MASKS = (13, 14), (17, 18)
# Assigned by IANA, deprecated ones (RFC 6918) included: old hosts still send them.
ASSIGNED = (
    0, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
    30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 253, 254,
)  # fmt: skip
ONE_CODE = (0, 4, 8, 10, 13, 14, 15, 16, 17, 18, 42)  # types whose only code is 0
QUOTED = "4500 0028 0001 0000 4006 0000 c000 0201 c633 6401 0400 0050 0000 0000"


@rule(
    id="icmp4.truncated",
    sid=9100501,
    title="ICMP message shorter than its header",
    reference="RFC 792, Message Formats",
    layers=("icmp4_malformed",),
    suricata=("decoder.icmpv4.pkt_too_small",),
    zeek=("truncated_header",),
    fires_on=["0800 0000 0000"],
    silent_on=["0800 0000 0000 0000"],
)
def icmp4_message_cut(p):
    """Every ICMP message begins with eight bytes."""
    return length(p) < 8


@rule(
    id="icmp4.unknown_type",
    sid=9100502,
    title="ICMP type that is not assigned",
    reference="RFC 792; RFC 6918; IANA ICMP parameters",
    needs=8,
    suricata=("decoder.icmpv4.unknown_type",),
    fires_on=["0100 0000 0000 0000", "c800 0000 0000 0000"],
    silent_on=["0800 0000 0000 0000", "1100 0000 0000 0000"],
)
def icmp4_type_unassigned(p):
    """Hosts silently discard what they do not know, so only tunnels and probes send it."""
    return u8(p, 0) not in ASSIGNED


@rule(
    id="icmp4.unknown_code",
    sid=9100503,
    title="ICMP code that its type does not have",
    reference="RFC 792; RFC 1812 5.2.7; IANA ICMP parameters",
    needs=8,
    at=(1, 1),
    suricata=("decoder.icmpv4.unknown_code",),
    fires_on=[
        "0801 0000 0000 0000",
        "0310 0000 0000 0000",
        "0b02 0000 0000 0000",
        "2b05 0000 0000 0000",
    ],
    silent_on=["0800 0000 0000 0000", "030f 0000 0000 0000", "0910 0000 0000 0000"],
)
def icmp4_code_unassigned(p):
    """Fingerprinting tools send echo requests with a code to see whether it comes back."""
    kind = u8(p, 0)
    code = u8(p, 1)
    if kind in ONE_CODE:
        return code != 0
    if kind == 9:
        return code != 0 and code != 16
    unreachable = kind == 3 and code > 15
    redirect = kind == 5 and code > 3
    exceeded = kind == 11 and code > 1
    parameter = kind == 12 and code > 2
    extended = kind == 43 and code > 4
    return unreachable or redirect or exceeded or parameter or extended


@rule(
    id="icmp4.embedded_bad",
    sid=9100504,
    title="ICMP message without the IPv4 packet or the fields that its type has",
    reference="RFC 792; RFC 950 appendix I; RFC 1122 3.2.2",
    needs=8,
    at=(8, 20),
    suricata=("decoder.icmpv4.ipv4_trunc_pkt", "decoder.icmpv4.ipv4_unknown_ver"),
    fires_on=[
        "0301 0000 0000 0000 4500 0028",
        f"0301 0000 0000 0000 {QUOTED.replace('4500', '6500')}",
        f"0301 0000 0000 0000 {QUOTED.replace('4500', '4800')}",
        "0d00 0000 0001 0001 0000 0000 0000 0000 0000 00",
        "1100 0000 0001 0001",
    ],
    silent_on=[
        f"0301 0000 0000 0000 {QUOTED}",
        "0301 0000 0000 0000",
        "0800 0000 0000 0000",
        "0e00 0000 0001 0001 0000 0000 0000 0000 0000 0000",
        "1200 0000 0001 0001 ffff ff00",
    ],
)
def icmp4_message_lacks_its_content(p):
    """An error returns the header of the packet that caused it and at least 8 bytes more; some
    hosts return nothing at all, which misleads no one. Time stamps and masks have fields."""
    kind = u8(p, 0)
    if kind in TIME_STAMPS:
        return length(p) < 20
    if kind in MASKS:
        return length(p) < 12
    if kind not in ERRORS or length(p) == 8:
        return False
    if length(p) < 28:
        return True
    if captured(p) == 8:
        return False
    size = bits(u8(p, 8), 0, 4)
    return bits(u8(p, 8), 4, 4) != 4 or size < 5 or length(p) < 8 + size * 4


@rule(
    id="icmp4.redirect",
    sid=9100505,
    title="ICMP redirect",
    reference="RFC 1122 3.2.2.2; RFC 6274 3.5.5",
    needs=8,
    at=(0, 8),
    tier="B",
    fires_on=[f"0501 0000 c000 02fe {QUOTED}"],
    silent_on=["0800 0000 0000 0000"],
)
def icmp4_redirect(p):
    """A router's right, and a way to become the man in the middle where hosts believe it."""
    return u8(p, 0) == 5
