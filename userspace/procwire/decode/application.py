"""Finds the application message in a datagram or segment, by the well-known port of either end or
by its first bytes.

A port proves nothing: rules ask for a protocol's fixed fields before they judge. Of TCP a segment's
own first bytes are taken; cursor.py goes on from there through what follows in the stream.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.fields import u16, u32
from procwire.compiled.jit import fused
from procwire.decode.http_start import (
    begins_http,
    behind_line_ends,
    is_blurred_request,
    is_http_start,
    is_request_line,
    is_unfinished,
)
from procwire.decode.output import Extent, Output, add, after, emit, suspect
from procwire.words import Span
from procwire.words import u8 as w8
from procwire.words import u16 as w16
from procwire.words import u32 as w32

_OVER_UDP, _OVER_TCP = tuple(layers.UDP_PORTS.items()), tuple(layers.TCP_PORTS.items())

# The verbs that the transfer of a mail needs (RFC 5321 4.1.1, RFC 3030, 3207, 4954), in small
# letters.
_SMTP_VERBS = tuple(
    int.from_bytes(verb, "big")
    for verb in (
        b"ehlo",
        b"helo",
        b"mail",
        b"rcpt",
        b"data",
        b"bdat",
        b"rset",
        b"quit",
        b"auth",
        b"star",
    )
)
_SMTP_GREETINGS = _SMTP_VERBS[:2]  # are known on any port
_SMALL_LETTERS = 0x20202020
_ZERO, _NINE, _SPACE, _LAST_PRINTABLE = 48, 57, 32, 126

_SSH_START, _SSH_PORT = int.from_bytes(b"SSH-", "big"), 22

# What follows a NetBIOS session header: SMB 1, 2 and 3, 3 encrypted, 3.1.1 compressed.
_SMB_HEADER, _SMB_STARTS = 8, (0xFF534D42, 0xFE534D42, 0xFD534D42, 0xFC534D42)

_NETBIOS, _SESSION_REQUEST, _SESSION_REFUSED = 139, 0x81, 0x83

_DNS_PREFIX, _DNS_HEADER = 2, 12
_DNS_NEEDED = 16  # bytes by which another protocol would be known
_DNP3_START = 0x0564
_OF_NUMBERS = (layers.DNS, layers.MODBUS, layers.DNP3)

_TLS_HELLOS = (layers.TLS_CLIENT_HELLO, layers.TLS_SERVER_HELLO)
_TLS_FIRST_VERSION = layers.TLS_MAJOR << 8
_TLS_LAST_VERSION = _TLS_FIRST_VERSION + layers.TLS_LAST_MINOR
_SSL_2_COUNTED_FROM, _SSL_2_HELLOS = 2, (layers.TLS_CLIENT_HELLO, 4)
_SSL_2_FIELDS, _SSL_2_SUITE = 11, 3


@fused
def decode_datagram_payload(
    data: NDArray[np.uint8], datagram: Extent, header: int, row: int, span: int, output: Output
) -> None:
    """Emit the message behind the `header` bytes of the intact UDP datagram of row `span`."""
    source, destination = u16(data, datagram.start, True), u16(data, datagram.start + 2, True)
    layer = _layer_of_ports(source, destination, _OVER_UDP)
    message = after(datagram, header)
    if layer != 0 and message.captured > 0:
        emit(data, output, row, layer, message, span)


@fused
def decode_segment_payload(
    data: NDArray[np.uint8], segment: Extent, header: int, row: int, span: int, output: Output
) -> None:
    """Emit the message that begins behind the `header` bytes of the intact TCP segment of row
    `span`, if one does."""
    source, destination = u16(data, segment.start, True), u16(data, segment.start + 2, True)
    message = after(segment, header)
    begun = Span(data, message.start, message.captured, message.length)
    layer = layer_of_start(begun, source, destination, False)
    if layer == 0:
        return
    if layer == layers.DNS:
        message = after(message, _DNS_PREFIX)
    begins = add(output, row, layer, message, span)
    if output.segments:
        suspect(output, begins)


@fused
def layer_of_start(message: Span, source: int, destination: int, from_start: bool) -> int:
    """The layer of the message that the bytes `message` of a TCP connection begin with, 0 if none
    is known. source, destination: ports; from_start: they are the first that their sender sent, so
    less has to be said by the bytes and more is by the ports.
    """
    data, extent = message.data, Extent(message.start, message.captured, message.length)
    layer = _layer_of_ports(source, destination, _OVER_TCP)
    if (
        (layer == layers.DNS and _fills_segment(data, extent))
        or (layer == layers.MODBUS and _begins_modbus(data, extent))
        or (layer == layers.DNP3 and _begins_dnp3(data, extent))
    ):
        return layer
    known = _layer_of_start(data, extent) if message.captured >= 4 else 0
    # Numbers of DNS and Modbus may look like the header of a record.
    if known == layers.TLS and layer in _OF_NUMBERS and not _is_whole_hello(data, extent):
        known = 0
    if message.captured < 4:
        return 0
    if known == 0 and layer == layers.SMTP and _continues_smtp(message):
        known = layers.SMTP
    if known == 0 and from_start:
        known = _layer_by_port(message, source, destination)
    if known == 0 and from_start and layer == layers.DNS and _may_be_dns(message):
        known = layers.DNS
    return int(known)


@fused
def _layer_by_port(message: Span, source: int, destination: int) -> int:
    """The layer of what may come before a protocol can be known: empty lines before a request of
    HTTP (RFC 9112 2.2), the packets that open a session of NetBIOS (RFC 1002 4.3.2 to 4.3.5), and
    lines before a server of SSH identifies itself; or of a request whose line is not as it has to
    be."""
    at = behind_line_ends(message)
    rest = Span(message.data, message.start + at, message.captured - at, message.length - at)
    if begins_http(rest) or is_blurred_request(rest):
        return layers.HTTP1
    first, text = w8(message, 0), _SPACE <= w8(message, 0) <= _LAST_PRINTABLE
    if _NETBIOS in (source, destination) and _SESSION_REQUEST <= first <= _SESSION_REFUSED:
        return layers.SMB
    return layers.SSH if source == _SSH_PORT and text else 0


@fused
def _layer_of_start(data: NDArray[np.uint8], message: Extent) -> int:
    """The layer of a message that is known by its first bytes, four at least, on any port; or 0."""
    at = message.start
    start = u32(data, at, True)
    if is_http_start(start):
        return layers.HTTP1
    if start == _SSH_START:
        return layers.SSH
    if _begins_tls(data, message):
        return layers.TLS
    if message.captured < _SMB_HEADER:
        return 0
    if is_request_line(Span(data, at, message.captured, message.length)):
        return layers.HTTP1
    if data[at] == 0 and u32(data, at + 4, True) in _SMB_STARTS:
        return layers.SMB
    greets = (start | _SMALL_LETTERS) in _SMTP_GREETINGS and data[at + 4] == _SPACE
    return layers.SMTP if greets else 0


@fused
def is_mail_verb(line: Span) -> bool:
    """Whether the first four bytes are those of a command that the transfer of a mail needs."""
    return (w32(line, 0) | _SMALL_LETTERS) in _SMTP_VERBS


@fused
def _continues_smtp(message: Span) -> bool:
    """A verb, or the digit of a reply with printable text behind it."""
    if is_mail_verb(message):
        return True
    if not _ZERO <= w8(message, 0) <= _NINE:
        return False
    text = _SPACE <= w8(message, 1) <= _LAST_PRINTABLE
    return bool(text and _SPACE <= w8(message, 2) <= _LAST_PRINTABLE)


@fused
def _layer_of_ports(source: int, destination: int, ports: tuple[tuple[int, int], ...]) -> int:
    """The layer of the destination port, or of the source port; 0 if neither is listed."""
    for port, layer in ports:
        if destination == port:
            return layer
    for port, layer in ports:
        if source == port:
            return layer
    return 0


@fused
def _fills_segment(data: NDArray[np.uint8], message: Extent) -> bool:
    """RFC 1035 4.2.2: two bytes of length precede a message."""
    if message.captured < _DNS_PREFIX or message.length < _DNS_PREFIX + _DNS_HEADER:
        return False
    return u16(data, message.start, True) == message.length - _DNS_PREFIX


@fused
def _may_be_dns(message: Span) -> bool:
    """Whether as much as another protocol would be known by, or all of a message, has come."""
    size = w16(message, 0)
    enough = message.captured >= min(_DNS_PREFIX + size, _DNS_NEEDED)
    return enough and size >= _DNS_HEADER and not is_unfinished(message)


@fused
def _begins_modbus(data: NDArray[np.uint8], message: Extent) -> bool:
    """One of the header's two fixed points holds, so that the other can be judged."""
    if message.captured < layers.MODBUS_HEADER:
        return False
    protocol, size = u16(data, message.start + 2, True), u16(data, message.start + 4, True)
    return protocol == 0 or size == message.length - layers.MODBUS_COUNTED_FROM


