"""Decodes a batch of packets in one pass: bytes to one row per packet and one row per layer, and
whether the layers' checksums are right.

What nearly all packets are is decoded by itself (usual.py), all else by any_frame.py. Only captured
bytes are read, and a header is short only where the wire was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import kernel
from procwire.compiled.prefetch import AHEAD, CACHE_LINE, lines_of, prefetch
from procwire.decode.any_frame import MOST_SPANS, decode_any
from procwire.decode.columns import Decoded, Spans, Verified, unwritten_packets
from procwire.decode.flow_hash import hash_of
from procwire.decode.output import NOT_SKIPPED, SKIP_REASONS, Extent, Output
from procwire.decode.usual import decode_usual

__all__ = ["SKIP_REASONS", "decode"]

# Room for what traffic has: memory that was asked for and not used becomes resident all the same,
# as the next batch gets another piece of it.
_USUAL_SPANS = 5
# All of a packet is summed, and no more lines are asked for than Ethernet's largest has.
_MOST_LINES = lines_of(1518)


def decode(batch: PacketBatch, segments: bool = True) -> Decoded:
    """Decode every packet of a batch. segments: whether rules look at the messages that TCP
    segments begin with, which may also be left to whoever reads their streams.

    Returns packets, one row per packet; spans, outer layers first; skipped, int64
    (len(SKIP_REASONS),), how many packets of this batch were not decoded further, by reason.
    Raises ValueError where a row points outside the data or has more captured than its length.
    """
    count = batch.start.size
    room = count * _USUAL_SPANS + MOST_SPANS
    packets, spans, verified = unwritten_packets(count), _spans(room), _verified(room)
    skipped = np.zeros(len(SKIP_REASONS), np.int64)
    suspects = np.empty(room, np.int32)
    used, inner, cut = np.zeros(2, np.int64), np.zeros(4, np.int64), np.zeros(1, np.bool_)
    flows, found = np.empty(count, np.uint64), np.empty(count, np.int32)
    row = 0
    while True:
        output = Output(packets, spans, suspects, used, inner, cut, segments)
        row = _decode_rows(batch, output, skipped, found, flows, verified, row)
        if row < 0:
            raise ValueError(f"row {-1 - row} of the batch does not lie in its data")
        if row == count:
            filled = Spans._make(column[: used[0]] for column in spans)
            sums = Verified._make(column[: used[0]] for column in verified)
            return Decoded(packets, filled, skipped, flows, found, sums, suspects[: used[1]])
        room *= 2
        before: list[NDArray[Any]] = [*spans, *verified, suspects]
        spans, verified, suspects = _spans(room), _verified(room), np.empty(room, np.int32)
        larger: list[NDArray[Any]] = [*spans, *verified, suspects]
        for column, full in zip(larger, before, strict=True):
            column[: used[0]] = full[: used[0]]


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
def _decode_rows(
    batch: PacketBatch,
    output: Output,
    skipped: NDArray[np.int64],
    found: NDArray[np.int32],
    flows: NDArray[np.uint64],
    verified: Verified,
    first: int,
) -> int:
    """Decode rows from `first` on while there is room, and verify their checksums while what they
    lie in is near; returns the first one that is left, or -1 less the row that does not lie in the
    data. found, flows: Decoded.span, Decoded.flows."""
    room, count = output.spans.layer.size - MOST_SPANS, batch.start.size
    for row in range(first, count):
        coming = min(row + AHEAD, count - 1)
        lines = int(batch.captured[coming] + CACHE_LINE - 1) // CACHE_LINE
        prefetch(batch.data, batch.start[coming], 0, min(lines, _MOST_LINES))
        if output.used[0] > room:
            return row
        frame = Extent(
            int(np.int64(batch.start[row])),
            int(np.int64(batch.captured[row])),
            int(np.int64(batch.length[row])),
        )
        if not 0 <= frame.captured <= frame.length:
            return -1 - row
        if not 0 <= frame.start <= batch.data.size - frame.captured:
            return -1 - row
        if not decode_usual(batch, frame, row, found, output, verified):
            reason = decode_any(batch, frame, row, found, output, verified)
            if reason != NOT_SKIPPED:
                skipped[reason] += 1
        flows[row] = hash_of(output.packets, row)
    return count
