"""What the decode kernels read from and write to: a layer's extent in the data, the output arrays,
and why a packet was not decoded further.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused
from procwire.decode.columns import Packets, Spans
from procwire.generated.gates import may_break
from procwire.layers import MALFORMED
from procwire.words import Span

SKIP_REASONS = (
    "snapped header",
    "truncated link header",
    "unknown ethertype",
    "802.3 length frame",
    "too many VLAN tags",
    "IP fragment",
    "too many extension headers",
    "IP protocol not decoded",
    "too many layers",
)
"""Why a packet's inner layers were not decoded, where its own fault in a decoded layer is not the
reason. A packet counts once at most."""

(
    SNAPPED,
    LINK_TRUNCATED,
    UNKNOWN_ETHERTYPE,
    LENGTH_FRAME,
    TOO_MANY_TAGS,
    FRAGMENT,
    TOO_MANY_EXTENSIONS,
    UNKNOWN_PROTOCOL,
    TOO_MANY_LAYERS,
) = range(len(SKIP_REASONS))
NOT_SKIPPED = -1
NO_TUNNEL = -1


class Extent(NamedTuple):
    """The bytes of one layer: index of the first, how many are present, how many were on the wire.
    What was captured never exceeds what was on the wire.
    """

    start: int
    captured: int
    length: int


class Output(NamedTuple):
    """The arrays a decode kernel fills. suspects: int32, as in Decoded; used: int64 (2,), rows of
    spans and of suspects filled so far; inner: int64 (4,), the packet that the one decoded last is
    a tunnel for: its link type or NO_TUNNEL, and its extent; cut: bool (1,), PacketBatch.cut of the
    packet at hand; segments: as of decode().
    """

    packets: Packets
    spans: Spans
    suspects: NDArray[np.int32]
    used: NDArray[np.int64]
    inner: NDArray[np.int64]
    cut: NDArray[np.bool_]
    segments: bool


@fused
def after(layer: Extent, size: int) -> Extent:
    """What follows the first `size` bytes; size must not exceed the length."""
    captured = max(layer.captured - size, 0)
    return Extent(layer.start + size, captured, layer.length - size)


@fused
def first(layer: Extent, length: int) -> Extent:
    """The first `length` bytes; length must not exceed the layer's."""
    return Extent(layer.start, min(layer.captured, length), length)


@fused
def emit(
    data: NDArray[np.uint8], output: Output, row: int, layer: int, extent: Extent, outer: int
) -> int:
    """Add the span of a layer of packet `row`; outer: the row of the span around it, or -1.
    Returns the new span's row.
    """
    span = add(output, row, layer, extent, outer)
    # The header is at hand, and its layer is mostly a constant here.
    if may_break(layer, Span(data, extent.start, extent.captured, extent.length)):
        suspect(output, span)
    return span


@fused
def add(output: Output, row: int, layer: int, extent: Extent, outer: int) -> int:
    """As emit(), of a span of which no rule is asked unless suspect() says so."""
    at = int(output.used[0])
    spans = output.spans
    spans.packet[at] = row
    spans.layer[at] = layer
    spans.start[at] = extent.start
    spans.captured[at] = extent.captured
    spans.length[at] = extent.length
    spans.outer[at] = outer
    output.used[0] = at + 1
    return at


@fused
def suspect(output: Output, span: int) -> None:
    """Have the rules look at the latest span."""
    count = int(output.used[1])
    output.suspects[count] = span
    output.used[1] = count + 1


@fused
def carry(output: Output, link: int, payload: Extent) -> int:
    """What was decoded is a tunnel: `payload` is the packet inside, of that link type. Nothing was
    skipped."""
    inner = output.inner
    inner[0], inner[1], inner[2], inner[3] = link, payload.start, payload.captured, payload.length
    return NOT_SKIPPED


@fused
def malformed(output: Output, span: int) -> int:
    """Move the latest span to its layer's malformed twin. Decoding ends there, and nothing was
    skipped."""
    output.spans.layer[span] += MALFORMED
    count = int(output.used[1])
    if count == 0 or output.suspects[count - 1] != span:
        suspect(output, span)
    return NOT_SKIPPED
