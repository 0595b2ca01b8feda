"""Captures for benchmarks: real Ethernet packets of the traffic corpus, repeated to any number.

Times are renumbered, ten microseconds apart, so that event time never runs backwards.
"""

from __future__ import annotations

import itertools
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
    path = CACHE / f"ethernet-{packets}.pcap"
    if path.exists():
        return path
    if not TRAFFIC.is_dir():
        pytest.skip(f"no traffic corpus at {TRAFFIC}")
    CACHE.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
        for number, (frame, length) in enumerate(
            itertools.islice(itertools.cycle(_ethernet_frames()), packets)
        ):
            second, microsecond = divmod(number * MICROSECONDS_APART, 1_000_000)
            header = (FIRST_SECOND + second, microsecond, len(frame), length)
            file.write(struct.pack("<IIII", *header) + frame)
    unfinished.rename(path)
    return path


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
