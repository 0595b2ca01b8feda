"""Datagrams whose fragments contradict each other: what Suricata 7 tells of them is told here, too,
of the same datagram."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest
from procwire import examples
from procwire.capture.open import read_capture
from procwire.judging.examine import Examiner, examine
from procwire.rules import all_rules
from real_suricata import events

DATAGRAMS = 1500
UDP = 17
PAYLOAD = bytes.fromhex("1388 1770 00d0 0000") + bytes(range(200))

# Its events by check.
CHECKS = {
    event: check.id
    for check in all_rules()
    if check.id.startswith(("ipv4.frag_", "ipv6.frag_", "ipv6.atomic_frag"))
    for event in check.suricata
}


class Piece(NamedTuple):
    """A fragment: its place in bytes, its own, and whether more follow."""

    place: int
    data: bytes
    more: bool


def drawn(draw: random.Random) -> list[Piece]:
    """Two to four fragments of a datagram, with up to two faults."""
    cuts = [0, *sorted(draw.sample(range(8, len(PAYLOAD), 8), draw.randrange(1, 4))), len(PAYLOAD)]
    pieces = [
        Piece(begin, PAYLOAD[begin:end], end < len(PAYLOAD))
        for begin, end in zip(cuts[:-1], cuts[1:], strict=True)
    ]
    for _ in range(draw.choice((0, 1, 1, 2))):
        at = draw.randrange(len(pieces))
        place, data, more = pieces[at]
        longer = PAYLOAD[place : place + len(data) + draw.choice((1, 4, 8, 16))]
        earlier = max(0, place - 8)
        fault = draw.randrange(10)
        if fault == 0:
            pieces.append(pieces[at])
        elif fault == 1:
            pieces[at] = Piece(place, longer, more)
        elif fault == 2:
            pieces[at] = Piece(earlier, PAYLOAD[earlier : place + len(data)], more)
        elif fault == 3:
            pieces[at] = Piece(place, data, not more)
        elif fault == 4:
            pieces[at] = Piece(place, data[: -draw.randrange(1, 8)], more)
        elif fault == 5:
            pieces.insert(at, Piece(place, PAYLOAD[place : place + 8], True))
        elif fault == 6:
            far = 65528 - draw.choice((0, 8, 80))
            pieces.append(Piece(far, bytes(draw.choice((8, 72, 144))), draw.random() < 0.5))
        elif fault == 7:
            draw.shuffle(pieces)
        elif fault == 8:
            pieces.append(Piece(place, bytes(len(data)), more))
        elif len(pieces) > 1:
            del pieces[at]
    return pieces


def frame(number: int, version: int, piece: Piece) -> bytes:
    """Of datagram `number`, which comes from a host of its own."""
    host = number.to_bytes(2, "big")
    if version == 4:
        field = piece.place // 8 | 0x2000 * piece.more
        outer = examples.IPV4_TEMPLATE[:4] + host + field.to_bytes(2, "big") + b"\x40\0\0\0\x0a\0"
        packet = examples.ipv4(outer + host, UDP, piece.data)
        return examples.LINK + b"\x08\0" + packet
    field = piece.place | piece.more
    header = bytes([UDP, 0]) + field.to_bytes(2, "big") + number.to_bytes(4, "big")
    outer = examples.IPV6_TEMPLATE[:22] + host
    packet = examples.ipv6(outer, examples.FRAGMENT, header + piece.data)
    return examples.LINK + b"\x86\xdd" + packet


def found(capture: Path) -> dict[int, set[str]]:
    """Ids of checks by number of the packet."""
    examiner, told = Examiner(), defaultdict(set)
    for batch in read_capture(capture):
        for finding in examiner.complete(batch, examine(batch)).findings:
            told[int(finding["packet"])].add(all_rules()[finding["rule"]].id)
    return told


def excused(version: int, pieces: list[Piece]) -> bool:
    """Whether it tells of an overlap that the standard does not know: an exact repetition is a
    duplicate of the network's making, and a receiver drops what is uneven, of IPv4 what is less
    than a block of 8 bytes."""
    dropped = any(p.more and len(p.data) % 8 and (version == 6 or len(p.data) < 8) for p in pieces)
    return dropped or len(set(pieces)) < len(pieces)


@pytest.mark.parametrize("version", [4, 6])
def test_what_suricata_tells_of_fragments_is_told_here(version, tmp_path):
    draw = random.Random(15)
    datagrams = [drawn(draw) for _ in range(DATAGRAMS)]
    owners = [number for number, pieces in enumerate(datagrams) for _ in pieces]
    frames = [frame(n, version, piece) for n, pieces in enumerate(datagrams) for piece in pieces]
    capture = tmp_path / "fragments.pcap"
    capture.write_bytes(examples.capture(frames))
    theirs, ours = defaultdict(set), defaultdict(set)
    for packet, names in events(capture, tmp_path).items():
        theirs[owners[packet - 1]] |= {name for name in names if name in CHECKS}
    for packet, names in found(capture).items():
        ours[owners[packet - 1]] |= names
    missed = [
        (event, datagrams[number])
        for number, names in theirs.items()
        for event in names
        if CHECKS[event] not in ours[number]
        and not (event.endswith("frag_overlap") and excused(version, datagrams[number]))
    ]
    assert not missed
    told = [event for names in theirs.values() for event in names]
    assert len(told) > 300
    assert len(set(told)) == {4: 2, 6: 4}[version]
