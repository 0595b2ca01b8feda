"""Captures for benchmarks: real Ethernet packets of the traffic corpus, repeated to any number.

Times are renumbered, ten microseconds apart, so that event time never runs backwards. Each round
has hosts of its own: repeated as they are, packets would be retransmissions, which every engine
drops early. The lower address of a pair rises by as much as the higher one falls, so checksums
hold.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from procwire.capture.batch import ETHERNET
from procwire.capture.open import read_capture
from procwire.errors import InputDamaged

REPOSITORY = Path(__file__).parent.parent
TRAFFIC = REPOSITORY.parent / "shared" / "corpus" / "traffic"
CACHE = REPOSITORY / ".cache"
FIRST_SECOND = 1_700_000_000
MICROSECONDS_APART = 10


def ethernet_capture(packets: int) -> Path:
    """A little-endian microsecond pcap of exactly `packets` packets, built once and kept. Skips the
    benchmark where the corpus is absent.
    """
    path = CACHE / f"traffic-{packets}.pcap"
    if path.exists():
        return path
    if not TRAFFIC.is_dir():
        pytest.skip(f"no traffic corpus at {TRAFFIC}")
    CACHE.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
        frames = _ethernet_frames()
        for number in range(packets):
            turn, place = divmod(number, len(frames))
            frame, length = frames[place]
            frame = _moved(frame, turn)
            second, microsecond = divmod(number * MICROSECONDS_APART, 1_000_000)
            header = (FIRST_SECOND + second, microsecond, len(frame), length)
            file.write(struct.pack("<IIII", *header) + frame)
    unfinished.rename(path)
    return path


# Ethertype -> where the addresses lie, their size, and the first bytes of those that name no host.
_ADDRESSES = {
    b"\x08\x00": (26, 4, (0, 127, *range(224, 256))),
    b"\x86\xdd": (22, 16, (0, 255)),
}


def _moved(frame: bytes, turn: int) -> bytes:
    """The frame between the hosts of round `turn`; those of round 0 are the real ones."""
    if turn == 0 or frame[12:14] not in _ADDRESSES:
        return frame
    at, size, special = _ADDRESSES[frame[12:14]]
    first, second = frame[at : at + size], frame[at + size : at + 2 * size]
    if len(second) < size or first[0] in special or second[0] in special:
        return frame
    rise = turn if first < second else -turn
    changed = bytearray(frame)
    for address, step in ((at, rise), (at + size, -rise)):
        last = address + size - 2
        # Ones' complement, as in the checksums that must not notice.
        word = (int.from_bytes(frame[last : last + 2]) + step) % 0xFFFF
        changed[last : last + 2] = word.to_bytes(2)
    return bytes(changed)


def _ethernet_frames() -> list[tuple[bytes, int]]:
    """(captured bytes, length on the wire) of every Ethernet packet in the corpus, by file name."""
    frames = []
    for path in sorted(TRAFFIC.iterdir()):
        try:
            for batch in read_capture(path):
                for start, captured, length, link in zip(
                    batch.start, batch.captured, batch.length, batch.link, strict=True
                ):
                    if link == ETHERNET:
                        frame = batch.data[start : start + captured].tobytes()
                        frames.append((frame, int(length)))
        except InputDamaged:
            continue
    return frames
