"""How the head of an HTTP/1 message tells where its body ends (RFC 9112 section 6.3)."""

from __future__ import annotations

from typing import NamedTuple

from procwire.compiled.byte_search import may_hold
from procwire.compiled.jit import fused
from procwire.decode.stream_table import UNTIL_CLOSE
from procwire.words import Span, find, find_before, folded, span, u8, u32

LF, CR, SP, TAB, COLON = 10, 13, 32, 9, 58
_ZERO, _NINE, _HYPHEN = 48, 57, 45
_MOST_FIELDS, _MOST_SPACES, _MOST_DIGITS, _MOST_FOLDS = 100, 16, 15, 8
_LARGEST_CHUNK = 0x7FFFFFFF  # larger ones are judged
_SLASHED = folded(span(b"http/"), 0, 5)
_VERSION_1 = folded(span(b"http/1."), 0, 7)
_CONTENT_LENGTH = folded(span(b"content-length"), 0, 14)
_TRANSFER_ENCODING = folded(span(b"transfer-encoding"), 0, 17)
_CHUNKED = folded(span(b"chunked"), 0, 7)
_HEAD, _CONNECT = int.from_bytes(b"HEAD", "big"), int.from_bytes(b"CONN", "big")

NO_BODY, COUNTED, CHUNKED, UNKNOWN, TUNNEL = range(5)
"""What follows a head. UNKNOWN: a length that is none; TUNNEL: no HTTP any more."""
OTHER_METHOD, HEAD, CONNECT, UNSEEN_METHOD = range(4)
IN_LINE, AFTER_LF, AFTER_LF_CR, HEAD_ENDS = range(4)
"""How far the empty line that ends a head is in sight."""


class Body(NamedTuple):
    """kind: one of those above; size: bytes of a COUNTED one."""

    kind: int
    size: int


@fused
def next_line_state(state: int, value: int) -> int:
    """Where byte `value` leads. Many end their lines with a bare LF (RFC 9112 2.2)."""
    if value == LF:
        return IN_LINE + 1 if state == IN_LINE else HEAD_ENDS
    return AFTER_LF_CR if value == CR and state == AFTER_LF else IN_LINE


@fused
def pass_lines(p: Span, at: int, limit: int, state: int) -> tuple[int, int]:
    """From byte `at` on, in that state, to behind the empty line that ends a head, or to `limit`:
    (where that is, the state there)."""
    while at < limit:
        if state == IN_LINE:
            at = find_before(p, at, limit, LF)
            if at == limit:
                break
        state = next_line_state(state, u8(p, at))
        at += 1
        if state == HEAD_ENDS:
            break
    return at, state


@fused
def is_response(head: Span) -> bool:
    """Whether a head is that of a response."""
    return folded(head, 0, 5) == _SLASHED


@fused
def is_interim(head: Span) -> bool:
    """Whether a response announces another one (RFC 9110 15.2)."""
    return _status(head) // 100 == 1 and _status(head) != 101


@fused
def method_of(head: Span) -> int:
    """What of a request's method matters to the response's body."""
    method = u32(head, 0)
    if method == _HEAD:
        return HEAD
    return CONNECT if method == _CONNECT else OTHER_METHOD


@fused
def _status(head: Span) -> int:
    at, number = find(head, 0, SP) + 1, 0
    for i in range(3):
        value = u8(head, at + i)
        if not _ZERO <= value <= _NINE:
            return 0
        number = number * 10 + value - _ZERO
    return number


