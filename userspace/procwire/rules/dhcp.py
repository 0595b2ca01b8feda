"""DHCP (RFC 2131) and BOOTP (RFC 951). A rule sees the message from its operation on."""

from procwire.rule import rule
from procwire.words import captured, length, u8, u32

HEADER = 236
OPTIONS = 240
COOKIE = 0x63825363
REQUEST_OR_REPLY = (1, 2)
LAST_HARDWARE = 38  # IANA, Hardware Types
MOST_OPTIONS = 512
PAD, END, MESSAGE_TYPE, CLIENT_IDENTIFIER = 0, 255, 53, 61
LAST_MESSAGE_TYPE = 18  # IANA, DHCP Message Type 53 Values
# RFC 2132: what has one address or time, what has a short number, one byte, or lists addresses.
FOUR_BYTES = (1, 2, 28, 50, 51, 54, 58, 59)
TWO_BYTES = (13, 22, 26, 57)
ONE_BYTE = (19, 20, 23, 27, 29, 30, 31, 34, 36, 37, 39, 46, 52, 53)
ADDRESSES = (3, 4, 5, 6, 42, 44)

BOOTP = "0101 0600 3903 f326" + "00" * 20 + "0200 0000 0001" + "00" * 202
DISCOVER = f"{BOOTP} 63825363 3501 01"


@rule(
    id="dhcp.malformed",
    sid=9101051,
    title="DHCP message that is cut, or whose options do not fit their lengths",
    reference="RFC 2131 section 2, 4.1; RFC 2132 section 2, 9.14",
    needs=12,
    at=(236, 64),
    suricata=("app.dhcp.malformed_options", "app.dhcp.truncated_options"),
    fires_on=[
        BOOTP[:-2],
        DISCOVER,
        f"{DISCOVER} 00 00",
        f"{BOOTP} 63825363 {'00' * 60}",
        f"{DISCOVER} 3704 0103",
        f"{DISCOVER} 0c",
        f"{DISCOVER} 3203 c00002 ff",
        f"{DISCOVER} 0603 c00002 ff",
        f"{DISCOVER} 3d01 01 ff",
        f"{DISCOVER} 3904 00000240 ff",
        f"{DISCOVER} 2e02 0008 ff",
        f"{BOOTP} 63825363",
        f"{BOOTP} 63825363 3501 00 ff",
        f"{BOOTP} 63825363 3502 0101 ff",
        f"{DISCOVER.replace('0101 0600', '0101 1100', 1)} ff",
    ],
    silent_on=[
        BOOTP,
        f"{BOOTP} {'00' * 64}",
        f"{DISCOVER} ff",
        f"{DISCOVER} 3902 0240 2e01 08 ff",
        f"{DISCOVER} 3704 0103 060f 3204 c0000201 00 00 ff 00 00",
        f"{DISCOVER.replace('0101 0600', '0120 0000', 1)} ff",
        "0101 0600 3903 f326",
        "6431 3a61 6432 3a69 6432 303a 6162 6364",
    ],
)
def dhcp_message_malformed(p):
    """The last option must be the end option, and every length lies within the message. Without the
    cookie it is BOOTP, whose vendor area is free."""
    marked = length(p) >= OPTIONS and u32(p, HEADER) == COOKIE
    kind = u8(p, 1)
    plausible = 0 < kind <= LAST_HARDWARE and u8(p, 2) <= 16 and u8(p, 3) <= 16
    if not marked:
        return plausible and u8(p, 0) in REQUEST_OR_REPLY and length(p) < HEADER
    if u8(p, 0) not in REQUEST_OR_REPLY or u8(p, 2) > 16:
        return True
    at = OPTIONS
    for _option in range(MOST_OPTIONS):
        if at >= length(p):
            return True
        if at + 2 > captured(p):
            return captured(p) == length(p) and u8(p, at) != END
        code = u8(p, at)
        size = u8(p, at + 1)
        if code == END:
            break
        if code == PAD:
            at += 1
        else:
            if at + 2 + size > length(p):
                return True
            if code in FOUR_BYTES and size != 4 or code in ONE_BYTE and size != 1:
                return True
            if code in TWO_BYTES and size != 2:
                return True
            if code == CLIENT_IDENTIFIER and size < 2:
                return True
            # RFC 3396: only a full option may be continued by the next.
            if code in ADDRESSES and (size == 0 or size < 255 and size % 4 != 0):
                return True
            seen = at + 2 < captured(p)
            if code == MESSAGE_TYPE and seen and not 0 < u8(p, at + 2) <= LAST_MESSAGE_TYPE:
                return True
            at += 2 + size
    return False
