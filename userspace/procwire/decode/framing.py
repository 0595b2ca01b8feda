"""Where messages end: the length functions of the protocols that say it in a header.

A length says how long the whole message is, and how much of it rules judge; the rest is passed over
and never kept. Text protocols end their heads with an empty line: http_framing.py.
"""

from __future__ import annotations

from typing import NamedTuple

from procwire import layers
from procwire.compiled.jit import fused
from procwire.decode.http_start import begins_http, begins_method
from procwire.decode.stream_table import (
    GOES_ON,
    MESSAGE_ROOM,
    REQUESTS,
    SEALED,
    SURE,
    UNBROKEN,
)
from procwire.layers import (
    SSL_2,
    TLS_ALERT,
    TLS_CHANGE_CIPHER_SPEC,
    TLS_DATA,
    TLS_FIRST_TYPE,
    TLS_HANDSHAKE,
    TLS_HEADER,
    TLS_LARGEST,
    TLS_LAST_MINOR,
    TLS_LAST_TYPE,
    TLS_MAJOR,
)
from procwire.words import Span, u8, u16, u32

_DNS_PREFIX, _DNS_HEADER = 2, 12
_DNP3_START, _DNP3_HEADER, _DNP3_LEAST, _DNP3_BLOCK = 0x0564, 10, 5, 16
_HTTP_HEADER, _LINE_HEADER = 4, 4
_SMB_HEADER, _SMB_TYPES = 4, (0x81, 0x85)
_SSH_HEADER, _SSH_COUNTED_FROM, _SSH_COUNTED, _SSH_NEWKEYS = 6, 4, (12, 1 << 18), 21
_PRINTABLE = (32, 126)

HEADER_SIZES = (
    (layers.DNS, _DNS_PREFIX),
    (layers.MODBUS, layers.MODBUS_HEADER),
    (layers.DNP3, 3),
    (layers.TLS, TLS_HEADER),
    (layers.HTTP1, _HTTP_HEADER),
    (layers.SMB, _SMB_HEADER),
    (layers.SMTP, _LINE_HEADER),
    (layers.SSH, _LINE_HEADER),
    (layers.SSH_PACKET, _SSH_HEADER),
)
"""Layer -> bytes after which it is known whether a message begins, and its length if it has one."""


class Frame(NamedTuple):
    """size: bytes of the whole message; wanted: those that are looked at; prefix: those of them
    that precede what is judged, or all if nothing is; goes_on: whether the next message can begin
    behind it."""

    size: int
    wanted: int
    prefix: int
    goes_on: bool


@fused
def header_size(layer: int) -> int:
    """As in HEADER_SIZES; 0 for a layer that is not read from streams."""
    for known, size in HEADER_SIZES:
        if layer == known:
            return size
    return 0


@fused
def begins_message(layer: int, p: Span, marks: int) -> bool:
    """Whether a message of the layer begins at `p`, of which header_size() bytes are there. What
    follows a message of a protocol that is sure is judged even if it is none; where requests come,
    one may be by any method."""
    if layer == layers.HTTP1:
        return begins_http(p) or bool(marks & REQUESTS and begins_method(p))
    if layer == layers.DNS:
        return u16(p, 0) >= _DNS_HEADER or marks & GOES_ON != 0
    if layer == layers.MODBUS:
        counted = u16(p, 4)
        possible = layers.MODBUS_FEWEST <= counted <= layers.MODBUS_MOST
        fits = possible and counted == p.length - layers.MODBUS_COUNTED_FROM
        # In the middle of a stream two zeros may stand anywhere.
        likely = u16(p, 2) == 0 and counted < layers.MODBUS_LENGTHS
        return bool(likely or fits or marks & SURE)
    if layer == layers.DNP3:
        return u16(p, 0) == _DNP3_START
    if layer == layers.SMB:
        return u8(p, 0) == 0 or _SMB_TYPES[0] <= u8(p, 0) <= _SMB_TYPES[1]
    if layer == layers.SSH_PACKET:
        # A server may refuse with a line of text.
        return not _PRINTABLE[0] <= u8(p, 0) <= _PRINTABLE[1]
    return bool(marks & SURE or _is_record(p) or u16(p, 0) >= SSL_2 or u8(p, 0) == TLS_HANDSHAKE)


@fused
def frame(layer: int, p: Span, marks: int) -> Frame:
    """The length of the message at `p`, of which header_size() bytes are there."""
    if layer == layers.DNS:
        size = _DNS_PREFIX + u16(p, 0)
        return Frame(size, min(size, MESSAGE_ROOM), _DNS_PREFIX, True)
    if layer == layers.MODBUS:
        counted = u16(p, 4)
        possible = layers.MODBUS_FEWEST <= counted <= layers.MODBUS_MOST
        size = layers.MODBUS_COUNTED_FROM + counted if possible else layers.MODBUS_HEADER
        return Frame(size, size, 0, possible)
    if layer == layers.DNP3:
        return _frame_dnp3(p)
    if layer == layers.SMB:
        return _frame_smb(p)
    if layer == layers.SSH_PACKET:
        return _frame_ssh(p)
    return _frame_tls(p, marks)


