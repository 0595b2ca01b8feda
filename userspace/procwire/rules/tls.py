"""TLS records and the messages that pass before encryption (RFC 8446, RFC 5246, RFC 6520). A rule
sees one record, as its stream carries it, of encrypted ones the header; one that follows another
has no enclosing header. In Suricata it sees the segment that begins with a record, and all in it.
A client that a server answers with TLS, and that sent no record, is observed by decode/spoken.py.

Encrypted records look random, so a message is read only where several fields say what it is.
"""

from procwire.rule import rule
from procwire.words import captured, length, u8, u16

FIRST_TYPE, ALERT, HANDSHAKE, LAST_TYPE = 20, 21, 22, 24
HEARTBEAT = LAST_TYPE
NEVER_EMPTY = (FIRST_TYPE, ALERT, HANDSHAKE)
MAJOR, LAST_MINOR = 3, 4
HEADER = 5
MOST_RECORDS = 64
# RFC 5246 6.2.3 allows more of an encrypted record than later versions do.
LARGEST_PLAIN, LARGEST_ENCRYPTED = 2**14, 2**14 + 2048
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE = 1, 2, 11
HELLOS = (CLIENT_HELLO, SERVER_HELLO)
# What servers send in the clear behind it: RFC 5246 7.4, RFC 5077, RFC 6066, RFC 4680.
AFTER_SERVER_HELLO = (4, CERTIFICATE, 12, 13, 14, 22, 23)
# IANA, TLS HandshakeType: what may be sent in the clear. The others are encrypted (EndOfEarlyData,
# EncryptedExtensions, Finished, KeyUpdate), of DTLS alone, or none. 6 was a retry in drafts of 1.3.
MESSAGES = (0, 1, 2, 4, 6, *range(CERTIFICATE, 17), 21, 22, 23)
MOST_MESSAGES, MOST_EXTENSIONS = 8, 64
SMALLEST_HELLO = 47  # version, random, empty session, suite and compression of a server
SESSION_ID, LONGEST_SESSION_ID = 43, 32
SSL_2 = 0x8000  # set in the length of a header of two bytes
SSL_2_SERVER_HELLO, SSL_2_HELLO, SSL_2_VERSION = 4, 13, 0x0002
SSL_2_VERSIONS = (SSL_2_VERSION, 0x0300, 0x0301, 0x0302, 0x0303)
REQUEST = 1
HEARTBEAT_KINDS = (REQUEST, 2)
# Type, length and 16 bytes of padding; with the 16 bytes that authenticate it, if encrypted.
SMALLEST_HEARTBEAT, SMALLEST_SEALED_HEARTBEAT = 19, 35

RANDOM = "11" * 32
HELLO_CLIENT = f"01 000029 0303 {RANDOM} 00 0002 1301 01 00"
CLIENT = f"16 0301 002d {HELLO_CLIENT}"
HELLO_SERVER = f"02 000026 0303 {RANDOM} 00 c02f 00"
SERVER = f"16 0303 002a {HELLO_SERVER}"
SEALED = "17 0303 0004 a1b2c3d4"
PADDING = "00" * 16


