"""Captures for benchmarks: real Ethernet packets of the traffic corpus, repeated to any number.

Times are renumbered, ten microseconds apart, so that event time never runs backwards. Each round
has hosts of its own: repeated as they are, packets would be retransmissions, which every engine
drops early. The lower address of a pair rises by as much as the higher one falls, so checksums
hold.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
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
    frames = _ethernet_frames()
    records, ends, words, rises = _one_round(frames)
    with unfinished.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
        for turn, first in enumerate(range(0, packets, len(frames))):
            count = min(len(frames), packets - first)
            changed = records.copy()
            _stamp(changed, ends, first)
            # Ones' complement, as in the checksums that must not notice.
            moved = (changed[words] * 256 + changed[words + 1] + turn * rises) % 0xFFFF
            if turn:
                changed[words], changed[words + 1] = moved >> 8, moved & 0xFF
            changed[: ends[count - 1]].astype(np.uint8).tofile(file)
    unfinished.rename(path)
    return path


# Ethertype -> where the addresses lie, their size, and the first bytes of those that name no host.
_ADDRESSES = {
    b"\x08\x00": (26, 4, (0, 127, *range(224, 256))),
    b"\x86\xdd": (22, 16, (0, 255)),
}
_HEADER = struct.Struct("<IIII")


def _one_round(frames: list[tuple[bytes, int]]) -> tuple[NDArray[np.int32], ...]:
    """The bytes of every packet with its header in a capture, as integers; where each ends; where
    the last two bytes of addresses of hosts lie; and by how much these rise each round."""
    parts, ends, words, rises, at = [], [], [], [], 0
    for frame, length in frames:
        parts += [_HEADER.pack(0, 0, len(frame), length), frame]
        if frame[12:14] in _ADDRESSES:
            offset, size, special = _ADDRESSES[frame[12:14]]
            one, other = frame[offset : offset + size], frame[offset + size : offset + 2 * size]
            if len(other) == size and one[0] not in special and other[0] not in special:
                last = at + _HEADER.size + offset + size - 2
                words += [last, last + size]
                rises += [1, -1] if one < other else [-1, 1]
        at += _HEADER.size + len(frame)
        ends.append(at)
    records = np.frombuffer(b"".join(parts), np.uint8).astype(np.int32)
    return records, *(np.array(column, np.int32) for column in (ends, words, rises))


def _stamp(records: NDArray[np.int32], ends: NDArray[np.int32], first: int) -> None:
    """Write the times of the packets of a round, of which the first is packet number `first`."""
    starts = np.append(0, ends[:-1])
    times = (first + np.arange(len(ends))) * MICROSECONDS_APART
    for at, value in ((0, FIRST_SECOND + times // 1_000_000), (4, times % 1_000_000)):
        for byte in range(4):
            records[starts + at + byte] = value >> 8 * byte & 0xFF


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
