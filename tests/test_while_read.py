"""Packets of a file that are decoded as they are indexed: the same columns, alerts and faults as of
those that are decoded when their batch is read."""

from __future__ import annotations

import itertools
import struct
from random import Random

import pytest
from procwire import examples
from procwire.capture.open import read_capture, read_packets
from procwire.capture.source import open_source
from procwire.decode.frame import decode
from procwire.decode.while_read import WhileRead
from procwire.errors import InputDamaged
from procwire.rules import packet_rules
from procwire.runs.analysis import Analysis
from procwire.runs.pipeline import alerts_of
from procwire.settings import Settings
from test_tunnels import nested_frame
from test_usual import columns_of, usual_frame

SIZES = pytest.mark.parametrize("size", [1, 7, 65536])


def written(path, packets):
    """A capture of (captured bytes, length on the wire)."""
    records = [
        struct.pack("<IIII", number, 0, len(data), length) + data
        for number, (data, length) in enumerate(packets)
    ]
    path.write_bytes(b"".join([examples.capture([]), *records]))
    return path


def compare(path, size):
    """How many packets were decoded meanwhile, and how the capture was damaged, if it was."""
    while_read, count, damage = WhileRead(), 0, None
    batches = read_packets(open_source(path), size, while_read.index)
    others = read_capture(path, size)
    while True:
        try:
            batch = next(batches, None)
        except InputDamaged as problem:
            damage = str(problem)
            with pytest.raises(InputDamaged, match=r"found") as same:
                next(others)
            assert str(same.value) == damage
            return count, damage
        other = next(others, None)
        if batch is None or other is None:
            assert batch is None and other is None
            return count, damage
        for column, wanted in zip(batch[1:-1], other[1:-1], strict=True):
            assert column.tolist() == wanted.tolist()
        decoded = while_read.decoded(batch)
        assert decoded is not None
        assert columns_of(decoded) == columns_of(decode(other, segments=False))
        assert while_read.decoded(batch) is None
        count += len(batch.start)


@SIZES
def test_all_columns_are_the_same(tmp_path, size):
    source = Random(size)
    packets = [usual_frame(source)[:2] for _ in range(400)]
    packets = [(data, max(length, len(data))) for data, length in packets]
    assert compare(written(tmp_path / "usual.pcap", packets), size) == (400, None)


@SIZES
def test_recordings_are_the_same(corpus, size):
    for name in ("1kxun.pcap", "dns_fragmented.pcap"):
        count, damage = compare(corpus / "traffic" / name, size)
        assert count > 0 and damage is None


@SIZES
def test_columns_of_pcapng_are_the_same(tmp_path, size):
    """Also where a section begins, and interfaces are described, between packets."""
    source = Random(size)
    frames = [usual_frame(source)[0] for _ in range(200)]
    path = tmp_path / "sections.pcapng"
    path.write_bytes(examples.capture_ng(frames) + examples.capture_ng(frames[:50]))
    assert compare(path, size) == (250, None)


def test_nothing_but_tunnels_find_more_room_for_their_layers(tmp_path):
    frame = nested_frame(3)
    path = written(tmp_path / "tunnels.pcap", 500 * [(frame, len(frame))])
    assert compare(path, 400) == (500, None)
    path.write_bytes(examples.capture_ng(500 * [frame]))
    assert compare(path, 400) == (500, None)


@SIZES
def test_what_precedes_damage_is_decoded(tmp_path, size):
    path = tmp_path / "cut.pcap"
    for whole in (examples.capture, examples.capture_ng):
        path.write_bytes(whole(20 * [bytes(60)])[:-5])
        count, damage = compare(path, size)
        assert count == 19 and "5 bytes short" in damage


def test_what_was_not_read_for_it_is_not_known(tmp_path):
    path = tmp_path / "sound.pcap"
    while_read = WhileRead()
    for whole in (examples.capture, examples.capture_ng):
        path.write_bytes(whole(3 * [bytes(60)]))
        (other,) = read_capture(path)
        assert while_read.decoded(other) is None
        for _ in read_packets(open_source(path), index=while_read.index):
            assert while_read.decoded(other) is None


def run(path, size, workers, meanwhile):
    analysis = Analysis(Settings())
    index = analysis.while_read.index if meanwhile else None
    told = alerts_of(analysis, read_packets(open_source(path), size, index), workers)
    return [*itertools.chain(*(alerts for _, alerts in told)), *analysis.finish()]


@SIZES
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("back", [0, 200])
def test_alerts_are_the_same(tmp_path, size, workers, back):
    """Also where the clock is set back, and a batch is judged in parts."""
    frames = 2 * examples.frames(packet_rules())
    data = bytearray(examples.capture(frames))
    at = len(examples.capture(frames[: len(frames) // 2]))
    while at < len(data):
        second, _, count, _ = struct.unpack_from("<IIII", data, at)
        struct.pack_into("<I", data, at, second - back)
        at += 16 + count
    path = tmp_path / "broken.pcap"
    path.write_bytes(data)
    assert run(path, size, workers, True) == run(path, 65536, 1, False) != []
