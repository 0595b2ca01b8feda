"""Decodes a batch of packets in one pass: bytes to one row per packet and one row per layer.

link.py reduces every link type to an ethertype and what follows it; network.py and transport.py
take it from there. Only captured bytes are read, and a header is short only where the wire was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u16
from procwire.decode.columns import Decoded, Packets, Spans
from procwire.decode.link import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    link_ethertype,
    link_header_size,
)
from procwire.decode.network import decode_arp, decode_ipv4, decode_ipv6
from procwire.decode.output import (
    LENGTH_FRAME,
    LINK_TRUNCATED,
    NOT_SKIPPED,
    SKIP_REASONS,
    SNAPPED,
    TOO_MANY_TAGS,
    UNKNOWN_ETHERTYPE,
    Extent,
    Output,
    after,
    emit,
)
from procwire.jit import fused, kernel

__all__ = ["SKIP_REASONS", "decode"]

_TAG = 4
_TAG_LIMIT = 4
# Ethernet, four tags, a network, a transport and an application layer.
_SPANS_A_PACKET = _TAG_LIMIT + 4

# IEEE 802.1Q, 802.1ad, and what came before 802.1ad.
_TAG_ETHERTYPES = (0x8100, 0x88A8, 0x9100)
# IEEE 802.3 clause 3.2.6: smaller values are lengths.
_SMALLEST_ETHERTYPE = 1536


def decode(batch: PacketBatch) -> Decoded:
    """Decode every packet of a batch.

    Returns packets, one row per packet; spans, outer layers first; skipped, int64
    (len(SKIP_REASONS),), how many packets of this batch were not decoded further, by reason.
    Raises ValueError where a row points outside the data or has more captured than its length.
    """
    count = batch.start.size
    packets = Packets(
        network=np.zeros(count, np.uint8),
        protocol=np.zeros(count, np.uint8),
        transport=np.zeros(count, np.uint8),
        tcp_flags=np.zeros(count, np.uint8),
        ttl=np.zeros(count, np.uint8),
        fragment=np.zeros(count, np.uint8),
        src_hi=np.zeros(count, np.uint64),
        src_lo=np.zeros(count, np.uint64),
        dst_hi=np.zeros(count, np.uint64),
        dst_lo=np.zeros(count, np.uint64),
        src_port=np.zeros(count, np.uint16),
        dst_port=np.zeros(count, np.uint16),
        payload=np.zeros(count, np.int32),
        seq=np.zeros(count, np.uint32),
        ack=np.zeros(count, np.uint32),
    )
    capacity = count * _SPANS_A_PACKET
    spans = Spans(
        packet=np.empty(capacity, np.int32),
        layer=np.empty(capacity, np.uint8),
        start=np.empty(capacity, np.int64),
        captured=np.empty(capacity, np.int32),
        length=np.empty(capacity, np.int32),
        outer=np.empty(capacity, np.int32),
    )
    skipped = np.zeros(len(SKIP_REASONS), np.int64)
    used = np.zeros(1, np.int64)
    bad_row = _decode_packets(batch, Output(packets, spans, used), skipped)
    if bad_row >= 0:
        raise ValueError(f"row {bad_row} of the batch does not lie in its data")
    return Decoded(packets, Spans._make(column[: used[0]] for column in spans), skipped)


@kernel
def _decode_packets(batch: PacketBatch, output: Output, skipped: NDArray[np.int64]) -> int:
    """Decode all rows; returns the first row that does not lie in the data, or -1."""
    for row in range(batch.start.size):
        frame = Extent(
            int(np.int64(batch.start[row])),
            int(np.int64(batch.captured[row])),
            int(np.int64(batch.length[row])),
        )
        if not 0 <= frame.captured <= frame.length:
            return row
        if not 0 <= frame.start <= batch.data.size - frame.captured:
            return row
        reason = _decode_frame(batch.data, frame, batch.link[row], row, output)
        if reason != NOT_SKIPPED:
            skipped[reason] += 1
    return -1


@fused
def _decode_frame(
    data: NDArray[np.uint8], frame: Extent, link: int, row: int, output: Output
) -> int:
    outer = -1
    if link == links.ETHERNET:
        outer = emit(output, row, layers.ETHERNET, frame, -1)
    size = link_header_size(data, frame, link)
    if frame.length < size:
        return NOT_SKIPPED if link == links.ETHERNET else LINK_TRUNCATED
    if frame.captured < size or (size == 0 and frame.captured == 0 < frame.length):
        return SNAPPED
    ethertype = link_ethertype(data, frame, link)
    rest = after(frame, size)
    tags = 0
    while ethertype in _TAG_ETHERTYPES:
        if tags == _TAG_LIMIT:
            return TOO_MANY_TAGS
        tags += 1
        emit(output, row, layers.VLAN, rest, outer)
        if rest.length < _TAG:
            return NOT_SKIPPED
        if rest.captured < _TAG:
            return SNAPPED
        ethertype = u16(data, rest.start + 2, True)
        rest = after(rest, _TAG)
    if ethertype == ETHERTYPE_IPV4:
        return decode_ipv4(data, rest, row, outer, output)
    if ethertype == ETHERTYPE_IPV6:
        return decode_ipv6(data, rest, row, outer, output)
    if ethertype == ETHERTYPE_ARP:
        return decode_arp(data, rest, row, outer, output)
    return LENGTH_FRAME if ethertype < _SMALLEST_ETHERTYPE else UNKNOWN_ETHERTYPE