@fused
def _begins_dnp3(data: NDArray[np.uint8], message: Extent) -> bool:
    return message.captured >= 2 and u16(data, message.start, True) == _DNP3_START


@fused
def _begins_tls(data: NDArray[np.uint8], message: Extent) -> bool:
    """A record's header, on any port; or with another version, a hello that fills its record; or
    a hello of SSL 2.0 that fills the segment, or a client's whose fields fill it."""
    if message.captured < layers.TLS_HEADER:
        return False
    at = message.start
    kind, version = data[at], u16(data, at + 1, True)
    if u16(data, at, True) >= layers.SSL_2:
        whole = u16(data, at, True) - layers.SSL_2 == message.length - _SSL_2_COUNTED_FROM
        return whole and data[at + 2] in _SSL_2_HELLOS or _begins_ssl_2(data, message)
    if not layers.TLS_FIRST_TYPE <= kind <= layers.TLS_LAST_TYPE:
        return False
    return _TLS_FIRST_VERSION <= version <= _TLS_LAST_VERSION or _is_whole_hello(data, message)


@fused
def _begins_ssl_2(data: NDArray[np.uint8], message: Extent) -> bool:
    """A client's hello whose suites, session and challenge fill the length that it says (RFC 5246
    E.2)."""
    at = message.start
    if message.captured < _SSL_2_FIELDS or data[at + 2] != _SSL_2_HELLOS[0]:
        return False
    suites = u16(data, at + 5, True)
    size = _SSL_2_FIELDS + suites + u16(data, at + 7, True) + u16(data, at + 9, True)
    fills = size == u16(data, at, True) - layers.SSL_2 + _SSL_2_COUNTED_FROM
    return bool(fills and suites > 0 and suites % _SSL_2_SUITE == 0)


@fused
def _is_whole_hello(data: NDArray[np.uint8], message: Extent) -> bool:
    """Whether a hello that fills its record begins the message, of whatever version."""
    at = message.start
    if message.captured < layers.TLS_HEADER + 4 or data[at] != layers.TLS_HANDSHAKE:
        return False
    fills = u32(data, at + layers.TLS_HEADER, True) & 0xFFFFFF == u16(data, at + 3, True) - 4
    return bool(fills and data[at + layers.TLS_HEADER] in _TLS_HELLOS)