@rule(
    id="tls.record_bad",
    sid=9101401,
    title="TLS record of an unknown type or version, or of an impossible length",
    reference="RFC 8446 5.1; RFC 5246 6.2, E.1; RFC 6176 section 3",
    needs=5,
    at=(0, 16),
    suricata=(
        "app.tls.invalid_record_type",
        "app.tls.invalid_record_version",
        "app.tls.invalid_record_length",
        "app.tls.invalid_tls_header",
        "app.tls.invalid_ssl_record",
    ),
    fires_on=[
        f"{SERVER} 63 0303 0004 a1b2c3d4",
        f"{SERVER} 16 0403 0004 a1b2c3d4",
        f"{SEALED} 17 0303 4801 a1b2c3d4",
        "17 0303 4801 a1b2c3d4",
        f"{SEALED} 16 0303 0000 {SEALED}",
        f"16 7f01 002d {HELLO_CLIENT}",
        f"16 0301 4001 01 003ffd 0303 {RANDOM}",
        f"15 0303 0000 {SEALED}",
        f"16 0301 002a {HELLO_SERVER}",
        "8013 01 00 01 0002",
        f"c000 01bb | 8013 04 00 01 0002 0001 0003 0004 30 010080 {'22' * 4}",
        f"16 0303 002a {HELLO_SERVER.replace('0303', '0403')}",
        f"16 0301 002d {HELLO_CLIENT.replace('0303', 'fe03')}",
    ],
    silent_on=[
        CLIENT,
        f"{SERVER} {SEALED}",
        f"{SERVER} 17 0303 4800 a1b2",
        f"{SERVER} 17 03",
        f"17 0303 0000 {SEALED}",
        "c000 01bb | 17 0303 4801 a1b2c3d4",
        "15 0303 0002 0100 32 32 36 20 6f 6b 0d 0a",
        f"16 0301 002a {HELLO_SERVER.replace('0303', '0301')}",
        "16 0303 002a 02 00d5 5555 0301 d5d5",
        f"c000 01bb | 801c 01 0002 0003 0000 0010 0700c0 {'22' * 16}",
    ],
)
def tls_record_impossible(p, outer):
    """A peer must end such a connection: what follows a record and is none only looks like TLS. A
    server names one version in its hello and the record around it, and all have one major number
    (RFC 8446 4.1.2); one that says hello in SSL 2.0 goes on without TLS, as may any behind an
    alert. A first length may be chance; without an enclosing header, the span begins behind a
    record."""
    if u16(p, 0) >= SSL_2:
        if length(outer) == 0:
            return True
        fields = SSL_2_HELLO + u16(p, 7) + u16(p, 9) + u16(p, 11)
        return u8(p, 2) == SSL_2_SERVER_HELLO and u16(p, 5) == SSL_2_VERSION and fields == length(p)
    at = 0
    for _record in range(MOST_RECORDS):
        if at + HEADER > captured(p):
            return False
        kind = u8(p, at)
        size = u16(p, at + 3)
        if not FIRST_TYPE <= kind <= LAST_TYPE or u8(p, at + 1) != MAJOR:
            return True
        if u8(p, at + 2) > LAST_MINOR or size == 0 and kind in NEVER_EMPTY:
            return True
        if (at > 0 or length(outer) == 0) and size > LARGEST_ENCRYPTED:
            return True
        if kind == HANDSHAKE and u16(p, at + 5) == SERVER_HELLO * 256 and u8(p, at + 9) == MAJOR:
            fits = 4 + u16(p, at + 7) <= size and u8(p, at + SESSION_ID) <= LONGEST_SESSION_ID
            if fits and at + 11 <= captured(p) and u8(p, at + 2) != u8(p, at + 10):
                return True
        hello = kind == HANDSHAKE and u16(p, at + 5) == CLIENT_HELLO * 256
        if hello and u8(p, at + 9) == MAJOR and size > LARGEST_PLAIN:
            return True
        hello = hello or kind == HANDSHAKE and u16(p, at + 5) == SERVER_HELLO * 256
        whole = hello and 4 + u16(p, at + 7) == size and at + 10 <= captured(p)
        if whole and u8(p, at + 9) != MAJOR:
            return True
        if kind == ALERT:
            return False
        at += HEADER + size
    return False


