"""NTP (RFC 5905). A rule sees the datagram's payload from its leap indicator on.

Nothing in a packet says that it is NTP. So a rule judges what has a stratum, poll interval and
precision that a clock could have, or a control message's own fields.
"""

from procwire.rule import rule
from procwire.words import bits, captured, length, u8, u16

HEADER = 48
CONTROL_HEADER = 12
PRIVATE_HEADER = 8
MODE_CONTROL, MODE_PRIVATE = 6, 7
VERSIONS = (1, 2, 3, 4)
UNKNOWN_VERSIONS = (6, 7)  # 5 is being drafted
CONTROL_OPERATIONS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 31)
PRIVATE_IMPLEMENTATIONS = (2, 3)
# A key number alone, or with a digest of 8, 16, 20, 32, 48 or 64 bytes; the authenticator of
# MS-SNTP 2.2.2 has 72 bytes in all.
AUTHENTICATORS = (0, 4, 12, 20, 24, 36, 52, 68, 72)
MOST_FIELDS = 32

CLIENT = "2300 06e9" + "00" * 36 + "e8f1 2233 4455 6677"
SERVER = "2402 06e9" + "0000 0a12 0000 0b13 c000 0201" + "e8f1 2233 4455 6677" * 4


@rule(
    id="ntp.malformed",
    sid=9101001,
    title="NTP packet with a reserved version or mode, or lengths that do not fit",
    reference="RFC 5905 7.3, 7.5; RFC 7822 section 3; RFC 9327 section 2",
    needs=8,
    at=(0, 48),
    suricata=("app.ntp.malformed_data",),
    zeek=("truncated_NTP",),
    fires_on=[
        CLIENT[:-2],
        "2300 06e9 0000 0000",
        f"{CLIENT} 0000",
        f"{CLIENT} 0104 0024 {'00' * 28}",
        f"{CLIENT} 0104 0002 {'00' * 28}",
        CLIENT.replace("23", "3b", 1),
        CLIENT.replace("23", "20", 1),
        "1602 0001 0000 0000 0000 0004",
        "9700 032a 0006 0048 0000",
    ],
    silent_on=[
        CLIENT,
        SERVER,
        "1b" + "00" * 47,
        "d9" + "00" * 47,
        SERVER.replace("2402", "e400", 1),
        f"{CLIENT} 00000001 {'ab' * 16}",
        f"{CLIENT} 00000001 {'ab' * 20}",
        f"{CLIENT} 00000000",
        f"{CLIENT} 0104 0024 {'ab' * 32} 0204 0014 {'cd' * 16} 0404 0028 {'ef' * 36}",
        "1602 0001 0000 0000 0000 0000",
        "1682 0001 0615 0000 0000 0004 61 3d 31 0a",
        "1700 032a 0000 0000",
        f"9700 032a 0001 0048 {'00' * 72}",
        "16fe fd00 0000 0000 0000 0000 0036",
        "6431 3a61 6432 3a69 6432",
        CLIENT[:2],
    ],
)
def ntp_packet_malformed(p):
    """Servers answer only what is well-formed; the rest probes them or is another protocol."""
    version = bits(u8(p, 0), 3, 3)
    mode = bits(u8(p, 0), 0, 3)
    if mode == MODE_CONTROL:
        # In a request, and in the first part of an answer, the offset of the data is 0.
        plausible = version in VERSIONS and bits(u8(p, 0), 6, 2) == 0 and u16(p, 8) == 0
        if not plausible or bits(u8(p, 1), 0, 5) not in CONTROL_OPERATIONS:
            return False
        return length(p) < CONTROL_HEADER or CONTROL_HEADER + u16(p, 10) > length(p)
    if mode == MODE_PRIVATE:
        if version not in VERSIONS or u8(p, 2) not in PRIVATE_IMPLEMENTATIONS:
            return False
        items = bits(u16(p, 4), 0, 12) * bits(u16(p, 6), 0, 12)
        return bits(u16(p, 6), 12, 4) == 0 and PRIVATE_HEADER + items > length(p)
    if u8(p, 1) > 16 or u8(p, 2) > 17 or 0 < u8(p, 3) < 0xE0:
        return False
    if version not in VERSIONS:
        return version in UNKNOWN_VERSIONS and length(p) == HEADER and mode > 0
    if mode == 0:
        return version > 1 and length(p) == HEADER
    if length(p) < HEADER:
        return True
    at = HEADER
    for _field in range(MOST_FIELDS):
        rest = length(p) - at
        if rest in AUTHENTICATORS or at + 4 > captured(p):
            break
        size = u16(p, at + 2)
        if version < 4 or size < 16 or size % 4 != 0 or size > rest:
            return True
        at += size
    return length(p) % 4 != 0
