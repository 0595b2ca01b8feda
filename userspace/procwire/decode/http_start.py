"""How a message of HTTP/1 begins: by a method in common use, a version, or any request line.

A sender that cares for no rule divides the line by other blanks, and puts some before it.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.words import Span, find, token_end, u8, u32

# The first four bytes of a request by its method (IANA, HTTP Methods, those in common use), or of a
# response. HTTP is found on any port, and any other token is a method (RFC 9110 9.1) where the line
# ends in a version.
_STARTS = tuple(
    int.from_bytes(start, "big")
    for start in (
        b"GET ",
        b"POST",
        b"HEAD",
        b"PUT ",
        b"DELE",
        b"OPTI",
        b"TRAC",
        b"CONN",
        b"PATC",
        b"PROP",
        b"HTTP",
    )
)
_NAME = int.from_bytes(b"http", "big")  # wrong in small letters, and known all the same
_VERSION_1 = int.from_bytes(b"/1.", "big")

_SMALL_LETTERS = 0x20202020
_ZERO, _NINE, _SPACE, _LINE_FEED, _CARRIAGE_RETURN = 48, 57, 32, 10, 13
_BLANKS, _MOST_BLANKS = (9, 11, 12, _SPACE), 3  # a method has one more byte
_MOST_LINE_ENDS = 12  # a known start needs four bytes more
_LONGEST_METHOD = 32  # IANA has one of 17


@fused
def is_http_start(start: int) -> bool:
    """Whether a message's first four bytes, as a number, begin one of HTTP."""
    return start in _STARTS or start | _SMALL_LETTERS == _NAME


@fused
def begins_http(message: Span) -> bool:
    """Whether this is the beginning of an HTTP message: by its first four bytes, or by its first
    line if that is there."""
    known = is_http_start(u32(message, 0))
    return message.captured >= 4 and (known or is_request_line(message))


@fused
def is_sound_start(message: Span) -> bool:
    """Whether what begins_http() is a message by its first line, too: a version and three digits of
    a status, or what is_request_line() tells."""
    if u32(message, 0) | _SMALL_LETTERS != _NAME:
        return is_request_line(message)
    sound = u32(message, 4) >> 8 == _VERSION_1 and u8(message, 8) in _BLANKS
    for at in range(9, 12):
        sound = sound and _ZERO <= u8(message, at) <= _NINE
    return bool(sound)


@fused
def behind_line_ends(message: Span) -> int:
    """Where a request begins behind the empty lines that may precede it (RFC 9112 2.2)."""
    at = 0
    while at < _MOST_LINE_ENDS and u8(message, at) in (_CARRIAGE_RETURN, _LINE_FEED):
        at += 1
    return at


@fused
def is_unfinished(message: Span) -> bool:
    """Whether a request of any method may begin like this, of which the first line goes on."""
    start, size = _behind_blanks(message, behind_line_ends(message)), message.captured
    end = token_end(message, start)
    begun = end - start <= _LONGEST_METHOD if end == size else u8(message, end) in _BLANKS
    return begun and (end > start or end == size) and find(message, end, _LINE_FEED) == size


@fused
def ends_in_request_line(sent: Span) -> bool:
    """Whether all that was sent is a part of a request's first line, if it is one of HTTP at all:
    it may be any text."""
    start, end = u32(sent, 0), token_end(sent, 0)
    asks = is_http_start(start) and start | _SMALL_LETTERS != _NAME and u8(sent, end) == _SPACE
    return asks and find(sent, end, _LINE_FEED) == sent.captured


@fused
def begins_method(message: Span) -> bool:
    """Whether the first four bytes are those of a token, or of one and a blank. Many pass over
    blanks before it, and take any blank for a space (RFC 9112 section 3)."""
    start = _behind_blanks(message, 0)
    end = token_end(message, start)
    return bool(end > start and (end >= 4 or u8(message, end) in _BLANKS))


@fused
def is_blurred_request(message: Span) -> bool:
    """Whether the first line is what begins_method() tells, up to a version of HTTP/1."""
    return begins_method(message) and u8(message, _before_version(message)) in _BLANKS


@fused
def _behind_blanks(message: Span, at: int) -> int:
    most = at + _MOST_BLANKS
    while at < most and u8(message, at) in _BLANKS:
        at += 1
    return at


@fused
def is_request_line(message: Span) -> bool:
    """Whether a line that begins with a token and a space ends in a version of HTTP/1, and has more
    than these: what is no more may be the end of a line."""
    end = token_end(message, 0)
    if end == 0 or u8(message, end) != _SPACE:
        return False
    before = _before_version(message)
    return before > end and u8(message, before) == _SPACE


@fused
def _before_version(message: Span) -> int:
    """The byte before the version of HTTP/1 that ends the first line; -1 if none does."""
    end = find(message, 0, _LINE_FEED)
    if end >= message.captured:
        return -1
    if u8(message, end - 1) == _CARRIAGE_RETURN:
        end -= 1
    if u32(message, end - 4) >> 8 != _VERSION_1 or not _ZERO <= u8(message, end - 1) <= _NINE:
        return -1
    return end - 9 if u32(message, end - 8) | _SMALL_LETTERS == _NAME else -1
