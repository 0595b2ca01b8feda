"""The words of protocols' own structures: known values, and the same in both Luas."""

from __future__ import annotations

import string
import struct
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lua_words import LUA
from numpy.typing import NDArray
from procwire import protocol_words, words
from procwire.compiled.byte_search import first_of
from procwire.compiled.jit import kernel
from procwire.words import Span, span

OVER_OFFSETS = (
    *("name_end", "name_walk", "name_fault", "ber_value", "ber_end", "token_end", "port_end"),
)


def word(name: str) -> Callable[..., int]:
    found: Callable[..., int] = getattr(protocol_words, name, None) or getattr(words, name)
    return found


def structured(source: Random) -> bytes:
    """Bytes among which lengths, pointers and long-form BER lengths are frequent."""
    pieces = (*b"\n\r -0:?@AZ^z~", 1, 2, 12, 127, 128, 129, 130, 132, 133, 192, 255)
    size = source.choice((0, 1, 5, 13, 60, 400))
    return bytes(source.choice((*pieces, source.randrange(256))) for _ in range(size))


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_lua_agrees_with_python_on_any_bytes(seed: int) -> None:
    source = Random(seed)
    data = structured(source)
    p = span(data)
    for loaded in LUA.values():
        assert loaded["dns_entries"](data) == protocol_words.dns_entries(p)
        assert loaded["header_sums"](data) == protocol_words.header_sums(p)
        assert loaded["one_question"](data) == protocol_words.one_question(p)
        assert loaded["upper_header"](data) == protocol_words.upper_header(p)
        for kind in (source.randrange(256), 44, 51, *data[20:24]):
            end = source.randrange(70)
            assert loaded["extension"](data, kind) == protocol_words.extension(p, kind)
            expected = protocol_words.extension_end(p, kind, end)
            assert loaded["extension_end"](data, kind, end) == expected
            assert loaded["option"](data, end, kind) == protocol_words.option(p, end, kind)
        for offset in range(-1, len(data) + 3):
            for name in OVER_OFFSETS:
                expected = word(name)(p, offset)
                assert loaded[name](data, offset) == expected, (name, offset, data.hex())
            other = source.randrange(-1, 40)
            for name in ("dns_entry_end", "dns_entry_walk", "crc_dnp", "folded"):
                expected = word(name)(p, offset, other)
                assert loaded[name](data, offset, other) == expected, (name, offset, data.hex())
            value = source.randrange(256)
            assert loaded["find"](data, offset, value) == words.find(p, offset, value)
            expected = words.find_before(p, offset, other, value)
            assert loaded["find_before"](data, offset, other, value) == expected


@pytest.mark.parametrize("first", (0, 8))
def test_where_the_upper_layer_begins(first: int) -> None:
    chain = [0, 44, 51, 60, 58]  # an authentication header of 24 bytes, a fragment header
    pieces = [bytes(8), struct.pack(">BBHI", 0, 0, first | 1, 1), b"\0\4" + bytes(22), bytes(8)]
    body = b"".join(bytes([kind]) + rest[1:] for kind, rest in zip(chain[1:], pieces, strict=True))
    packet = bytes(6) + bytes([chain[0]]) + bytes(33) + body
    expected = {0: (40 + len(body)) * 256 + 58, 8: 0}[first]
    for data, found in ((packet, expected), (packet[:47], 40 * 256), (packet[:40], 40 * 256)):
        assert protocol_words.upper_header(span(data)) == found
        assert all(loaded["upper_header"](data) == found for loaded in LUA.values())


TOKENS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"


@kernel
def compiled_first_of(data: NDArray[np.uint8], start: int, end: int, value: int) -> int:
    return first_of(data, start, end, value)


@given(st.text("ab", max_size=70), st.integers(0, 70), st.integers(0, 70))
def test_a_byte_is_found_where_bytes_find_it(text: str, start: int, end: int) -> None:
    data = text.encode() + b"a"
    start, end = min(start, end, len(text)), min(max(start, end), len(text))
    expected = data.find(b"a", start, end)
    for search in (first_of, compiled_first_of):
        found = search(np.frombuffer(data, np.uint8), start, end, ord("a"))
        assert found == (expected if expected >= 0 else end)


@kernel
def compiled_folded(data: NDArray[np.uint8], size: int, offset: int, count: int) -> int:
    return words.folded(Span(data, 0, size, size), offset, count)


