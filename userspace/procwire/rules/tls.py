"""TLS records and the messages that pass before encryption (RFC 8446, RFC 5246, RFC 6520). A rule
sees one record, as its stream carries it, of encrypted ones the header; one that follows another
has no enclosing header. In Suricata it sees the segment that begins with a record, and all in it.
A client that a server answers with TLS, and that sent no record, is observed by decode/spoken.py.

Encrypted records look random, so a message is read only where several fields say what it is.
"""

from procwire.layers import (
    SSL_2,
    TLS_ALERT,
    TLS_CHANGE_CIPHER_SPEC,
    TLS_CLIENT_HELLO,
    TLS_FIRST_TYPE,
    TLS_HANDSHAKE,
    TLS_HEADER,
    TLS_HEARTBEAT,
    TLS_LARGEST,
    TLS_LAST_MINOR,
    TLS_LAST_TYPE,
    TLS_MAJOR,
    TLS_SERVER_HELLO,
)
from procwire.rule import rule
from procwire.words import captured, length, u8, u16

NEVER_EMPTY = (TLS_CHANGE_CIPHER_SPEC, TLS_ALERT, TLS_HANDSHAKE)
MOST_RECORDS = 64
DRAFT = 0x7F  # of 1.3: servers of drafts 16 to 21 named this and the draft's number as version
LARGEST_PLAIN = 2**14  # more of an encrypted record
SESSION_ID, LONGEST_SESSION_ID = 43, 32
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
        f"16 0301 002d {HELLO_CLIENT.replace('0303', '7f14')}",
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
        f"16 0301 0028 02 000024 7f14 {RANDOM} 1301",
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
        if at + TLS_HEADER > captured(p):
            return False
        kind = u8(p, at)
        size = u16(p, at + 3)
        if not TLS_FIRST_TYPE <= kind <= TLS_LAST_TYPE or u8(p, at + 1) != TLS_MAJOR:
            return True
        if u8(p, at + 2) > TLS_LAST_MINOR or size == 0 and kind in NEVER_EMPTY:
            return True
        if (at > 0 or length(outer) == 0) and size > TLS_LARGEST:
            return True
        if (
            kind == TLS_HANDSHAKE
            and u16(p, at + 5) == TLS_SERVER_HELLO * 256
            and u8(p, at + 9) == TLS_MAJOR
        ):
            fits = 4 + u16(p, at + 7) <= size and u8(p, at + SESSION_ID) <= LONGEST_SESSION_ID
            if fits and at + SESSION_ID < captured(p) and u8(p, at + 2) != u8(p, at + 10):
                return True
        hello = kind == TLS_HANDSHAKE and u16(p, at + 5) == TLS_CLIENT_HELLO * 256
        if hello and u8(p, at + 9) == TLS_MAJOR and size > LARGEST_PLAIN:
            return True
        answer = kind == TLS_HANDSHAKE and u16(p, at + 5) == TLS_SERVER_HELLO * 256
        whole = (hello or answer) and 4 + u16(p, at + 7) == size and at + 10 <= captured(p)
        draft = answer and u8(p, at + 9) == DRAFT
        if whole and u8(p, at + 9) != TLS_MAJOR and not draft:
            return True
        if kind == TLS_ALERT:
            return False
        at += TLS_HEADER + size
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
    if u16(p, 0) != SSL_2 + length(p) - 2 or u8(p, 2) != TLS_CLIENT_HELLO:
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
    if u8(p, 0) != TLS_HEARTBEAT or u8(p, 1) != TLS_MAJOR or u8(p, 2) >= TLS_LAST_MINOR:
        return False
    claimed = SMALLEST_HEARTBEAT + u16(p, 6)
    if size < SMALLEST_SEALED_HEARTBEAT:
        return u8(p, 5) not in HEARTBEAT_KINDS or claimed > size
    return u8(p, 5) == REQUEST and size < claimed <= size + 16
