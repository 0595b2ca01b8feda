"""The words of DNS messages: known values, and the same in both Luas. Any bytes: test_words.py."""

from __future__ import annotations

import pytest
from lua_words import LUA
from procwire import protocol_words
from procwire.words import span


@pytest.mark.parametrize(
    ("message", "offset", "fault", "end"),
    [
        (b"\1a\0", 0, 0, 3),
        (b"\1a", 0, 1, 0),
        (b"\1a\xc0", 0, 1, 0),
        (b"\x40" + b"a" * 64 + b"\0", 0, 2, 0),
        ((b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0", 0, 0, 255),
        ((b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0", 0, 3, 256),
        (bytes(12) + b"\1a\0\1b\xc0\x0c", 15, 0, 19),
        (bytes(12) + b"\1a\xc0\x0c", 12, 5, 16),
        (bytes(12) + b"\1a\1b\xc0\x0e", 12, 5, 18),
        (bytes(12) + b"\1b\0\1a\xc0\x11", 15, 4, 19),
        (bytes(12) + b"\xc0\x0c", 12, 4, 14),
        (bytes(12) + b"\3abc\xc0\x0e", 12, 4, 18),
        (bytes(12) + b"\1a\xc0\x0f\0", 12, 4, 16),
        (bytes(12) + b"\1a\xc0\0", 12, 4, 16),
    ],
)
def test_names(message: bytes, offset: int, fault: int, end: int) -> None:
    assert protocol_words.name_fault(span(message), offset) == fault
    assert protocol_words.name_walk(span(message), offset) % 8 == fault
    assert protocol_words.name_end(span(message), offset) == end


def test_labels_and_pointers_of_a_name_are_counted() -> None:
    message = bytes(12) + b"\1a\1b\0\1c\xc0\x0c"
    assert protocol_words.name_walk(span(message), 12) // 8 == 2
    assert protocol_words.name_walk(span(message), 17) // 8 == 4


@pytest.mark.parametrize(
    ("message", "sound"),
    [
        ("0001 000000000000 01 61 00 0001 0001", True),
        ("0001 000000000000 01 61 00 0001 0005", True),
        ("0001 000000000000 01 61 00 0001 0005 00", False),
        ("0001 000000000000 01 61 00 0001 00ff 00", True),
        ("0001 000100000000 01 61 00 0001 0005", False),
        ("0001 000000000001 01 61 00 0001 0005", False),
        ("0001 000000000000 01 61 00 0001", False),
        ("0001 000000000000 c00c 0001 0001", False),
        ("0002 000000000000 01 61 00 0001 0001", False),
        ("0000 000000000000 01 61 00 0001 0001", False),
    ],
)
def test_one_question_of_dns(message: str, sound: bool) -> None:
    data = bytes(4) + bytes.fromhex(message)
    assert protocol_words.one_question(span(data)) == sound
    assert all(loaded["one_question"](data) == sound for loaded in LUA.values())


def test_names_of_an_entry_are_its_own_and_its_data() -> None:
    question, pointer = b"\1a\0\0\2\0\1", bytes.fromhex("c00c 0002 0001 00000000 0002")
    message = bytes(4) + b"\0\1" + bytes(6) + question + pointer + b"\xc0\xff"
    answer = 12 + len(question)
    assert protocol_words.dns_entry_walk(span(message), 12, 0) == 8
    assert protocol_words.dns_entry_walk(span(message), answer, 1) == 8 * 2 + 4
    assert protocol_words.dns_entry_walk(span(message), answer, 0) == 8 * 2


@pytest.mark.parametrize(
    ("kind", "data", "walked"),
    [
        (15, "000a c0ff", 8 * 2 + 4),
        (33, "0000 0000 0050 c0ff", 8 * 2 + 4),
        (6, "c0ff 00", 8 * 2 + 4),
        (6, "00 c0ff", 8 * 2 + 4),
        (6, "01 61 00 01 62 00", 8 * 4),
        (15, "000a", 8 * 2),
        (12, "", 8 * 2),
        (16, "c0ff", 8 * 2),
    ],
)
def test_names_lie_where_the_type_of_a_record_has_them(kind: int, data: str, walked: int) -> None:
    """Deletions of updates have a type and no data (RFC 2136 2.5.2)."""
    question, size = b"\1a\0\0\2\0\1", len(bytes.fromhex(data))
    record = bytes.fromhex(f"c00c {kind:04x} 00ff 00000000 {size:04x} {data}")
    message = bytes(4) + b"\0\1" + bytes(6) + question + record
    answer = 12 + len(question)
    assert protocol_words.dns_entry_walk(span(message), answer, 1) == walked
    assert all(loaded["dns_entry_walk"](message, answer, 1) == walked for loaded in LUA.values())
