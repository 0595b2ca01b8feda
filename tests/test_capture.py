"""Reading capture files: every variant of the formats, and every way to be damaged."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from captures import (
    SECOND,
    START,
    Frame,
    block,
    enhanced,
    interface,
    obsolete,
    option,
    pcap,
    section,
    simple,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from procwire.capture import source
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.errors import InputDamaged, Unavailable, UsageError

FRAMES = [
    Frame(b"", START),
    Frame(b"a" * 14, START + 1_000),
    Frame(bytes(range(60)), START + 5 * SECOND + 999_999_000, 1500),
    Frame(b"z" * 9000, START + 6 * SECOND),
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write_file(content: bytes) -> Path:
        path = tmp_path / "capture"
        path.write_bytes(content)
        return path

    return write_file


def frames_of(batch: PacketBatch) -> list[Frame]:
    return [
        Frame(batch.data[start : start + captured].tobytes(), time, length)
        for start, captured, time, length in zip(
            batch.start.tolist(),
            batch.captured.tolist(),
            batch.time.tolist(),
            batch.length.tolist(),
            strict=True,
        )
    ]


def read(path: Path, batch_size: int = 65536) -> list[Frame]:
    return [frame for batch in read_capture(path, batch_size) for frame in frames_of(batch)]


def read_until_damage(path: Path) -> tuple[list[Frame], InputDamaged]:
    frames: list[Frame] = []
    with pytest.raises(InputDamaged) as raised:
        for batch in read_capture(path, 2):
            frames += frames_of(batch)
    assert raised.value.path == str(path)
    return frames, raised.value


def seen(frames: list[Frame]) -> list[Frame]:
    """The frames with their lengths on the wire filled in."""
    return [Frame(frame.data, frame.time, frame.wire) for frame in frames]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_in_both_orders_and_resolutions(write, order: str, nanoseconds: bool) -> None:
    frames = [*FRAMES, Frame(b"nano", START + (1 if nanoseconds else 1000))]
    path = write(pcap(frames, order=order, nanoseconds=nanoseconds, snap=2**31 - 1))
    assert read(path) == seen(frames)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5])
def test_batches_are_no_larger_than_asked_and_number_their_packets(write, batch_size: int) -> None:
    batches = list(read_capture(write(pcap(FRAMES)), batch_size))
    assert all(1 <= batch.start.size <= batch_size for batch in batches)
    assert batches[0].first == 1
    assert all(one.first + one.start.size == two.first for one, two in pairwise(batches))
    assert [frame for batch in batches for frame in frames_of(batch)] == seen(FRAMES)


def test_batches_have_the_dtypes_of_the_contract(write) -> None:
    for content in (pcap(FRAMES), section() + interface() + enhanced(b"abcd", 1)):
        (batch,) = read_capture(write(content))
        kinds = [column.dtype.name for column in batch[:-1]]
        assert kinds == ["uint8", "int64", "int32", "int32", "int64", "uint16", "bool"]


def test_frame_check_sequence_bits_are_not_part_of_the_link_type(write) -> None:
    (batch,) = read_capture(write(pcap(FRAMES, link=0x24000071)))
    assert set(batch.link.tolist()) == {113}


def test_a_length_below_the_captured_bytes_is_raised_to_them(write) -> None:
    assert read(write(pcap([Frame(b"abcd", START, 0)]))) == [Frame(b"abcd", START, 4)]


def test_a_capture_without_packets_yields_nothing(write) -> None:
    assert read(write(pcap([]))) == []
    assert read(write(section())) == []


def test_pcapng_with_every_packet_block_and_unknown_blocks(write) -> None:
    for order in "<>":
        content = (
            section(order, option(2, b"hardware", order))
            + block(0x0BAD, b"unknown", order)
            + interface(1, order)
            + enhanced(b"abcde", 1_700_000_000_000_001, order, wire=99)
            + block(5, bytes(12), order)
            + simple(b"simple", order)
            + obsolete(b"obsolete!", 1_700_000_000_000_002, order)
        )
        assert read(write(content)) == [
            Frame(b"abcde", START + 1000, 99),
            Frame(b"simple", 0, 6),
            Frame(b"obsolete!", START + 2000, 9),
        ]


def test_options_behind_a_packet_are_no_part_of_it(write) -> None:
    for order in "<>":
        comment = option(1, b"a comment", order) + option(0, b"", order)
        content = section(order) + interface(1, order)
        for kind, fixed in ((6, "IIIII"), (2, "HHIIII")):
            numbers = (0, 0, 0, 5, 5) if kind == 6 else (0, 7, 0, 0, 5, 5)
            body = struct.pack(order + fixed, *numbers) + b"bytes" + bytes(3) + comment
            content += block(kind, body, order)
        assert read(write(content)) == [Frame(b"bytes", 0, 5)] * 2


def test_sections_have_their_own_interfaces_and_byte_order(write) -> None:
    path = write(
        section("<")
        + interface(1, "<")
        + interface(113, "<")
        + enhanced(b"one", 1, "<", number=1)
        + section(">")
        + interface(101, ">")
        + enhanced(b"two", 2, ">")
        + interface(276, ">")
        + enhanced(b"three", 3, ">", number=1)
    )
    for batch_size in (1, 2, 9):
        batches = list(read_capture(path, batch_size))
        assert [link for batch in batches for link in batch.link.tolist()] == [113, 101, 276]
        assert [frame.time for batch in batches for frame in frames_of(batch)] == [1000, 2000, 3000]


def test_a_simple_packet_is_cut_by_its_interfaces_snap_length(write) -> None:
    path = write(section() + interface(snap=4) + simple(b"abcd", wire=1500))
    assert read(path) == [Frame(b"abcd", 0, 1500)]


def test_only_packets_below_the_snap_length_were_cut_by_something_else(write) -> None:
    frames = [Frame(b"a" * 60, START, 1500), Frame(b"a" * 96, START, 1500), Frame(b"a" * 60)]
    for snap, cut in ((96, [True, False, False]), (60, [False] * 3), (0, [True, True, False])):
        (batch,) = read_capture(write(pcap(frames, snap=snap)))
        assert batch.cut.tolist() == cut
        blocks = [enhanced(frame.data, 0, wire=frame.wire) for frame in frames]
        content = section() + interface(snap=snap) + b"".join(blocks) + simple(b"a" * 60)
        (batch,) = read_capture(write(content))
        assert batch.cut.tolist() == [*cut, False]


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.integers(0, 17), st.integers(0, 59).map(lambda exponent: exponent | 0x80)),
    st.integers(0, 2**63 - 1),
    st.integers(-(2**31), 2**33),
    st.sampled_from("<>"),
)
def test_times_equal_exact_fractions(
    tmp_path_factory, resolution: int, ticks: int, base: int, order: str
) -> None:
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    options = option(9, bytes([resolution]), order) + option(
        14, struct.pack(order + "q", base), order
    )
    options += option(0, b"", order)
    path = tmp_path_factory.getbasetemp() / "times"
    path.write_bytes(section(order) + interface(1, order, 0, options) + enhanced(b"", ticks, order))
    exact = int((Fraction(ticks, units) + base) * SECOND // 1)
    if abs(exact // SECOND) < 2**63 // SECOND:
        assert read(path)[0].time == exact
    else:
        assert "1678 to 2262" in str(read_until_damage(path)[1])


def test_many_interfaces(write) -> None:
    number = 3000
    path = write(section() + interface() * number + enhanced(b"x", 5, number=number - 1))
    assert read(path) == [Frame(b"x", 5000, 1)]


PCAP = pcap(FRAMES)
THIRD = 24 + 16 + 16 + 14
NG = section() + interface(105) + interface(1) + enhanced(b"abcd", 1, number=1)
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


@pytest.mark.parametrize("window", [30, 100, source._WINDOW])
@pytest.mark.parametrize("content", [PCAP, pcap(FRAMES), NG])
def test_what_is_compressed_or_piped_in_reads_as_the_file_does(
    write, monkeypatch: pytest.MonkeyPatch, content: bytes, window: int
) -> None:
    zstandard = pytest.importorskip("zstandard")
    monkeypatch.setattr(source, "_WINDOW", window)
    wanted = read(write(content))
    halves = content[: len(content) // 2], content[len(content) // 2 :]
    packed = (
        gzip.compress(content),
        b"".join(map(gzip.compress, halves)),
        zstandard.compress(content),
        b"".join(map(zstandard.compress, halves)),
    )
    for compressed in packed:
        assert read(write(compressed)) == wanted
    for piped in (content, *packed):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped)))
        assert read(Path("-")) == wanted


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
