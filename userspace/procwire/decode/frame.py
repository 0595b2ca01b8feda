"""Decodes a batch of packets in one pass: bytes to one row per packet and one row per layer, and
whether the layers' checksums are right.

What nearly all packets are takes the fast path (fast_path.py), all else any_frame.py. Only captured
bytes are read, and a header is short only where the wire was.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, CACHE_LINE, lines_of, prefetch
from procwire.decode.any_frame import MOST_SPANS, decode_any
from procwire.decode.columns import Decoded, Packets, Spans, Verified, unwritten_packets
from procwire.decode.fast_path import decode_usual
from procwire.decode.flow_hash import hash_of
from procwire.decode.output import NOT_SKIPPED, SKIP_REASONS, Extent, Output

__all__ = ["SKIP_REASONS", "decode"]

# Room for what traffic has: memory that was asked for and not used becomes resident all the same,
# as the next batch gets another piece of it.
_USUAL_SPANS = 4
# All of a packet is summed, and no more lines are asked for than Ethernet's largest has.
_MOST_LINES = lines_of(1518)


def decode(batch: PacketBatch, segments: bool = True) -> Decoded:
    """Decode every packet of a batch. segments: whether rules look at the messages that TCP
    segments begin with, which may also be left to whoever reads their streams.

    Returns packets, one row per packet; spans, outer layers first; skipped, int64
    (len(SKIP_REASONS),), how many packets of this batch were not decoded further, by reason.
    Raises ValueError where a row points outside the data or has more captured than its length.
    """
    count, row = batch.start.size, 0
    filling = Filling(count, segments)
    while row < count:
        row = _decode_rows(batch, filling.columns, row)
        if row < 0:
            raise ValueError(f"row {-1 - row} of the batch does not lie in its data")
        if row < count:
            filling.make_room()
    return filling.decoded(count)


class Columns(NamedTuple):
    """What kernels fill of packets that they decode. found, flows: Decoded.span, Decoded.flows."""

    output: Output
    skipped: NDArray[np.int64]
    found: NDArray[np.int32]
    flows: NDArray[np.uint64]
    verified: Verified


class Filling:
    """Columns of up to `count` packets that are being decoded. segments: as of decode()."""

    def __init__(self, count: int, segments: bool) -> None:
        room = count * _USUAL_SPANS + MOST_SPANS
        used, inner, cut = np.zeros(2, np.int64), np.zeros(4, np.int64), np.zeros(1, np.bool_)
        packets, suspects = unwritten_packets(count), np.empty(room, np.int32)
        self.columns = Columns(
            Output(packets, _spans(room), suspects, used, inner, cut, segments),
            np.zeros(len(SKIP_REASONS), np.int64),
            np.empty(count, np.int32),
            np.empty(count, np.uint64),
            _verified(room),
        )

    def make_room(self) -> None:
        """Have room for twice as many spans."""
        output, verified = self.columns.output, self.columns.verified
        room, used = 2 * len(output.suspects), output.used[0]
        spans, sums, suspects = _spans(room), _verified(room), np.empty(room, np.int32)
        before: list[NDArray[Any]] = [*output.spans, *verified, output.suspects]
        larger: list[NDArray[Any]] = [*spans, *sums, suspects]
        for column, full in zip(larger, before, strict=True):
            column[:used] = full[:used]
        output = output._replace(spans=spans, suspects=suspects)
        self.columns = self.columns._replace(output=output, verified=sums)

    def decoded(self, count: int) -> Decoded:
        """The first `count` packets, as far as they are all that was decoded."""
        output, skipped, found, flows, verified = self.columns
        spans, suspects = output.used.tolist()
        return Decoded(
            Packets._make(column[:count] for column in output.packets),
            Spans._make(column[:spans] for column in output.spans),
            skipped,
            flows[:count],
            found[:count],
            Verified._make(column[:spans] for column in verified),
            output.suspects[:suspects],
        )


def _spans(count: int) -> Spans:
    return Spans(
        packet=np.empty(count, np.int32),
        layer=np.empty(count, np.uint8),
        start=np.empty(count, np.int64),
        captured=np.empty(count, np.int32),
        length=np.empty(count, np.int32),
        outer=np.empty(count, np.int32),
    )


def _verified(count: int) -> Verified:
    return Verified(states=np.empty(count, np.uint8), keys=np.empty(count, np.uint64))


@kernel
def _decode_rows(batch: PacketBatch, columns: Columns, first: int) -> int:
    """Decode rows from `first` on while there is room; returns the first one that is left, or -1
    less the row that does not lie in the data."""
    count = batch.start.size
    for row in range(first, count):
        coming = min(row + AHEAD, count - 1)
        lines = int(batch.captured[coming] + CACHE_LINE - 1) // CACHE_LINE
        prefetch(batch.data, batch.start[coming], 0, min(lines, _MOST_LINES))
        if not has_room(columns):
            return row
        captured, start = np.int64(batch.captured[row]), np.int64(batch.start[row])
        if not 0 <= captured <= batch.length[row]:
            return -1 - row
        if not 0 <= start <= batch.data.size - captured:
            return -1 - row
        decode_row(batch, columns, row)
    return count


@fused
def has_room(columns: Columns) -> bool:
    """Whether there is room for the spans of whatever packet comes next."""
    output = columns.output
    return bool(output.used[0] <= output.suspects.size - MOST_SPANS)


@fused
def decode_row(batch: PacketBatch, columns: Columns, row: int) -> None:
    """Decode packet `row`, which lies in the batch's data, and verify its checksums while what they
    lie in is near."""
    output, found, verified = columns.output, columns.found, columns.verified
    frame = Extent(
        int(np.int64(batch.start[row])),
        int(np.int64(batch.captured[row])),
        int(np.int64(batch.length[row])),
    )
    if not decode_usual(batch, frame, row, found, output, verified):
        reason = decode_any(batch, frame, row, found, output, verified)
        if reason != NOT_SKIPPED:
            columns.skipped[reason] += 1
    columns.flows[row] = hash_of(output.packets, row)
