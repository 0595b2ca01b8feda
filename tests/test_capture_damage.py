"""Captures that are cut, damaged or cannot be opened: read as far as they go, the place named."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from captures import (
    START,
    Frame,
    block,
    enhanced,
    interface,
    option,
    pcap,
    section,
    simple,
)
from procwire.capture import source
from procwire.capture.open import read_capture
from procwire.errors import Unavailable, UsageError
from reading_captures import FRAMES, NG, PCAP, read, read_until_damage, seen

THIRD = 24 + 16 + 16 + 14
LAST = len(NG)


def changed(content: bytes, offset: int, new: bytes) -> bytes:
    return content[:offset] + new + content[offset + len(new) :]


def number(value: int) -> bytes:
    return struct.pack("<I", value)


@pytest.mark.parametrize(
    ("content", "packets", "offset", "problem"),
    [
        (b"", 0, 0, "empty file"),
        (b"\xd4", 0, 0, "found d4, expected the magic number"),
        (b"PK\x03\x04" + bytes(40), 0, 0, "found 50 4b 03 04, expected the magic number"),
        (b"\x34\xcd\xb2\xa1" + PCAP[4:], 0, 0, "modified pcap format (magic a1b2cd34)"),
        (b"\xa1\xb2\xcd\x34" + PCAP[4:], 0, 0, "modified pcap format (magic a1b2cd34)"),
        (PCAP[:23], 0, 23, "found a file of 23 bytes, expected a file header of 24"),
        (changed(PCAP, 4, b"\x02\0\x03\0"), 0, 4, "found pcap version 2.3, expected 2.4"),
        (pcap(FRAMES, link=105), 0, 20, "link type 105 (IEEE 802.11) is not decoded"),
        (pcap([], link=127), 0, 20, "type 127 (IEEE 802.11 with radiotap header) is not decoded"),
        (pcap([], link=59999), 0, 20, "link type 59999 is not decoded"),
        (PCAP[: THIRD + 15], 2, THIRD, "found the last 15 bytes, expected a packet header of 16"),
        (PCAP[: THIRD + 20], 2, THIRD, "packet cut by the end of the file, 56 bytes short"),
        (changed(PCAP, THIRD + 8, number(262145)), 2, THIRD + 8, "found a packet of 262145"),
        (changed(PCAP, THIRD + 12, number(2**31)), 2, THIRD + 12, "packet of 2147483648 bytes"),
        (NG[:27], 0, 0, "found the last 27 bytes, expected a section header of at least 28"),
        (changed(NG, 4, number(24)), 0, 4, "found a section header of 24 bytes"),
        (changed(NG, 4, number(30)), 0, 4, "found a section header of 30 bytes"),
        (changed(NG, 8, b"abcd"), 0, 8, "found 61 62 63 64, expected the byte-order magic"),
        (changed(NG, 12, b"\x02"), 0, 12, "found pcapng version 2, expected 1"),
        (changed(NG, 24, number(32)), 0, 4, "found 32 as the block length at the block's end"),
        (NG + b"abc", 1, LAST, "found the last 3 bytes, expected a block of at least 12"),
        (NG + number(9) * 3, 1, LAST + 4, "found a block length of 9, expected a multiple of 4"),
        (NG + number(9) + number(16) * 2, 1, LAST, "cut by the end of the file, 4 bytes short"),
        (NG + number(9) + number(12) + number(16), 1, LAST + 4, "found 16 as the block length"),
        (NG + block(6, bytes(16)), 1, LAST + 4, "packet block of 28 bytes, too short"),
        (NG + block(3, b""), 1, LAST + 4, "packet block of 12 bytes, too short"),
        (NG + block(1, bytes(4)), 1, LAST + 4, "found an interface description of 16 bytes"),
        (NG + enhanced(b"", 1, number=2), 1, LAST + 8, "found interface 2, expected one described"),
        (NG + section() + simple(b"a"), 1, LAST + 36, "found interface 0, expected one described"),
        (NG + enhanced(b"", 1), 1, 36, "link type 105 (IEEE 802.11) is not decoded"),
        (NG + simple(b""), 1, 36, "link type 105 (IEEE 802.11) is not decoded"),
        (
            NG + changed(enhanced(b"abcd", 1, number=1), 20, number(5)),
            1,
            LAST + 8,
            "found a packet of 5 captured bytes, expected what fits its block",
        ),
        (
            NG + changed(enhanced(b"abcd", 1, number=1), 20, number(2**32 - 1)),
            1,
            LAST + 20,
            "found a packet of 4294967295 captured bytes",
        ),
        (
            NG + changed(enhanced(b"abcd", 1, number=1), 24, number(2**32 - 1)),
            1,
            LAST + 8,
            "found a packet of 4294967295 bytes",
        ),
        (NG + enhanced(b"", 2**63, number=1), 1, LAST + 12, "expected one in the years 1678 to"),
        (
            NG + interface(options=struct.pack("<HH", 9, 4)),
            1,
            LAST + 18,
            "found an option of 4 bytes, expected at most 0",
        ),
        (NG + interface(options=option(9, b"\x7f")), 1, LAST + 20, "ticks a second"),
        (
            NG + interface(options=option(14, struct.pack("<q", 2**62))),
            1,
            LAST + 20,
            "found a time offset of",
        ),
    ],
)
def test_damage_is_named_after_all_before_it_was_yielded(
    write, content: bytes, packets: int, offset: int, problem: str
) -> None:
    frames, damage = read_until_damage(write(content))
    assert (len(frames), damage.offset) == (packets, offset)
    assert problem in damage.problem
    # The same where a window holds little more than a header.
    with mock.patch.object(source, "_WINDOW", 30):
        frames, damage = read_until_damage(write(gzip.compress(content)))
    assert (len(frames), damage.offset) == (packets, offset)
    assert problem in damage.problem


def test_compressed_data_that_ends_early_yields_the_packets_before(write) -> None:
    zstandard = pytest.importorskip("zstandard")
    content = pcap([Frame(os.urandom(1000), START + number) for number in range(1000)])
    packed = gzip.compress(content)
    frames, damage = read_until_damage(write(packed[: len(packed) // 2]))
    assert 400 < len(frames) < 600
    assert "the compressed data is damaged behind this" in damage.problem
    whole, damage = read_until_damage(write(packed[:-8] + b"\xff" * 8))
    assert len(whole) == 1000
    assert "CRC check failed" in damage.problem
    frames, damage = read_until_damage(write(zstandard.compress(content)[: len(content) // 2]))
    assert 300 < len(frames) < 600


def test_zstd_that_ends_where_a_packet_does_is_cut_short(write) -> None:
    zstandard = pytest.importorskip("zstandard")
    # What cannot be packed lies in blocks of 128 KB, of which the first ends with the eighth.
    content = pcap([Frame(os.urandom(16365), START + number) for number in range(9)])
    packed = zstandard.compress(content)
    first = zstandard.frame_header_size(packed) + 3 + (128 << 10)
    frames, damage = read_until_damage(write(packed[:first]))
    assert (len(frames), damage.offset) == (8, 128 << 10)
    assert "ends inside a frame of zstd" in damage.problem
    frames, damage = read_until_damage(write(packed[:8]))
    assert (len(frames), damage.offset) == (0, 0)
    assert "ends inside a frame of zstd" in damage.problem


def test_zstd_without_its_package_names_the_remedy(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(Unavailable, match="pip install"):
        read_capture(write(b"\x28\xb5\x2f\xfd" + bytes(40)))


def test_a_block_has_its_limit(write) -> None:
    allowed = NG + block(9, bytes(source.BLOCK_LIMIT - 12)) + enhanced(b"abcd", 2, number=1)
    assert len(read(write(gzip.compress(allowed, 1)))) == 2
    frames, damage = read_until_damage(write(NG + block(9, bytes(source.BLOCK_LIMIT))))
    assert len(frames) == 1
    assert f"expected <= {source.BLOCK_LIMIT}" in damage.problem


def test_an_undecoded_interface_without_packets_is_no_damage(write) -> None:
    assert len(read(write(NG))) == 1


def test_a_capture_cut_at_any_byte_yields_its_whole_packets(write) -> None:
    frames = FRAMES[:3]
    ends = list(np.cumsum([24] + [16 + len(frame.data) for frame in frames]))
    content = pcap(frames)
    for size in range(25, len(content)):
        whole = sum(end <= size for end in ends[1:])
        path = write(content[:size])
        found = read(path) if size in ends else read_until_damage(path)[0]
        assert found == seen(frames)[:whole]


def test_what_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, problem in (
        (tmp_path / "absent", "No such file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
    ):
        with pytest.raises(UsageError, match=problem):
            read_capture(path)
    with pytest.raises(UsageError, match="batch size 0"):
        read_capture(tmp_path, 0)
