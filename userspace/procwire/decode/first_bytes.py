"""What the first bytes of an end of a TCP connection can and cannot be.

By them spoken.py judges what no protocol is known by: each test is as sure as the bytes that are
there allow, and says no where more of them might tell otherwise.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.layers import (
    MODBUS_COUNTED_FROM,
    MODBUS_MOST,
    SSL_2,
    TLS_ALERT,
    TLS_CLIENT_HELLO,
    TLS_FIRST_TYPE,
    TLS_HANDSHAKE,
    TLS_HEADER,
    TLS_LAST_TYPE,
    TLS_SERVER_HELLO,
)
from procwire.words import Span, find, folded, span, token_end, u8, u16, u32

_HEADER_NEEDED = TLS_HEADER  # bytes by which a TLS record is known
_ALERT_SIZE = 2
_SSL_2_START = SSL_2 >> 8  # of a first byte
_CARRIAGE_RETURN, _LINE_FEED, _SPACE = 13, 10, 32
_MOST_EMPTY_LINES, _MOST_ZEROS = 4, 4
# HAProxy's PROXY protocol, versions 1 and 2, which comes before all else.
_PROXIED = (int.from_bytes(b"PROX", "big"), 0x0D0A0D0A)
# How HTTP/2 begins, which servers of HTTP/1 are to answer as a request (RFC 9113 3.4).
_PREFACE = int.from_bytes(b"PRI ", "big"), int.from_bytes(b"* HT", "big")
_SLASHED = folded(span(b"http/"), 0, 5)
_FEWEST_ASKED = 4  # what Modbus counts of a request that says more than its function
_CAPITALS = tuple(int.from_bytes(name, "big") for name in (b"GET ", b"HEAD", b"POST", b"PUT "))
_METHODS = tuple(folded(span(name.to_bytes(4, "big")), 0, 4) for name in _CAPITALS)


@fused
def is_no_record(message: Span) -> bool:
    """Whether no record of TLS or hello of SSL 2.0 begins like a payload that was not found to be
    one, as far as that goes."""
    if message.captured >= _HEADER_NEEDED:
        return True
    first = u8(message, 0)
    record = TLS_FIRST_TYPE <= first <= TLS_LAST_TYPE or first >= _SSL_2_START
    return message.captured == message.length and not record


@fused
def goes_before_tls(message: Span) -> bool:
    """Whether it is a hello of SSL 2.0, of which not all may have come, or HAProxy's line."""
    first = u8(message, 0)
    return (
        first >= _SSL_2_START and u8(message, 2) == TLS_CLIENT_HELLO or u32(message, 0) in _PROXIED
    )


@fused
def is_of_tls_server(message: Span) -> bool:
    """Whether a payload that was found to be TLS is surely what a server begins with: its hello, or
    an alert."""
    kind, size = u8(message, 0), u16(message, 3)
    hello = kind == TLS_HANDSHAKE and u8(message, 5) == TLS_SERVER_HELLO
    return hello or kind == TLS_ALERT and size == _ALERT_SIZE


@fused
def is_no_request(message: Span, lacks_version: bool) -> bool:
    """Whether no line of HTTP can begin like this: RFC 9112 section 3 asks for a method, which is a
    token in the right case, and a space; 2.2 lets empty lines pass before it. lacks_version: the
    line is none of HTTP if it ends here."""
    if message.captured < _HEADER_NEEDED:
        return False
    at = 0
    for _line in range(_MOST_EMPTY_LINES):
        if u8(message, at) == _CARRIAGE_RETURN and u8(message, at + 1) == _LINE_FEED:
            at += 2
    end = token_end(message, at)
    if end >= message.captured:
        return False
    preface = u32(message, 0) == _PREFACE[0] and u32(message, 4) == _PREFACE[1]
    if lacks_version and not preface and find(message, end, _LINE_FEED) < message.captured:
        return True
    return _is_lowered(message) or end == at or u8(message, end) != _SPACE


@fused
def _is_lowered(message: Span) -> bool:
    """Whether a request begins with a method in other letters than capitals."""
    return folded(message, 0, 4) in _METHODS and u32(message, 0) not in _CAPITALS


@fused
def is_behind_zeros(message: Span) -> bool:
    """Whether a response of HTTP begins behind zeros, where nothing belongs (RFC 9112 2.1, 4)."""
    at = 0
    while at < _MOST_ZEROS and u8(message, at) == 0:
        at += 1
    return at > 0 and folded(message, at, 5) == _SLASHED


@fused
def is_modbus_request(message: Span) -> bool:
    """Whether a payload is one whole message of Modbus to the byte. The few that ask by their
    function alone are left out: a line of serial Modbus could look like them."""
    counted = u16(message, 4)
    fits = counted == message.length - MODBUS_COUNTED_FROM
    return u16(message, 2) == 0 and fits and _FEWEST_ASKED <= counted <= MODBUS_MOST
