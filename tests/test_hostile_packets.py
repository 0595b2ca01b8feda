"""Packets cut at every offset, with numbers that lie, and of random bytes: the whole path survives.

Compiled code does not notice a read outside a packet. So every packet is judged twice, with other
bytes behind it, and nothing may differ: neither columns nor layers, findings nor attempts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from batches import timed
from frames import LINKS, frame
from numpy.typing import NDArray
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.contacts import Contacts
from procwire.errors import InputDamaged
from procwire.judging.examine import Examiner, examine
from procwire.judging.observe import Observer
from procwire.settings import Settings

# Every offset of the headers and of what begins a message; in each LONG_ONES-th packet, every one.
DEEPEST_CUT, LONG_ONES, LONGEST = 96, 1024, 1514
ROWS_A_BATCH = 1 << 15
# What a length, count, offset or pointer says where it lies.
LIES = (0x00, 0x01, 0x3F, 0x7F, 0x80, 0xC0, 0xFF)
DEEPEST_LIE = 96
SETTINGS = Settings.model_validate({"flows": {"capacity": 4096}, "contacts": {"capacity": 4096}})


class Judge:
    """The whole path from packets to findings and attempts, over one input."""

    def __init__(self) -> None:
        self._examiner, self._observer = Examiner(), Observer(SETTINGS.flows)
        self._contacts = Contacts(SETTINGS.contacts.capacity)

    def says(self, batch: PacketBatch) -> list[NDArray]:
        """All that is said of the packets, positions counted from each packet's first byte."""
        decoded, judged = self._examiner.complete(batch, examine(batch))
        observed = self._observer.update(batch, decoded)
        (attempts,) = self._contacts.update(timed(batch), decoded)
        spans = decoded.spans
        places = spans.start - batch.start[spans.packet]
        told = [*decoded.packets, *spans._replace(start=places), decoded.skipped]
        return [*told, judged, observed, attempts]


class Twice:
    """Judges packets that lie in memory among others, and again with other bytes behind them."""

    def __init__(self) -> None:
        self._one, self._other = Judge(), Judge()
        self.packets = 0

    def judge(self, batch: PacketBatch) -> list[NDArray]:
        """All that is said of the packets."""
        said, said_again = self._one.says(batch), self._other.says(moved(batch))
        for column, again in zip(said, said_again, strict=True):
            np.testing.assert_array_equal(column, again)
        self.packets += len(batch.start)
        return said


def moved(batch: PacketBatch) -> PacketBatch:
    """The same packets in turned order in memory, so that each has another neighbour, and the last
    one nothing but zeros."""
    sizes = batch.captured.astype(np.int64)
    ends = np.cumsum(sizes[::-1])[::-1]
    start = ends - sizes
    take = np.repeat((batch.start - start)[::-1], sizes[::-1]) + np.arange(sizes.sum())
    data = np.concatenate([batch.data[take], np.zeros(64, np.uint8)])
    # As captures are: numba compiles all kernels once more for arrays that can be written.
    data.flags.writeable = False
    return batch._replace(data=data, start=start)


def captures(corpus: Path) -> list[Path]:
    return sorted(path for path in corpus.rglob("*") if path.suffix in (".pcap", ".pcapng"))


def batches_of(path: Path) -> Iterator[PacketBatch]:
    try:
        yield from read_capture(path)
    except InputDamaged:
        # What came before the damage.
        return


def all_in_one(folder: Path) -> PacketBatch:
    """The packets of all captures in a folder, one after the other."""
    batches = [batch for path in captures(folder) for batch in batches_of(path)]
    packets = [
        (batch.data[start : start + captured].tobytes(), length, link)
        for batch in batches
        for start, captured, length, link in zip(
            *(
                column.tolist()
                for column in (batch.start, batch.captured, batch.length, batch.link)
            ),
            strict=True,
        )
    ]
    return batch_of(packets)._replace(time=np.concatenate([batch.time for batch in batches]))


