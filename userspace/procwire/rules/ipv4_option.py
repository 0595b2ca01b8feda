"""Options of the IPv4 header (RFC 791 3.1). A rule sees the bytes from the IP header on."""

from procwire.rule import rule
from procwire.rules.ipv4 import HEADER
from procwire.words import bits, captured, u8

ROUTE_OPTIONS = (7, 131, 137)
FOUR_BYTE_OPTIONS = (136, 148)  # stream identifier and router alert
SECURITY_OPTIONS = (130, 133)
SOURCE_ROUTES = (131, 137)


@rule(
    id="ipv4.opt_malformed",
    sid=9100105,
    title="Malformed IPv4 option",
    layers=("ipv4",),
    reference="RFC 791 3.1, Options; RFC 1108; RFC 2113; RFC 7126",
    needs=21,
    at=(20, 40),
    suricata=("decoder.ipv4.opt_invalid_len", "decoder.ipv4.opt_malformed"),
    fires_on=[
        HEADER.replace("4500 0014", "4600 0018") + " 0700 0000",
        HEADER.replace("4500 0014", "4600 0018") + " 8308 0400",
        HEADER.replace("4500 0014", "4600 0018") + " 9403 0000",
        HEADER.replace("4500 0014", "4600 0018") + " 8202 0000",
        HEADER.replace("4500 0014", "4700 001c") + " 0707 03c0 0002 0100",
    ],
    silent_on=[
        HEADER.replace("4500 0014", "4600 0018") + " 9404 0000",
        HEADER.replace("4500 0014", "4700 001c") + " 0707 04c0 0002 0100",
        HEADER.replace("4500 0014", "4600 0018") + " 0101 0100",
        HEADER.replace("4500 0014", "4800 0020") + " 820b 0000 0000 0000 0000 0000",
    ],
)
def ipv4_option_malformed(p):
    """An option's length counts its type and length bytes and stays inside the header; stream
    identifier and router alert have four bytes, security at least three, a route or time stamp
    option a pointer behind its own three or four."""
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
            if kind in SECURITY_OPTIONS and size < 3:
                return True
            pointer = u8(p, offset + 2)
            if kind in ROUTE_OPTIONS and (size % 4 != 3 or pointer < 4):
                return True
            if kind == 68 and (size < 4 or pointer < 5):
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
    offset = 20
    for _step in range(40):
        if offset >= end or offset >= captured(p):
            break
        kind = u8(p, offset)
        if kind in SOURCE_ROUTES:
            return True
        if kind == 0:
            break
        size = 1
        if kind != 1:
            size = u8(p, offset + 1)
            if size < 2:
                break
        offset += size
    return False
