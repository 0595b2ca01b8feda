"""Reading capture files: every variant of the formats."""

from __future__ import annotations

import gzip
import os
import struct
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

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
from procwire.capture.batch import joined
from procwire.capture.interfaces import SECONDS_LIMIT
from procwire.capture.open import read_capture
from reading_captures import FRAMES, NG, PCAP, frames_of, read, read_until_damage, seen


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


def test_packets_of_several_windows_are_one_batch_of_captured_memory(write) -> None:
    windows = [batch for _ in range(2) for batch in read_capture(write(pcap(FRAMES)), 2)]
    whole = joined(windows)
    assert frames_of(whole) == seen(FRAMES) * 2
    assert not whole.data.flags.writeable


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
    rounded = [(62, [False] * 3), (63, [True, False, False])]
    exact = [(96, [True, False, False]), (60, [False] * 3), (0, [True, True, False])]
    for snap, cut in exact + rounded:
        (batch,) = read_capture(write(pcap(frames, snap=snap)))
        assert batch.cut.tolist() == cut
        blocks = [enhanced(frame.data, 0, wire=frame.wire) for frame in frames]
        content = section() + interface(snap=snap) + b"".join(blocks) + simple(b"a" * 60)
        (batch,) = read_capture(write(content))
        assert batch.cut.tolist() == [*cut, False]


@settings(max_examples=60)
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
    if abs(exact // SECOND) <= SECONDS_LIMIT:
        assert read(path)[0].time == exact
    else:
        assert "1678 to 2262" in str(read_until_damage(path)[1])


def test_many_interfaces(write) -> None:
    number = 3000
    path = write(section() + interface() * number + enhanced(b"x", 5, number=number - 1))
    assert read(path) == [Frame(b"x", 5000, 1)]


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
        with write(piped).open() as file:
            monkeypatch.setattr("sys.stdin", file)
            assert read(Path("-")) == wanted


@pytest.mark.parametrize("content", [pcap(FRAMES), NG + enhanced(b"efgh", 2, number=1)])
def test_what_a_pipe_holds_is_handed_on_while_its_writer_is_silent(
    write, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    wanted = [len(batch.start) for batch in read_capture(write(content))]
    ours, theirs = os.pipe()
    ends = threading.Timer(60, os.close, (theirs,))
    with os.fdopen(ours) as piped:
        monkeypatch.setattr("sys.stdin", piped)
        # Half of a packet is left to come.
        os.write(theirs, content[:-8])
        ends.start()
        batches = read_capture(Path("-"))
        first = len(next(batches).start)
        assert ends.is_alive(), "nothing was handed on before the pipe was closed"
        ends.cancel()
        os.write(theirs, content[-8:])
        os.close(theirs)
        assert [first, sum(len(batch.start) for batch in batches)] == [sum(wanted) - 1, 1]