def cut(batch: PacketBatch, on_the_wire: bool) -> Iterator[PacketBatch]:
    """Every packet of a batch cut at every offset; there it ended, or there the capture did."""
    whole = np.arange(len(batch.start)) % LONG_ONES == 0
    deepest = np.where(whole, LONGEST, DEEPEST_CUT)
    cuts = np.minimum(batch.captured, deepest) + 1
    rows = np.repeat(np.arange(len(cuts)), cuts)
    kept = (np.arange(len(rows)) - np.repeat(np.cumsum(cuts) - cuts, cuts)).astype(np.int32)
    for first in range(0, len(rows), ROWS_A_BATCH):
        row, captured = rows[first : first + ROWS_A_BATCH], kept[first : first + ROWS_A_BATCH]
        length = captured if on_the_wire else batch.length[row]
        yield batch._replace(
            start=batch.start[row],
            captured=captured,
            length=length,
            cut=captured < length,
            time=batch.time[row],
            link=batch.link[row],
        )


@pytest.fixture(scope="module")
def wire(corpus: Path) -> PacketBatch:
    return all_in_one(corpus / "wire")


@pytest.mark.parametrize("on_the_wire", [True, False], ids=["truncated", "snapped"])
def test_every_packet_cut_at_every_offset(wire: PacketBatch, on_the_wire: bool) -> None:
    twice = Twice()
    for cuts in cut(wire, on_the_wire):
        judged, observed = twice.judge(cuts)[-3:-1]
        for findings in (judged, observed):
            ends = findings["start"].astype(np.int64) + findings["size"]
            assert (ends <= cuts.captured[findings["row"]]).all()
    assert twice.packets > 1_000_000


def batch_of(packets: list[tuple[bytes, int, int]]) -> PacketBatch:
    """(captured bytes, length on the wire, link type) each, a second apart."""
    captured = np.array([len(data) for data, _, _ in packets], np.int32)
    length = np.array([length for _, length, _ in packets], np.int32)
    return PacketBatch(
        data=np.frombuffer(b"".join(data for data, _, _ in packets) + b"\0", np.uint8),
        start=np.cumsum(captured, dtype=np.int64) - captured,
        captured=captured,
        length=length,
        time=np.arange(len(packets), dtype=np.int64) * 1_000_000_000,
        link=np.array([link for _, _, link in packets], np.uint16),
        first=1,
        cut=captured < length,
    )


def lies(batch: PacketBatch, row: int) -> list[tuple[bytes, int, int]]:
    """One packet, each of its first bytes in turn with every value of LIES."""
    start, captured = int(batch.start[row]), min(int(batch.captured[row]), LONGEST)
    packet = bytearray(batch.data[start : start + captured])
    told = []
    for place in range(min(captured, DEEPEST_LIE)):
        true = packet[place]
        for value in LIES:
            packet[place] = value
            told.append((bytes(packet), int(batch.length[row]), int(batch.link[row])))
        packet[place] = true
    return told


def test_numbers_that_lie(corpus: Path) -> None:
    twice = Twice()
    told: list[tuple[bytes, int, int]] = []
    for path in captures(corpus / "wire"):
        batch = next(batches_of(path), None)
        if batch is not None:
            # The last packet of the first batch: what is odd in a capture is seldom at its start.
            told += lies(batch, len(batch.start) - 1)
        if len(told) > ROWS_A_BATCH:
            twice.judge(batch_of(told))
            told = []
    twice.judge(batch_of(told))
    assert twice.packets > 200_000


def test_random_bytes_and_random_packets() -> None:
    source, twice = Random(20261121), Twice()
    for _ in range(4):
        packets = []
        for _ in range(4000):
            data = source.randbytes(source.randrange(200))
            packets.append((data, len(data) + source.choice((0, 0, 50)), source.choice(LINKS)))
            packets.append(frame(source))
        twice.judge(batch_of(packets))