@rule(
    id="tls.handshake_bad",
    sid=9101402,
    title="TLS hello or certificate whose fields do not fit its length, or unknown message",
    reference="RFC 8446 section 4, 5.1; RFC 5246 7.3, 7.4",
    needs=12,
    at=(0, 48),
    suricata=("app.tls.invalid_handshake_message", "app.tls.handshake_invalid_length"),
    fires_on=[
        f"16 0301 002d 01 000029 0303 {RANDOM} 21 0002 1301 01 00",
        f"16 0301 002d 01 000029 0303 {RANDOM} 00 0003 1301 01 00",
        f"16 0301 002d 01 000029 0303 {RANDOM} 00 0002 1301 09 00",
        f"16 0301 002d 01 000029 0303 {RANDOM} 00 0002 1301 00 00",
        f"16 0301 0031 01 00002d 0303 {RANDOM} 00 0002 1301 01 00 0009 0000",
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
        f"16 0301 0031 01 00002d 0303 {RANDOM} 00 0002 1301 01 00 0002 0000",
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
    if u8(p, 0) != HANDSHAKE or u8(p, 1) != MAJOR:
        return False
    record_end = HEADER + u16(p, 3)
    end = 9 + u16(p, 7)
    if u8(p, 5) == CERTIFICATE:
        chain_end = 12 + u8(p, 9) * 65536 + u16(p, 10)
        fills = u8(p, 6) == 0 and (end == record_end or chain_end == record_end)
        return fills and end != chain_end
    if u8(p, 5) not in HELLOS:
        return u8(p, 5) not in MESSAGES and u8(p, 6) == 0 and end == record_end
    if u8(p, 6) == 0 and end <= record_end and end < SMALLEST_HELLO:
        return True
    if u8(p, 6) != 0 or u8(p, 9) != MAJOR or u8(p, 10) > LAST_MINOR or end > record_end:
        return False
    if u8(p, SESSION_ID) > LONGEST_SESSION_ID:
        return True
    at = SESSION_ID + 1 + u8(p, SESSION_ID)
    if u8(p, 5) == CLIENT_HELLO:
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
    if at > end or at < end and at + 2 <= captured(p) and at + 2 + u16(p, at) != end:
        return True
    at += 2
    for _extension in range(MOST_EXTENSIONS):
        if at >= end or at + 4 > captured(p):
            break
        at += 4 + u16(p, at + 2)
        if at > end:
            return True
    if u8(p, 5) == CLIENT_HELLO:
        return end != record_end
    at = end
    for _message in range(MOST_MESSAGES):
        if at == record_end:
            # Whatever is encrypted comes behind a record of another type.
            if u8(p, at) != HANDSHAKE or u8(p, at + 1) != MAJOR:
                return False
            record_end = at + HEADER + u16(p, at + 3)
            at += HEADER
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


@rule(
    id="tls.sslv2",
    sid=9101403,
    title="Hello of SSL 2.0",
    reference="RFC 6176 section 3",
    needs=11,
    at=(0, 11),
    fires_on=[
        f"801c 01 0002 0003 0000 0010 0700c0 {'22' * 16}",
        f"801f 01 0301 0006 0000 0010 000035 0700c0 {'22' * 16}",
    ],
    silent_on=[
        CLIENT,
        f"801c 01 0002 0004 0000 0010 0700c0 {'22' * 16}",
        f"801c 02 0002 0003 0000 0010 0700c0 {'22' * 16}",
        f"801d 01 0002 0003 0000 0010 0700c0 {'22' * 16}",
    ],
)
def tls_ssl_2(p):
    """A client must not offer it, not even to lead over to a later version."""
    if u16(p, 0) != SSL_2 + length(p) - 2 or u8(p, 2) != CLIENT_HELLO:
        return False
    suites = u16(p, 5)
    fits = 11 + suites + u16(p, 7) + u16(p, 9) == length(p)
    return fits and suites > 0 and suites % 3 == 0 and u16(p, 3) in SSL_2_VERSIONS


@rule(
    id="tls.heartbeat_abuse",
    sid=9101404,
    title="TLS heartbeat that claims more payload than it has",
    reference="RFC 6520 section 4",
    severity=2,
    needs=8,
    at=(0, 8),
    suricata=(
        "app.tls.invalid_heartbeat_message",
        "app.tls.overflow_heartbeat_message",
        "app.tls.dataleak_heartbeat_mismatch",
    ),
    fires_on=[
        "18 0302 0003 01 4000",
        f"18 0302 0013 01 0001 {PADDING}",
        f"18 0303 0025 01 0022 {'41' * 34}",
        f"18 0301 0020 {'d5' * 32}",
    ],
    silent_on=[
        f"18 0303 0013 01 0000 {PADDING}",
        f"18 0303 0025 01 0012 {'41' * 18} {PADDING}",
        f"18 0303 0030 {'d5' * 48}",
        f"18 0303 0030 01 d5d5 {'d5' * 45}",
        "17 0303 0003 01 4000",
    ],
)
def tls_heartbeat_too_short(p):
    """Heartbleed: a peer that trusts the length answers with its memory. An encrypted heartbeat is
    judged by the size of its record alone."""
    size = u16(p, 3)
    if u8(p, 0) != HEARTBEAT or u8(p, 1) != MAJOR or u8(p, 2) >= LAST_MINOR:
        return False
    claimed = SMALLEST_HEARTBEAT + u16(p, 6)
    if size < SMALLEST_SEALED_HEARTBEAT:
        return u8(p, 5) not in HEARTBEAT_KINDS or claimed > size
    return u8(p, 5) == REQUEST and size < claimed <= size + 16