@fused
def _frame_dnp3(p: Span) -> Frame:
    """IEEE 1815-2012 9.2.4: a check follows the header and each block of up to 16 bytes."""
    data = u8(p, 2) - _DNP3_LEAST
    if data < 0:
        return Frame(_DNP3_HEADER, _DNP3_HEADER, 0, False)
    size = _DNP3_HEADER + data + 2 * ((data + _DNP3_BLOCK - 1) // _DNP3_BLOCK)
    return Frame(size, size, 0, True)


@fused
def _frame_smb(p: Span) -> Frame:
    """RFC 1002 4.3.1; MS-SMB2 2.1 has 24 bits for the length. Other packets than messages open the
    session or keep it alive."""
    size = _SMB_HEADER + u8(p, 1) * 65536 + u16(p, 2)
    if u8(p, 0) != 0:
        return Frame(size, _SMB_HEADER, size, True)
    return Frame(size, min(size, MESSAGE_ROOM), 0, True)


@fused
def _frame_ssh(p: Span) -> Frame:
    """RFC 4253 section 6, before encryption. Whoever counts otherwise cannot be followed."""
    counted = u32(p, 0)
    if not _SSH_COUNTED[0] <= counted <= _SSH_COUNTED[1]:
        return Frame(_SSH_HEADER, _SSH_HEADER, 0, False)
    size = _SSH_COUNTED_FROM + counted
    return Frame(size, min(size, MESSAGE_ROOM), 0, True)


@fused
def _frame_tls(p: Span, marks: int) -> Frame:
    """RFC 8446 5.1. Of what is encrypted only the header says anything; behind an alert the
    connection may go on without TLS, and behind a hello of SSL 2.0 with another framing."""
    kind, size = u8(p, 0), TLS_HEADER + u16(p, 3)
    if u16(p, 0) >= SSL_2 and marks & GOES_ON:
        # Not behind a record; but what began in the middle of a stream may go on as anything.
        return Frame(TLS_HEADER, TLS_HEADER, 0 if marks & UNBROKEN else TLS_HEADER, False)
    if u16(p, 0) >= SSL_2:
        # None is as short as the header of a record, whatever its length says.
        size = max(TLS_HEADER, 2 + u16(p, 0) - SSL_2)
        return Frame(size, min(size, MESSAGE_ROOM), 0, False)
    if not _is_record(p) or size > TLS_HEADER + TLS_LARGEST:
        hello = kind == TLS_HANDSHAKE and TLS_HEADER < size <= TLS_HEADER + TLS_LARGEST
        return Frame(size, min(size, MESSAGE_ROOM) if hello else TLS_HEADER, 0, False)
    if kind == TLS_DATA:
        return Frame(size, TLS_HEADER, TLS_HEADER, True)
    sealed = marks & SEALED and kind == TLS_HANDSHAKE
    wanted = TLS_HEADER if sealed else min(size, MESSAGE_ROOM)
    return Frame(size, wanted, 0, kind != TLS_ALERT)


@fused
def behind_sealed(p: Span, skip: int) -> int:
    """Of TLS, how many bytes are to be passed over behind `p`, of which `skip` belong to what came
    before; -1 if more begins in it than records of data, of whose header nothing is to be said."""
    at = skip
    while at < p.captured:
        rest = Span(p.data, p.start + at, p.captured - at, p.captured - at)
        size = u16(rest, 3)
        if u8(rest, 0) != TLS_DATA or not _is_record(rest):
            return -1
        if rest.captured < TLS_HEADER or size > TLS_LARGEST:
            return -1
        at += TLS_HEADER + size
    return at - p.captured


@fused
def _is_record(p: Span) -> bool:
    kind = u8(p, 0)
    return (
        TLS_FIRST_TYPE <= kind <= TLS_LAST_TYPE
        and u8(p, 1) == TLS_MAJOR
        and u8(p, 2) <= TLS_LAST_MINOR
    )


@fused
def seals(layer: int, p: Span) -> bool:
    """Whether what follows the message `p` in its direction is encrypted (RFC 5246 7.1, RFC 4253
    7.3)."""
    if layer == layers.SSH_PACKET:
        return u8(p, _SSH_HEADER - 1) == _SSH_NEWKEYS
    return layer == layers.TLS and u8(p, 0) == TLS_CHANGE_CIPHER_SPEC and _is_record(p)