@fused
def body_of_response(head: Span, method: int) -> Body:
    """The body behind the head of a response to `method`."""
    status = _status(head)
    if status == 101 or (method == CONNECT and status // 100 == 2):
        return Body(TUNNEL, 0)
    if method == HEAD or status // 100 == 1 or status == 204 or status == 304:
        return Body(NO_BODY, 0)
    body = _body_by_fields(head)
    return Body(COUNTED, UNTIL_CLOSE) if body.kind == NO_BODY else body


@fused
def body_of_request(head: Span) -> Body:
    """The body behind the head of a request. Without a version there is none (HTTP/0.9)."""
    end = find(head, 0, LF)
    if folded(head, end - 9, 7) != _VERSION_1 and folded(head, end - 8, 7) != _VERSION_1:
        return Body(UNKNOWN, 0)
    return _body_by_fields(head)


@fused
def _body_by_fields(head: Span) -> Body:
    end = head.start + head.captured
    told = may_hold(head.data, head.start, end, b"content-length")
    if not told and not may_hold(head.data, head.start, end, b"transfer-encoding"):
        return Body(NO_BODY, 0)
    at = find(head, 0, LF) + 1
    found, coding = Body(NO_BODY, 0), NO_BODY
    for _line in range(_MOST_FIELDS):
        end = find(head, at, LF)
        if end == head.captured:
            break
        name = _coding_name(head, at, end)
        if name >= 0:
            if coding != CHUNKED:
                last = _folded_end(head, end)
                coding = CHUNKED if _is_chunked(head, name + 17, last) else UNKNOWN
        elif u8(head, at + 14) == COLON and folded(head, at, 14) == _CONTENT_LENGTH:
            size = _number(head, at + 15, end)
            if size < 0 or (found.kind == COUNTED and size != found.size):
                found = Body(UNKNOWN, 0)
            elif found.kind == NO_BODY:
                found = Body(COUNTED, size)
        at = end + 1
    return found if coding == NO_BODY else Body(coding, 0)


@fused
def _coding_name(head: Span, at: int, end: int) -> int:
    """Where the line in bytes `at` to `end` names the field of codings, -1 if it does not. Readers
    differ: it counts also where the line is folded or the name comes behind a bare CR."""
    if u8(head, end - 1) == CR:
        bare = find_before(head, at + 1, end, CR)
        if bare < end - 1 and _names_coding(head, bare + 1):
            return bare + 1
    for _blank in range(_MOST_SPACES):
        if u8(head, at) not in (SP, TAB, CR):
            break
        at += 1
    return at if _names_coding(head, at) else -1


@fused
def _names_coding(head: Span, at: int) -> bool:
    # Most names are told by one byte of them.
    return u8(head, at + 8) == _HYPHEN and folded(head, at, 17) == _TRANSFER_ENCODING


@fused
def _folded_end(head: Span, end: int) -> int:
    """The end of the last line that the one which ends at `end` goes on in (RFC 9112 5.2)."""
    for _fold in range(_MOST_FOLDS):
        if u8(head, end + 1) not in (SP, TAB):
            break
        end = find(head, end + 1, LF)
    return end


@fused
def _is_chunked(head: Span, at: int, end: int) -> bool:
    """Whether the codings in bytes `at` to `end` begin or end with chunks, as readers differ about
    what surrounds that word, the colon before it included."""
    for _space in range(_MOST_SPACES):
        if u8(head, at) not in (SP, TAB, CR, LF, COLON):
            break
        at += 1
    for _space in range(_MOST_SPACES):
        if u8(head, end - 1) not in (SP, TAB, CR, LF):
            break
        end -= 1
    return bool(folded(head, at, 7) == _CHUNKED or folded(head, end - 7, 7) == _CHUNKED)


@fused
def _number(head: Span, at: int, end: int) -> int:
    """The decimal number that fills bytes `at` to `end` up to blanks; -1 if that is none."""
    for _space in range(_MOST_SPACES):
        if u8(head, at) not in (SP, TAB):
            break
        at += 1
    number, digits = 0, 0
    for _digit in range(_MOST_DIGITS):
        value = u8(head, at)
        if not _ZERO <= value <= _NINE:
            break
        number = number * 10 + value - _ZERO
        digits += 1
        at += 1
    for _space in range(_MOST_SPACES):
        if u8(head, at) not in (SP, TAB, CR):
            break
        at += 1
    return number if digits > 0 and at >= end else -1


@fused
def chunk_size(line: Span) -> int:
    """The size that a chunk's line says if it says nothing else, -1 otherwise. line: from the end
    of what precedes it, an empty line behind a chunk, to its LF (RFC 9112 7.1)."""
    at = 0
    if u8(line, 0) == CR:
        at = 1
    if u8(line, at) == LF:
        at += 1
    size, behind = _digits(line, at)
    end = behind + 1 if u8(line, behind) == CR else behind
    said = behind > at and size <= _LARGEST_CHUNK and end == line.captured - 1
    return size if said else -1


@fused
def has_line_ends(line: Span, first: bool) -> bool:
    """Whether a chunk's line ends with CR LF, and begins with these if it is not the first."""
    empty = u8(line, 0) == CR and u8(line, 1) == LF
    begun = u8(line, 0) != LF and u8(line, 0) != CR if first else empty
    return begun and line.captured > 2 and u8(line, line.captured - 2) == CR


@fused
def is_behind_line(line: Span) -> bool:
    """Whether a chunk's line begins with the end of what precedes it, be it a bare LF."""
    return u8(line, 0) == LF or (u8(line, 0) == CR and u8(line, 1) == LF)


@fused
def chunk_size_of_any(line: Span) -> int:
    """The size of a chunk whose line may have blanks and extensions, -1 if it has none."""
    at = 0
    for _space in range(_MOST_SPACES):
        if u8(line, at) not in (SP, TAB, CR, LF, 11, 12):
            break
        at += 1
    size, behind = _digits(line, at)
    return size if behind > at and _hexadecimal(u8(line, behind)) < 0 else -1


@fused
def _digits(line: Span, at: int) -> tuple[int, int]:
    """(the number that up to eight hexadecimal digits behind any zeros say, where they end)"""
    size = 0
    while u8(line, at) == _ZERO:
        at += 1
    for _digit in range(8):
        value = _hexadecimal(u8(line, at))
        if value < 0:
            break
        size = size * 16 + value
        at += 1
    return size, at


@fused
def _hexadecimal(value: int) -> int:
    if _ZERO <= value <= _NINE:
        return value - _ZERO
    if 65 <= value <= 70:
        return value - 55
    return value - 87 if 97 <= value <= 102 else -1
