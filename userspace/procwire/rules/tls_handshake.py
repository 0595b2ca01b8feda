"""TLS's handshake as far as it is not encrypted (RFC 8446 section 4, RFC 5246 7.4). A rule sees one
record, as its stream carries it; in Suricata the segment that begins with one.

Encrypted records look random, so a message is read only where several fields say what it is.
"""

from procwire.layers import (
    TLS_CLIENT_HELLO,
    TLS_HANDSHAKE,
    TLS_HEADER,
    TLS_LAST_MINOR,
    TLS_MAJOR,
    TLS_SERVER_HELLO,
)
from procwire.rule import rule
from procwire.rules.tls import (
    CLIENT,
    HELLO_CLIENT,
    HELLO_SERVER,
    LONGEST_SESSION_ID,
    RANDOM,
    SERVER,
    SESSION_ID,
)
from procwire.words import captured, u8, u16

CERTIFICATE = 11
HELLOS = (TLS_CLIENT_HELLO, TLS_SERVER_HELLO)
# What servers send in the clear behind it: RFC 5246 7.4, RFC 5077, RFC 6066, RFC 4680.
AFTER_SERVER_HELLO = (4, CERTIFICATE, 12, 13, 14, 22, 23)
# IANA, TLS HandshakeType: what may be sent in the clear. The others are encrypted (EndOfEarlyData,
# EncryptedExtensions, Finished, KeyUpdate), of DTLS alone, or none. 6 was a retry in drafts of 1.3.
MESSAGES = (0, 1, 2, 4, 6, *range(CERTIFICATE, 17), 21, 22, 23)
MOST_MESSAGES, MOST_EXTENSIONS = 8, 64
SMALLEST_HELLO = 47  # version, random, empty session, suite and compression of a server


