"""Decodes TCP, UDP, SCTP, ICMP and IGMP headers. Sizes are judged by what was on the wire;
bytes that were not captured are not read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.application import decode_datagram_payload, decode_segment_payload
from procwire.decode.output import (
    NOT_SKIPPED,
    SNAPPED,
    UNKNOWN_PROTOCOL,
    Extent,
    Output,
    carry,
    emit,
    first,
    malformed,
)
from procwire.decode.tunnel import decode_gre, enter_udp_tunnel

_PROTOCOL_ICMP4, _PROTOCOL_TCP, _PROTOCOL_UDP, _PROTOCOL_ICMP6 = 1, 6, 17, 58
_PROTOCOL_IGMP, _PROTOCOL_SCTP = 2, 132
# RFC 2003, RFC 4213 and RFC 2473, RFC 2784.
_PROTOCOL_IPV4, _PROTOCOL_IPV6, _PROTOCOL_GRE = 4, 41, 47

_TCP_HEADER = 20
_UDP_HEADER = 8
_ICMP4_HEADER = 8
_ICMP6_HEADER = 8
# RFC 9260 section 3.1, RFC 2236 section 2.
_SCTP_HEADER = 12
_IGMP_HEADER = 8


@fused
def decode_transport(
    data: NDArray[np.uint8], segment: Extent, row: int, network: int, output: Output
) -> int:
    """Decode what the IP header of span `network` carries, by packets.protocol; returns why not."""
    protocol = output.packets.protocol[row]
    over_ipv4 = output.spans.layer[network] == layers.IPV4
    if protocol == _PROTOCOL_TCP:
        return _decode_tcp(data, segment, row, network, output)
    if protocol == _PROTOCOL_UDP:
        return _decode_udp(data, segment, row, network, output)
    if protocol == _PROTOCOL_IPV4:
        return carry(output, links.IPV4, segment)
    if protocol == _PROTOCOL_IPV6:
        return carry(output, links.IPV6, segment)
    if protocol == _PROTOCOL_GRE:
        return decode_gre(data, segment, row, network, output)
    if protocol == _PROTOCOL_ICMP4 and over_ipv4:
        span = emit(data, output, row, layers.ICMP4, segment, network)
        return _decode_icmp(data, segment, row, span, _ICMP4_HEADER, output)
    if protocol == _PROTOCOL_ICMP6 and not over_ipv4:
        span = emit(data, output, row, layers.ICMP6, segment, network)
        return _decode_icmp(data, segment, row, span, _ICMP6_HEADER, output)
    if protocol == _PROTOCOL_SCTP:
        return _decode_sctp(data, segment, row, network, output)
    if protocol == _PROTOCOL_IGMP and over_ipv4:
        return _decode_igmp(data, segment, row, network, output)
    return UNKNOWN_PROTOCOL


@fused
def _decode_tcp(
    data: NDArray[np.uint8], segment: Extent, row: int, network: int, output: Output
) -> int:
    span = emit(data, output, row, layers.TCP, segment, network)
    _decode_ports(data, segment, row, output)
    if segment.length < _TCP_HEADER:
        return malformed(output, span)
    if segment.captured < _TCP_HEADER:
        return SNAPPED
    header = (u8(data, segment.start + 12) >> 4) * 4
    if header < _TCP_HEADER or header > segment.length:
        return malformed(output, span)
    packets = output.packets
    packets.transport[row] = layers.TCP
    packets.seq[row] = u32(data, segment.start + 4, True)
    packets.ack[row] = u32(data, segment.start + 8, True)
    packets.tcp_flags[row] = u8(data, segment.start + 13)
    packets.payload[row] = segment.length - header
    if segment.captured < header:
        return SNAPPED
    decode_segment_payload(data, segment, header, row, span, output)
    return NOT_SKIPPED


@fused
def _decode_udp(
    data: NDArray[np.uint8], segment: Extent, row: int, network: int, output: Output
) -> int:
    span = emit(data, output, row, layers.UDP, segment, network)
    _decode_ports(data, segment, row, output)
    if segment.length < _UDP_HEADER:
        return malformed(output, span)
    if segment.captured < _UDP_HEADER:
        return SNAPPED
    size = u16(data, segment.start + 4, True)
    if size == 0 and _says_no_length(data, network, output):
        size = segment.length
    if size < _UDP_HEADER or size > segment.length:
        return malformed(output, span)
    output.packets.transport[row] = layers.UDP
    output.packets.payload[row] = size - _UDP_HEADER
    datagram = first(segment, size)
    decode_datagram_payload(data, datagram, _UDP_HEADER, row, span, output)
    return enter_udp_tunnel(data, datagram, output)


@fused
def _says_no_length(data: NDArray[np.uint8], network: int, output: Output) -> bool:
    """Whether the IP header of span `network` says 0 for its length. Only then may that of a
    datagram be 0: a jumbogram's (RFC 2675 section 4), or one's that its card has not finished."""
    at = 2 if output.spans.layer[network] == layers.IPV4 else 4
    return u16(data, int(output.spans.start[network]) + at, True) == 0


@fused
def _decode_ports(data: NDArray[np.uint8], segment: Extent, row: int, output: Output) -> None:
    if segment.captured >= 2:
        output.packets.src_port[row] = u16(data, segment.start, True)
    if segment.captured >= 4:
        output.packets.dst_port[row] = u16(data, segment.start + 2, True)


@fused
def _decode_sctp(
    data: NDArray[np.uint8], segment: Extent, row: int, network: int, output: Output
) -> int:
    emit(data, output, row, layers.SCTP, segment, network)
    _decode_ports(data, segment, row, output)
    return _end_at(_SCTP_HEADER, layers.SCTP, segment, row, output)


@fused
def _decode_igmp(
    data: NDArray[np.uint8], message: Extent, row: int, network: int, output: Output
) -> int:
    emit(data, output, row, layers.IGMP, message, network)
    _decode_type(data, message, row, output)
    return _end_at(_IGMP_HEADER, layers.IGMP, message, row, output)


@fused
def _end_at(header: int, layer: int, segment: Extent, row: int, output: Output) -> int:
    """Decode no further than a header of `header` bytes, without a malformed twin of its layer."""
    if segment.length < header:
        return NOT_SKIPPED
    if segment.captured < header:
        return SNAPPED
    output.packets.transport[row] = layer
    output.packets.payload[row] = segment.length - header
    return NOT_SKIPPED


@fused
def _decode_type(data: NDArray[np.uint8], message: Extent, row: int, output: Output) -> None:
    if message.captured >= 1:
        output.packets.src_port[row] = u8(data, message.start)
    if message.captured >= 2:
        output.packets.dst_port[row] = u8(data, message.start + 1)


@fused
def _decode_icmp(
    data: NDArray[np.uint8], message: Extent, row: int, span: int, header: int, output: Output
) -> int:
    """Decode either ICMP: `header` bytes come before what their payload column counts."""
    packets = output.packets
    _decode_type(data, message, row, output)
    if message.length < header:
        return malformed(output, span)
    if message.captured < header:
        return SNAPPED
    packets.transport[row] = output.spans.layer[span]
    packets.payload[row] = message.length - header
    packets.seq[row] = u32(data, message.start + 4, True)
    return NOT_SKIPPED