@given(st.binary(max_size=60), st.integers(-40, 70), st.integers(-2, 40))
def test_a_text_is_a_number_whose_digits_are_its_small_letters(
    text: bytes, offset: int, count: int
) -> None:
    expected = 0
    for at in range(offset, offset + min(count, 32)):
        digit = text[at : at + 1].lower() if at >= 0 else b""
        expected = expected * 257 + int.from_bytes(digit, "big")
    expected %= (1 << 31) - 1
    assert words.folded(span(text), offset, count) == expected
    array = np.frombuffer(text + b"a", np.uint8)
    assert compiled_folded(array, len(text), offset, count) == expected


@kernel
def compiled_token_end(data: NDArray[np.uint8], size: int, offset: int) -> int:
    return words.token_end(Span(data, 0, size, size), offset)


@given(
    st.one_of(st.binary(max_size=80), st.text(TOKENS, max_size=300).map(str.encode)),
    st.lists(st.tuples(st.integers(0, 299), st.integers(0, 255)), max_size=3),
    st.integers(-2, 302),
)
def test_a_token_ends_where_its_letters_do(
    text: bytes, others: list[tuple[int, int]], offset: int
) -> None:
    data = bytearray(text)
    for place, other in others:
        data[place : place + 1] = bytes([other])
    inside = bytes(data[max(offset, 0) :][: words.MOST_TOKEN])
    expected = offset
    if offset >= 0:
        expected += len(inside) - len(inside.lstrip(TOKENS.encode()))
    assert words.token_end(span(bytes(data)), offset) == expected
    # Numba compiles for an array, and an empty one has no address.
    array = np.frombuffer(bytes(data) + b"a", np.uint8)
    assert compiled_token_end(array, len(data), offset) == expected


def test_the_checksum_of_an_ipv4_header() -> None:
    # RFC 1071 section 1: the sum over the header with its checksum is -0.
    header = bytes.fromhex("45000028 00010000 4006 8e8c c000020a c6336405") + bytes(20)
    damaged = header[:8] + b"\0" + header[9:]
    cut = damaged[:19]
    for data, holds in ((header, True), (damaged, False), (cut, True), (bytes(20), False)):
        assert protocol_words.header_sums(span(data)) == holds
        assert all(loaded["header_sums"](data) == holds for loaded in LUA.values())


def test_a_check_of_dnp3_is_the_catalogued_one() -> None:
    # The check value of CRC-16/DNP in the catalogue of parametrised CRC algorithms.
    assert protocol_words.crc_dnp(span(b"123456789"), 0, 9) == 0xEA82
    sixteen = protocol_words.crc_dnp(span(bytes(16)), 0, 16)
    assert protocol_words.crc_dnp(span(bytes(40)), 0, 40) == sixteen


@pytest.mark.parametrize(
    ("element", "value", "end"),
    [
        ("04 02 6162", 2, 4),
        ("04 03 6162", 2, 0),
        ("04 81 02 6162", 3, 5),
        ("04 84 00000002 6162", 6, 8),
        ("04 80 6162 0000", 0, 0),
        ("04 85 0000000002 6162", 0, 0),
        ("04 84 ffffffff", 6, 0),
    ],
)
def test_elements_of_ber(element: str, value: int, end: int) -> None:
    p = span(bytes.fromhex(element))
    assert (protocol_words.ber_value(p, 0), protocol_words.ber_end(p, 0)) == (value, end)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (b"", 0),
        (b"/", 0),
        (b":", 1),
        (b":/", 1),
        (b":8080 ", 5),
        (b":65535", 6),
        (b":65536", 0),
        (b":0", 0),
        (b":000080", 7),
        (b":0000080", 0),
        (b":8x", 2),
    ],
)
def test_ports_of_hosts(text: bytes, end: int) -> None:
    host = b"a.example"
    expected = len(host) + end if end or text[:1] != b":" else 0
    assert protocol_words.port_end(span(host + text), len(host)) == expected
    assert all(loaded["port_end"](host + text, len(host)) == expected for loaded in LUA.values())


@pytest.mark.parametrize(
    ("header", "kind", "end"),
    [
        ("3b00", 0, 48),
        ("3b02", 60, 64),
        ("3b02", 51, 56),
        ("3b02 0001", 44, 48),
        ("3b02 0008", 44, 0),
    ],
)
def test_where_an_extension_header_ends(header: str, kind: int, end: int) -> None:
    packet = bytes(40) + bytes.fromhex(header) + bytes(30)
    assert protocol_words.extension_end(span(packet), kind, 40) == end
    assert all(loaded["extension_end"](packet, kind, 40) == end for loaded in LUA.values())
