"""What the kernels that follow conversations read of a batch, and the columns that they fill."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import fused
from procwire.compiled.prefetch import AHEAD, CACHE_LINE, prefetch
from procwire.decode.columns import (
    NOTHING_JOINED,
    Decoded,
    Joined,
    Packets,
    Spans,
    blank_packets,
)
from procwire.decode.stream_table import DIRECTIONS

NO_FLOW = -1
_ROWS_OF_LINE = CACHE_LINE // 8
_FAR = 4 * _ROWS_OF_LINE
_PAST_PORTS = 12


class Source(NamedTuple):
    """A batch of n packets. data: uint8, the memory they lie in; times: int64 (n,), ns since the
    epoch; flows, span, joined: as in Decoded; first: number of the first packet in its source;
    is_joined: whether data, spans and span are those of joined.
    """

    data: NDArray[np.uint8]
    packets: Packets
    spans: Spans
    times: NDArray[np.int64]
    flows: NDArray[np.uint64]
    span: NDArray[np.int32]
    first: int = 1
    joined: Joined = NOTHING_JOINED
    is_joined: bool = False


class Ended(NamedTuple):
    """One row per stream that the end of the input cuts short, rows of others are empty. number:
    int64, of the last packet that added to it; time: int64, ns since the epoch, of that packet;
    packets: what it looked like, as far as a flow remembers."""

    packets: Packets
    number: NDArray[np.int64]
    time: NDArray[np.int64]


class FlowColumns(NamedTuple):
    """One row per packet of a batch.

    flow: int32, slot of its flow in the table, or NO_FLOW; sender: uint8, 0 for the end that opened
    the flow (or was seen first), 1 for the other; observed: int64, bits of observations.py;
    trusted: int64, those of them whose context holds.
    """

    flow: NDArray[np.int32]
    sender: NDArray[np.uint8]
    observed: NDArray[np.int64]
    trusted: NDArray[np.int64]


class RowRange(NamedTuple):
    """A part of a batch. first: its first row; end: the one behind its last."""

    first: int
    end: int


def source(batch: PacketBatch, decoded: Decoded) -> Source:
    """A batch and what decode() made of it."""
    packets, spans, flows, span = decoded.packets, decoded.spans, decoded.flows, decoded.span
    return Source(batch.data, packets, spans, batch.time, flows, span, batch.first, decoded.joined)


@fused
def joined_source(source: Source) -> Source:
    """The same rows, with the bytes of the datagrams that they complete."""
    joined = source.joined
    return Source(
        joined.data,
        source.packets,
        joined.spans,
        source.times,
        source.flows,
        joined.span,
        source.first,
        joined,
        True,
    )


def ends_of_streams() -> Ended:
    """Rows for all streams, none of them ended."""
    zeros = np.zeros(DIRECTIONS, np.int64)
    return Ended(blank_packets(DIRECTIONS), zeros, zeros.copy())


def blank_columns(count: int) -> FlowColumns:
    """Columns in which nothing was seen yet."""
    return FlowColumns(
        flow=np.full(count, NO_FLOW, np.int32),
        sender=np.zeros(count, np.uint8),
        observed=np.zeros(count, np.int64),
        trusted=np.zeros(count, np.int64),
    )


@fused
def ask_ahead(source: Source, row: int) -> None:
    """Ask for what rows to come read of the batch: more columns than the processor itself would
    follow, the place of their transport headers, and some rows later these headers."""
    packets, spans, last = source.packets, source.spans, source.times.size - 1
    if row & (_ROWS_OF_LINE - 1) == 0:
        far = min(row + _FAR, last)
        prefetch(source.flows, far, 0, 1)
        prefetch(source.times, far, 0, 1)
        prefetch(packets.src_hi, far, 0, 1)
        prefetch(packets.src_lo, far, 0, 1)
        prefetch(packets.dst_hi, far, 0, 1)
        prefetch(packets.dst_lo, far, 0, 1)
        prefetch(source.span, far, 0, 1)
        prefetch(packets.seq, far, 0, 1)
        prefetch(packets.ack, far, 0, 1)
        prefetch(packets.payload, far, 0, 1)
    span = max(source.span[min(row + 2 * AHEAD, last)], 0)
    prefetch(spans.start, span, 0, 1)
    prefetch(spans.captured, span, 0, 1)
    prefetch(spans.length, span, 0, 1)
    prefetch(spans.outer, span, 0, 1)
    span = source.span[min(row + AHEAD, last)]
    if span >= 0:
        prefetch(source.data, spans.start[span] + _PAST_PORTS, 0, 1)
