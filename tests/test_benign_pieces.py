"""Benign captures that miss something, or came another way than they were sent: no rule that always
alerts fires on them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from captures import Frame, pcap
from procwire.capture.batch import ETHERNET
from procwire.capture.open import read_capture
from score import alerts_of, is_alert

WIRE = Path(__file__).parent.parent.parent / "shared" / "corpus" / "wire"
SMALLEST = 80  # captures
MILLISECOND = 1_000_000
IPV4 = b"\x08\0"
LATER = MILLISECOND // 50

pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="no labelled recordings beside this")


def frames_of(capture: Path) -> list[Frame] | None:
    """None where it is not of Ethernet."""
    frames = []
    for batch in read_capture(capture):
        if (batch.link != ETHERNET).any():
            return None
        for start, size, wire, time in zip(
            batch.start, batch.captured, batch.length, batch.time, strict=True
        ):
            data = batch.data[start:][:size].tobytes()
            frames.append(Frame(data, int(time), int(wire)))
    return frames


def begun_in_the_middle(frames: list[Frame]) -> list[Frame]:
    return frames[len(frames) // 3 :]


def one_sided(frames: list[Frame]) -> list[Frame]:
    """Of each pair of IPv4 hosts what the lesser address sends; all else as it is."""
    return [
        frame
        for frame in frames
        if frame.data[12:14] != IPV4 or frame.data[26:30] <= frame.data[30:34]
    ]


def other_sided(frames: list[Frame]) -> list[Frame]:
    return [
        frame
        for frame in frames
        if frame.data[12:14] != IPV4 or frame.data[26:30] >= frame.data[30:34]
    ]


def snapped(frames: list[Frame]) -> list[Frame]:
    return [frame._replace(data=frame.data[:SNAP]) for frame in frames]


def reordered(frames: list[Frame]) -> list[Frame]:
    draw = random.Random(15)
    late = [f._replace(time=f.time + draw.choice((0, 0, 0, 3)) * MILLISECOND) for f in frames]
    return sorted(late, key=lambda frame: frame.time)


def mirrored_twice(frames: list[Frame]) -> list[Frame]:
    return [copy for frame in frames for copy in (frame, frame._replace(time=frame.time + LATER))]


def with_gaps(frames: list[Frame]) -> list[Frame]:
    draw = random.Random(15)
    return [frame for frame in frames if draw.random() < 0.9]


SNAP = 96
WAYS = (
    *(begun_in_the_middle, one_sided, other_sided, snapped),
    *(reordered, mirrored_twice, with_gaps),
)


@pytest.fixture(scope="module")
def benign() -> dict[str, list[Frame]]:
    """Those that every peer is silent about, by name."""
    labels = [json.loads(line) for line in (WIRE / "labels.jsonl").read_text().splitlines()]
    paths = [WIRE / label["pcap"] for label in labels if label["benign"] == "gold"]
    small = sorted(paths, key=lambda path: path.stat().st_size)[:SMALLEST]
    found = {path.name: frames_of(path) for path in small}
    return {name: frames for name, frames in found.items() if frames}


@pytest.mark.parametrize("way", WAYS)
def test_no_rule_that_always_alerts_fires(
    way: Callable[[list[Frame]], list[Frame]], benign: dict[str, list[Frame]], tmp_path: Path
) -> None:
    capture, raised = tmp_path / "piece.pcap", []
    for name, frames in benign.items():
        capture.write_bytes(
            pcap(way(frames), nanoseconds=True, snap=SNAP if way is snapped else 1 << 18)
        )
        raised += [
            (name, alert.check.id)
            for alert in alerts_of(capture)
            if alert.check.tier == "A" and is_alert(alert)
        ]
    assert len(benign) > SMALLEST // 2
    assert raised == []
