"""Captures as tests read them: frames with their time and length."""

from __future__ import annotations

from pathlib import Path

import pytest
from captures import SECOND, START, Frame, enhanced, interface, pcap, section
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.errors import InputDamaged

FRAMES = [
    Frame(b"", START),
    Frame(b"a" * 14, START + 1_000),
    Frame(bytes(range(60)), START + 5 * SECOND + 999_999_000, 1500),
    Frame(b"z" * 9000, START + 6 * SECOND),
]
PCAP = pcap(FRAMES)
NG = section() + interface(105) + interface(1) + enhanced(b"abcd", 1, number=1)


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