@rule(
    id="tls.handshake_bad",
    sid=9101402,
    title="TLS hello or certificate whose fields do not fit its length, or unknown message",
    reference="RFC 8446 section 4, 5.1; RFC 5246 7.3, 7.4",
    layers=("tls",),
    needs=12,
    at=(0, 48),
    suricata=("app.tls.invalid_handshake_message", "app.tls.handshake_invalid_length"),
    fires_on=[
        f"16 0301 002d 01 000029 0303 {RANDOM} 21 0002 1301 01 00",
        f"16 0301 002d 01 000029 0303 {RANDOM} 00 0003 1301 01 00",
        f"16 0301 002d 01 000029 0303 {RANDOM} 00 0002 1301 09 00",
        f"16 0301 002d 01 000029 0303 {RANDOM} 00 0002 1301 00 00",
        f"16 0301 0031 01 00002d 0303 {RANDOM} 00 0002 1301 01 00 0009 0000",
        f"16 0301 0031 01 00002d 0303 {RANDOM} 00 0002 1301 01 00 0002 0000",
        f"16 0303 002e {HELLO_SERVER} 63 000000",
        f"16 0303 0033 {HELLO_SERVER} 0b 000005 000009 0000",
        f"{SERVER} 16 0303 0009 0b 000005 000009 0000",
        "16 0303 0009 0b 000005 000009 0000",
        "16 0303 0009 0b 000004 000002 0000",
        f"16 0301 0035 01 000031 0303 {RANDOM} 00 0002 1301 01 00 0006 0000 0003 0000",
        f"16 0301 0026 01 000022 0303 {RANDOM}",
        f"16 0301 002f {HELLO_CLIENT} 0000",
        "16 0303 0008 63 000004 a1b2c3d4",
        "16 0303 0010 14 00000c a1b2c3d4 a1b2c3d4 a1b2c3d4",
        "16 0303 0007 08 000003 000000",
    ],
    silent_on=[
        CLIENT,
        SERVER,
        f"16 0301 0035 01 000031 0303 {RANDOM} 00 0002 1301 01 00 0006 0000 0002 0000",
        "16 0303 0009 0b 000005 000002 0000",
        "16 0303 0009 0b 000006 000003 0000",
        f"16 0303 002e {HELLO_SERVER} 0e 000000",
        f"16 0303 0033 {HELLO_SERVER} 0b 000005 000002 0000",
        f"{SERVER} 16 0303 0009 0b 000005 000002 0000",
        f"{SERVER} 14 0303 0001 01 16 0303 0009 0b 000005 000009 0000",
        f"16 0301 0020 01 000029 0303 {RANDOM} 00 0002 1301",
        f"16 0303 0028 {'93' * 40}",
        "16 0303 0008 16 000004 a1b2c3d4",
        "16 0303 0010 14 00000d a1b2c3d4 a1b2c3d4 a1b2c3d4",
        "16 0303 0009 63 000004 a1b2c3d4e5",
    ],
)
def tls_handshake_inconsistent(p):
    """Peers must refuse it; lengths that lie are how parsers of hellos are made to read beyond. A
    client says no more in the record of its hello. Another message at the start of a record is
    judged where it is surely none that is encrypted: its length, or that of a certificate's chain,
    fills the record."""
    if u8(p, 0) != TLS_HANDSHAKE or u8(p, 1) != TLS_MAJOR:
        return False
    record_end = TLS_HEADER + u16(p, 3)
    end = 9 + u16(p, 7)
    if u8(p, 5) == CERTIFICATE:
        chain_end = 12 + u8(p, 9) * 65536 + u16(p, 10)
        fills = u8(p, 6) == 0 and (end == record_end or chain_end == record_end)
        return fills and end != chain_end
    if u8(p, 5) not in HELLOS:
        return u8(p, 5) not in MESSAGES and u8(p, 6) == 0 and end == record_end
    if u8(p, 6) == 0 and end <= record_end and end < SMALLEST_HELLO:
        return True
    if u8(p, 6) != 0 or u8(p, 9) != TLS_MAJOR or u8(p, 10) > TLS_LAST_MINOR or end > record_end:
        return False
    if u8(p, SESSION_ID) > LONGEST_SESSION_ID:
        return True
    at = SESSION_ID + 1 + u8(p, SESSION_ID)
    if u8(p, 5) == TLS_CLIENT_HELLO:
        if at + 2 > captured(p):
            return False
        suites = u16(p, at)
        if suites == 0 or suites % 2 == 1:
            return True
        at += 2 + suites
        if at < captured(p) and u8(p, at) == 0:
            return True
        at += 1 + u8(p, at)
    else:
        at += 3
    if at > captured(p):
        return at > end
    if at > end or at + 1 == end:
        return True
    if at < end and at + 2 <= captured(p) and at + 2 + u16(p, at) != end:
        return True
    at += 2
    for _extension in range(MOST_EXTENSIONS):
        if at >= end:
            break
        if at + 4 > end:
            return True
        if at + 4 > captured(p):
            break
        at += 4 + u16(p, at + 2)
        if at > end:
            return True
    if u8(p, 5) == TLS_CLIENT_HELLO:
        return end != record_end
    at = end
    for _message in range(MOST_MESSAGES):
        if at == record_end:
            # Whatever is encrypted comes behind a record of another type.
            if u8(p, at) != TLS_HANDSHAKE or u8(p, at + 1) != TLS_MAJOR:
                return False
            record_end = at + TLS_HEADER + u16(p, at + 3)
            at += TLS_HEADER
        if at + 4 > record_end or at + 4 > captured(p):
            return False
        kind = u8(p, at)
        size = u8(p, at + 1) * 65536 + u16(p, at + 2)
        if kind not in AFTER_SERVER_HELLO:
            return True
        chain = 3 + u8(p, at + 4) * 65536 + u16(p, at + 5)
        if kind == CERTIFICATE and at + 7 <= captured(p) and chain != size:
            return True
        at += 4 + size
    return False
