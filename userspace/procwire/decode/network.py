"""Decodes ARP, IPv4 and IPv6 headers and walks IPv6 extension headers down to the transport. Sizes
are judged by what was on the wire; bytes that were not captured are not read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.output import (
    FRAGMENT,
    NOT_SKIPPED,
    SNAPPED,
    TOO_MANY_EXTENSIONS,
    Extent,
    Output,
    after,
    emit,
    first,
    malformed,
)
from procwire.decode.transport import decode_transport

_ARP_FIXED = 8
_IPV4_HEADER = 20
_IPV6_HEADER = 40
_WHOLE_DATAGRAM = 576

_MORE_FRAGMENTS, _FRAGMENT_OFFSET = 0x2000, 0x1FFF

# IANA, Protocol Numbers, "IPv6 Extension Header": all but the encapsulating security payload,
# behind which nothing can be read.
_HOP_BY_HOP, _ROUTING, _FRAGMENT_HEADER, _AUTHENTICATION = 0, 43, 44, 51
_DESTINATION, _MOBILITY, _HOST_IDENTITY, _SHIM6 = 60, 135, 139, 140
_EXTENSIONS = (
    _HOP_BY_HOP,
    _ROUTING,
    _FRAGMENT_HEADER,
    _AUTHENTICATION,
    _DESTINATION,
    _MOBILITY,
    _HOST_IDENTITY,
    _SHIM6,
)
EXTENSION_LIMIT = 16
_EXTENSION_UNIT = 8

_PAD1, _JUMBO = 0, 0xC2


@fused
def decode_arp(
    data: NDArray[np.uint8], message: Extent, row: int, outer: int, output: Output
) -> int:
    """Decode an ARP message (RFC 826) of packet `row` in the frame of span `outer`, or -1. Returns
    why not further, as do the others.
    """
    emit(data, output, row, layers.ARP, message, outer)
    packets = output.packets
    packets.network[row] = layers.ARP
    if message.length < _ARP_FIXED:
        return NOT_SKIPPED
    if message.captured < _ARP_FIXED:
        return SNAPPED
    hardware, protocol = u8(data, message.start + 4), u8(data, message.start + 5)
    if u16(data, message.start + 2, True) == 0x0800 and protocol == 4:
        sender, target = _ARP_FIXED + hardware, _ARP_FIXED + 2 * hardware + protocol
        if message.captured >= sender + protocol:
            packets.src_lo[row] = _mapped(data, message.start + sender)
        if message.captured >= target + protocol:
            packets.dst_lo[row] = _mapped(data, message.start + target)
    needed = min(_ARP_FIXED + 2 * (hardware + protocol), message.length)
    return SNAPPED if message.captured < needed else NOT_SKIPPED


@fused
def decode_ipv4(
    data: NDArray[np.uint8], frame: Extent, row: int, outer: int, output: Output
) -> int:
    """Decode the IPv4 header (RFC 791 section 3.1) at the start of `frame` and what it carries."""
    network = emit(data, output, row, layers.IPV4, frame, outer)
    packets = output.packets
    packets.network[row] = layers.IPV4
    if frame.captured > 8:
        packets.ttl[row] = u8(data, frame.start + 8)
    if frame.captured > 9:
        packets.protocol[row] = u8(data, frame.start + 9)
    if frame.captured >= 16:
        packets.src_lo[row] = _mapped(data, frame.start + 12)
    if frame.length < _IPV4_HEADER:
        return malformed(output, network)
    if frame.captured < _IPV4_HEADER:
        return SNAPPED
    packets.dst_lo[row] = _mapped(data, frame.start + 16)
    version, header = u8(data, frame.start) >> 4, (u8(data, frame.start) & 15) * 4
    total = u16(data, frame.start + 2, True)
    # Segmentation offload leaves the total length to the card: captured before it, it is 0. What
    # every host must take whole (RFC 1122 3.3.2) needs no segmentation.
    if total == 0 and frame.length > _WHOLE_DATAGRAM:
        total = frame.length
    if version != 4 or header < _IPV4_HEADER or total < header or total > frame.length:
        return malformed(output, network)
    if u16(data, frame.start + 6, True) & (_MORE_FRAGMENTS | _FRAGMENT_OFFSET):
        packets.fragment[row] = 1
        return FRAGMENT
    return decode_transport(data, after(first(frame, total), header), row, network, output)


@fused
def decode_ipv6(
    data: NDArray[np.uint8], frame: Extent, row: int, outer: int, output: Output
) -> int:
    """Decode the IPv6 header (RFC 8200 section 3) at the start of `frame` and what it carries."""
    network = emit(data, output, row, layers.IPV6, frame, outer)
    packets = output.packets
    packets.network[row] = layers.IPV6
    if frame.captured > 6:
        packets.protocol[row] = u8(data, frame.start + 6)
    if frame.captured > 7:
        packets.ttl[row] = u8(data, frame.start + 7)
    if frame.captured >= 24:
        packets.src_hi[row] = _u64(data, frame.start + 8)
        packets.src_lo[row] = _u64(data, frame.start + 16)
    if frame.length < _IPV6_HEADER:
        return malformed(output, network)
    if frame.captured < _IPV6_HEADER:
        return SNAPPED
    packets.dst_hi[row] = _u64(data, frame.start + 24)
    packets.dst_lo[row] = _u64(data, frame.start + 32)
    rest = after(frame, _IPV6_HEADER)
    size = u16(data, frame.start + 4, True)
    if size == 0 and _is_jumbo(data, rest, packets.protocol[row]):
        size = rest.length
    if u8(data, frame.start) >> 4 != 6 or size > rest.length:
        return malformed(output, network)
    return _walk_extensions(data, first(rest, size), row, network, output)


@fused
def _is_jumbo(data: NDArray[np.uint8], rest: Extent, next_header: int) -> bool:
    """Whether a payload length of 0 stands for all of `rest`."""
    # Linux sends its own batches of segments ("BIG TCP") without a jumbo option.
    if rest.length > 0xFFFF:
        return True
    if next_header != _HOP_BY_HOP or rest.length < _EXTENSION_UNIT:
        return False
    # RFC 2675 section 2: the jumbo payload option of the hop-by-hop header holds the length. Where
    # the capture was cut before it could be seen, the benefit of the doubt.
    end, at = _EXTENSION_UNIT, 2
    while at + 2 <= min(end, rest.length):
        if at + 2 > rest.captured:
            return True
        end = (u8(data, rest.start + 1) + 1) * _EXTENSION_UNIT
        option = u8(data, rest.start + at)
        if option == _JUMBO:
            return True
        at += 1 if option == _PAD1 else 2 + u8(data, rest.start + at + 1)
    return False


@fused
def _walk_extensions(
    data: NDArray[np.uint8], rest: Extent, row: int, network: int, output: Output
) -> int:
    """Walk the headers at the start of `rest` (RFC 8200 section 4), then decode the transport."""
    packets = output.packets
    walked = 0
    while packets.protocol[row] in _EXTENSIONS:
        if walked == EXTENSION_LIMIT:
            return TOO_MANY_EXTENSIONS
        walked += 1
        if rest.length < _EXTENSION_UNIT:
            return NOT_SKIPPED
        if rest.captured < _EXTENSION_UNIT:
            return SNAPPED
        kind = packets.protocol[row]
        following, size = u8(data, rest.start), (u8(data, rest.start + 1) + 1) * _EXTENSION_UNIT
        if kind == _AUTHENTICATION:
            # RFC 4302 section 2.2: in 4-byte units, minus 2.
            size = (u8(data, rest.start + 1) + 2) * 4
        if kind == _FRAGMENT_HEADER:
            size = _EXTENSION_UNIT
            # The offset and the more flag; two reserved bits lie between them.
            if u16(data, rest.start + 2, True) & 0xFFF9:
                packets.protocol[row] = following
                packets.fragment[row] = 1
                return FRAGMENT
        if size > rest.length:
            return NOT_SKIPPED
        packets.protocol[row] = following
        rest = after(rest, size)
    return decode_transport(data, rest, row, network, output)


@fused
def _mapped(data: NDArray[np.uint8], at: int) -> int:
    """The lower half of ::ffff:a.b.c.d, of the IPv4 address at index `at`."""
    return 0xFFFF << 32 | u32(data, at, True)


@fused
def _u64(data: NDArray[np.uint8], at: int) -> np.uint64:
    high, low = np.uint64(u32(data, at, True)), np.uint64(u32(data, at + 4, True))
    return high << np.uint64(32) | low
