"""Options of the IPv4 header (RFC 791 3.1). A rule sees the bytes from the IP header on."""

from procwire.protocol_words import option
from procwire.rule import rule
from procwire.rules.ipv4 import HEADER
from procwire.words import bits, captured, u8

ROUTE_OPTIONS = (7, 131, 137)
FOUR_BYTE_OPTIONS = (136, 148)  # stream identifier and router alert
QUICK_START = 25
SECURITY_OPTIONS = (130, 133)
COMMERCIAL_SECURITY = 134  # a domain of interpretation, and a tag at least
LOOSE_ROUTE, STRICT_ROUTE, TIME_STAMP = 131, 137, 68
# RFC 791 and, for the last, FIPS 188: at most one in a datagram.
LONE_OPTIONS = (7, 68, 130, 131, 136, 137, 134)
# IANA, Internet Protocol Version 4 (IPv4) Parameters: IP Option Numbers.
ASSIGNED = (
    *(0, 1, 7, 10, 11, 12, 15, 25, 30, 68, 82, 94, 130, 131, 133, 134, 136, 137),
    *(142, 144, 145, 147, 148, 149, 151, 152, 158, 205, 222),
)


@rule(
    id="ipv4.opt_malformed",
    sid=9100105,
    title="Malformed, repeated or unknown IPv4 option",
    layers=("ipv4",),
    reference="RFC 791 3.1, Options; RFC 1108; RFC 2113; RFC 4782 3.1; RFC 7126 4.23; FIPS 188;"
    " IANA IP option numbers",
    needs=21,
    at=(20, 40),
    suricata=(
        "decoder.ipv4.opt_invalid_len",
        "decoder.ipv4.opt_malformed",
        "decoder.ipv4.opt_duplicate",
        "decoder.ipv4.opt_eol_required",
        "decoder.ipv4.opt_unknown",
    ),
    fires_on=[
        HEADER.replace("4500 0014", "4600 0018") + " 0700 0000",
        HEADER.replace("4500 0014", "4600 0018") + " 8308 0400",
        HEADER.replace("4500 0014", "4600 0018") + " 9403 0000",
        HEADER.replace("4500 0014", "4600 0018") + " 8202 0000",
        HEADER.replace("4500 0014", "4700 001c") + " 8606 0000 0001 0000",
        HEADER.replace("4500 0014", "4800 0020") + " 860a 0000 0001 0109 0000 0000",
        HEADER.replace("4500 0014", "4700 001c") + " 0707 03c0 0002 0100",
        HEADER.replace("4500 0014", "4700 001c") + " 0707 06c0 0002 0100",
        HEADER.replace("4500 0014", "4800 0020") + " 4404 0500 4404 0500 0000 0000",
        HEADER.replace("4500 0014", "4600 0018") + " 0103 0300",
        HEADER.replace("4500 0014", "4600 0018") + " 0101 0194",
        HEADER.replace("4500 0014", "4600 0018") + " 1904 0000",
    ],
    silent_on=[
        HEADER.replace("4500 0014", "4600 0018") + " 9404 0000",
        HEADER.replace("4500 0014", "4700 001c") + " 1908 0500 0000 0000",
        HEADER.replace("4500 0014", "4700 001c") + " 0707 04c0 0002 0100",
        HEADER.replace("4500 0014", "4700 001c") + " 4408 0500 0000 0000",
        HEADER.replace("4500 0014", "4600 0018") + " 0101 0100",
        HEADER.replace("4500 0014", "4800 0020") + " 820b 0000 0000 0000 0000 0000",
        HEADER.replace("4500 0014", "4800 0020") + " 860a 0000 0001 0104 0000 0000",
    ],
)
def ipv4_option_malformed(p):
    """An option's length counts its type and length bytes and stays inside the header; stream
    identifier and router alert have four bytes, Quick-Start eight, security at least three,
    commercial security eight with a tag inside of it (FIPS 188 4.2), a route or time stamp option
    a pointer behind its own three or four, which steps from one entry to the next."""
    end = bits(u8(p, 0), 0, 4) * 4
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
            if kind in FOUR_BYTE_OPTIONS and size != 4:
                return True
            if kind == QUICK_START and size != 8:
                return True
            if kind in SECURITY_OPTIONS and size < 3:
                return True
            if kind == COMMERCIAL_SECURITY:
                tag = u8(p, offset + 7)
                if size < 8 or offset + 7 < captured(p) and (tag < 2 or tag > size - 6):
                    return True
            if kind not in ASSIGNED or kind in LONE_OPTIONS and option(p, end, kind) != offset:
                return True
            pointer = u8(p, offset + 2)
            seen = offset + 2 < captured(p)
            apart = seen and (pointer < 4 or pointer % 4 != 0)
            if kind in ROUTE_OPTIONS and (size % 4 != 3 or apart):
                return True
            apart = seen and (pointer < 5 or pointer % 4 != 1)
            if kind == TIME_STAMP and (size < 4 or apart):
                return True
        offset += size
    return False


@rule(
    id="ipv4.source_route",
    sid=9100106,
    title="IPv4 source route",
    layers=("ipv4",),
    reference="RFC 7126 4.3, 4.4",
    needs=21,
    at=(20, 40),
    severity=2,
    fires_on=[HEADER.replace("4500 0014", "4700 001c") + " 8307 04c0 0002 0100"],
    silent_on=[HEADER.replace("4500 0014", "4700 001c") + " 0707 04c0 0002 0100"],
)
def ipv4_source_route(p):
    """Loose and strict source routes choose a path around filters; routers drop them."""
    end = bits(u8(p, 0), 0, 4) * 4
    return option(p, end, LOOSE_ROUTE) > 0 or option(p, end, STRICT_ROUTE) > 0
