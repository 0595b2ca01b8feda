"""Decodes a batch of packets in one pass: bytes to one row per packet and one row per layer.

Every link type is reduced to an ethertype and what follows it; network.py and transport.py take it
from there. The kernel reads only captured bytes and calls a header short only where the wire was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u8, u16, u32
from procwire.decode.columns import Decoded, Packets, Spans
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

_ETHERNET_HEADER = 14
_TAG = 4
_TAG_LIMIT = 4
# Ethernet, four tags, a network and a transport layer.
_SPANS_A_PACKET = _TAG_LIMIT + 3

_ETHERTYPE_IPV4, _ETHERTYPE_ARP, _ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x86DD
# IEEE 802.1Q, 802.1ad, and what came before 802.1ad.
_TAG_ETHERTYPES = (0x8100, 0x88A8, 0x9100)
# IEEE 802.3 clause 3.2.6: smaller values are lengths.
_SMALLEST_ETHERTYPE = 1536
# Stands for an ethertype that no frame holds, where a link header names an unknown protocol.
_NO_ETHERTYPE = 0xFFFF

# https://www.tcpdump.org/linktypes.html: sizes of headers, and where they name the protocol.
_SLL_HEADER, _SLL_PROTOCOL = 16, 14
_SLL2_HEADER, _SLL2_PROTOCOL = 20, 0
_FAMILY_HEADER = 4
_FAMILY_IPV4 = 2
# AF_INET6 of Linux, Windows, NetBSD, FreeBSD and Darwin.
_FAMILIES_IPV6 = (10, 23, 24, 28, 30)
# RFC 1662 section 3.1: address and control may be left out. RFC 1332, RFC 5072: the protocols.
_PPP_ADDRESS_CONTROL = 0xFF03
_PPP_PROTOCOL = 2
_PPP_IPV4, _PPP_IPV6 = 0x0021, 0x0057


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
        if frame.length < _ETHERNET_HEADER:
            return NOT_SKIPPED
        size = _ETHERNET_HEADER
    else:
        size = _link_header_size(data, frame, link)
        if frame.length < size:
            return LINK_TRUNCATED
    if frame.captured < size or (size == 0 and frame.captured == 0 < frame.length):
        return SNAPPED
    ethertype = _ethertype(data, frame, link)
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
    if ethertype == _ETHERTYPE_IPV4:
        return decode_ipv4(data, rest, row, outer, output)
    if ethertype == _ETHERTYPE_IPV6:
        return decode_ipv6(data, rest, row, outer, output)
    if ethertype == _ETHERTYPE_ARP:
        return decode_arp(data, rest, row, outer, output)
    return LENGTH_FRAME if ethertype < _SMALLEST_ETHERTYPE else UNKNOWN_ETHERTYPE


@fused
def _link_header_size(data: NDArray[np.uint8], frame: Extent, link: int) -> int:
    """Bytes before the network layer, on every link but Ethernet."""
    if link == links.LINUX_SLL:
        return _SLL_HEADER
    if link == links.LINUX_SLL2:
        return _SLL2_HEADER
    if link == links.NULL or link == links.LOOP:
        return _FAMILY_HEADER
    if link == links.PPP:
        return _ppp_protocol(data, frame) + _PPP_PROTOCOL
    return 0


@fused
def _ethertype(data: NDArray[np.uint8], frame: Extent, link: int) -> int:
    """What the whole, captured link header says of the layer it carries, as an ethertype."""
    if link == links.ETHERNET:
        return u16(data, frame.start + 12, True)
    if link == links.LINUX_SLL:
        return u16(data, frame.start + _SLL_PROTOCOL, True)
    if link == links.LINUX_SLL2:
        return u16(data, frame.start + _SLL2_PROTOCOL, True)
    if link == links.NULL or link == links.LOOP:
        return _family_ethertype(data, frame)
    if link == links.PPP:
        protocol = u16(data, frame.start + _ppp_protocol(data, frame), True)
        if protocol == _PPP_IPV4:
            return _ETHERTYPE_IPV4
        return _ETHERTYPE_IPV6 if protocol == _PPP_IPV6 else _NO_ETHERTYPE
    if link == links.IPV4:
        return _ETHERTYPE_IPV4
    if link == links.IPV6:
        return _ETHERTYPE_IPV6
    if link == links.RAW or link == links.RAW_BSD:
        version_6 = frame.captured > 0 and u8(data, frame.start) >> 4 == 6
        return _ETHERTYPE_IPV6 if version_6 else _ETHERTYPE_IPV4
    return _NO_ETHERTYPE


@fused
def _family_ethertype(data: NDArray[np.uint8], frame: Extent) -> int:
    # In the byte order of the machine that captured; no family is above 255.
    family = u32(data, frame.start, False)
    if family > 0xFFFF:
        family = u32(data, frame.start, True)
    if family == _FAMILY_IPV4:
        return _ETHERTYPE_IPV4
    return _ETHERTYPE_IPV6 if family in _FAMILIES_IPV6 else _NO_ETHERTYPE


@fused
def _ppp_protocol(data: NDArray[np.uint8], frame: Extent) -> int:
    """Where a PPP header holds its protocol."""
    if frame.captured >= 2 and u16(data, frame.start, True) == _PPP_ADDRESS_CONTROL:
        return 2
    return 0
