"""Conversations whose packets come in fragments: all that is said in them is found."""

from __future__ import annotations

import random
import struct
from typing import NamedTuple

import pytest
from batches import batch_of
from captures import Frame
from procwire.errors import InputDamaged
from procwire.judging.examine import Examiner, examine
from procwire.judging.observe import Observer
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings
from test_benign_pieces import IPV4, WIRE, frames_of

LARGEST = 60_000  # bytes of a capture
ETHERNET_HEADER, HEADER, UNIT = 14, 20, 8
TCP, UDP = 6, 17
MORE, IS_FRAGMENT = 0x2000, 0x3FFF


class Numbered(NamedTuple):
    """Bytes of packet `number`, or a fragment of it."""

    number: int
    data: bytes
    time: int


def cut(frame: bytes, number: int, source: random.Random) -> list[bytes]:
    """The frame in up to three fragments, the first of which has the whole transport header; or as
    it is, where it is no whole datagram or too small."""
    if frame[12:15] != IPV4 + b"\x45" or frame[23] not in (TCP, UDP):
        return [frame]
    (total,), (flags,) = struct.unpack(">H", frame[16:18]), struct.unpack(">H", frame[20:22])
    body = frame[ETHERNET_HEADER + HEADER : ETHERNET_HEADER + total]
    if flags & IS_FRAGMENT or len(body) != total - HEADER:
        return [frame]
    least = (body[12] >> 4) * 4 if frame[23] == TCP else UNIT
    cuts = [at for at in range(UNIT, len(body), UNIT) if at >= least]
    places = sorted(source.sample(cuts, min(len(cuts), source.choice((1, 2)))))
    parts = []
    for start, end in zip([0, *places], [*places, len(body)], strict=True):
        place = start // UNIT | (MORE if end < len(body) else 0)
        header = struct.pack(">HHH", HEADER + end - start, number & 0xFFFF, place)
        parts.append(frame[:16] + header + frame[22:34] + body[start:end])
    return parts


def found(packets: list[Numbered], a_batch: int = 1 << 20) -> list[tuple[int, str]]:
    """What packets, or what came before them, break above IP: their numbers and the rules."""
    examiner, observer = Examiner(), Observer(FlowSettings(capacity=4096))
    names = []
    for first in range(0, len(packets), a_batch):
        some = packets[first : first + a_batch]
        batch = batch_of([one.data for one in some], [one.time for one in some])
        decoded, single = examiner.complete(batch, examine(batch))
        told = [*single, *observer.update(batch, decoded)]
        names += [(some[one["row"]].number, all_rules()[one["rule"]].id) for one in told]
    return sorted(name for name in names if not name[1].startswith(("ipv4.", "eth.")))


def whole(frames: list[Frame]) -> list[Numbered]:
    return [Numbered(i, frame.data, frame.time) for i, frame in enumerate(frames, 1)]


def in_fragments(packets: list[Numbered], source: random.Random) -> list[Numbered]:
    return [
        Numbered(number, part, time)
        for number, data, time in packets
        for part in cut(data, number, source)
    ]


def captured_whole() -> list[list[Frame]]:
    """Small labelled captures of Ethernet."""
    captures = []
    for capture in sorted(WIRE.rglob("*.pcap*")):
        if capture.stat().st_size > LARGEST:
            continue
        try:
            frames = frames_of(capture)
        except InputDamaged:
            continue
        if frames and all(len(frame.data) == frame.length for frame in frames):
            captures.append(frames)
    return captures


@pytest.mark.skipif(not WIRE.is_dir(), reason="no labelled recordings beside this")
def test_fragments_hide_nothing_and_make_nothing_up() -> None:
    source, in_pieces, told = random.Random(11), 0, 0
    for frames in captured_whole():
        packets = whole(frames)
        pieces = in_fragments(packets, source)
        in_pieces += len(pieces) > len(packets)
        wanted = found(packets)
        told += len(wanted)
        assert found(pieces) == wanted
        # Wherever batches end: one may complete what another began.
        assert found(pieces, source.randint(1, 9)) == wanted
    assert in_pieces > 300 and told > 200
