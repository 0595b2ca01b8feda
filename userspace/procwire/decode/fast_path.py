"""The fast path: decodes what nearly all packets are, whole Ethernet frames with IPv4 and TCP or
UDP, to the same that any_frame.py makes of any; but fields stay in registers, each column is
written once, and checksums are verified at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u8, u16, u32
from procwire.compiled.byte_sum import sum_of
from procwire.compiled.jit import fused
from procwire.decode.application import decode_datagram_payload, decode_segment_payload
from procwire.decode.checksum import UNCHECKED, in_sum, source_key, state_of
from procwire.decode.columns import Packets, Verified
from procwire.decode.link import ETHERNET_HEADER, ETHERNET_TYPE, ETHERTYPE_IPV4
from procwire.decode.mix import mix_address
from procwire.decode.output import Extent, Output, emit
from procwire.decode.tunnel import TUNNEL_PORTS

_VERSION_AND_WORDS, _NETWORK_HEADER = 0x45, 20
_FRAGMENT_BITS = 0x3FFF
_PROTOCOL_TCP, _PROTOCOL_UDP = 6, 17
_TCP_HEADER, _UDP_HEADER = 20, 8
_MAPPED = np.uint64(0xFFFF << 32)
_NO_ADDRESS = np.uint64(0)


@fused
def decode_usual(
    batch: PacketBatch,
    frame: Extent,
    row: int,
    found: NDArray[np.int32],
    output: Output,
    verified: Verified,
) -> bool:
    """Decode packet `row`, in `frame`, and note whether its checksums are right, or return False
    and leave all as it was: it is another than these. found: Decoded.span."""
    data, packet = batch.data, frame.start + ETHERNET_HEADER
    if batch.link[row] != links.ETHERNET or batch.cut[row]:
        return False
    left = frame.captured - ETHERNET_HEADER
    if left < _NETWORK_HEADER + _UDP_HEADER or data[packet] != _VERSION_AND_WORDS:
        return False
    if u16(data, frame.start + ETHERNET_TYPE, True) != ETHERTYPE_IPV4:
        return False
    total = u16(data, packet + 2, True)
    if total > left or u16(data, packet + 6, True) & _FRAGMENT_BITS:
        return False
    start, size = packet + _NETWORK_HEADER, total - _NETWORK_HEADER
    protocol = u8(data, packet + 9)
    if protocol == _PROTOCOL_TCP and size >= _TCP_HEADER:
        header, is_summed = (u8(data, start + 12) >> 4) * 4, True
        if not _TCP_HEADER <= header <= size:
            return False
    elif protocol == _PROTOCOL_UDP and size >= _UDP_HEADER:
        header, is_summed = _UDP_HEADER, u16(data, start + 6, True) != 0
        if u16(data, start + 4, True) != size or _is_to_tunnel(data, start):
            return False
    else:
        return False
    segment = Extent(start, size, size)
    outer = emit(data, output, row, layers.ETHERNET, frame, -1)
    whole = Extent(packet, left, frame.length - ETHERNET_HEADER)
    network = emit(data, output, row, layers.IPV4, whole, outer)
    _fill_network(data, packet, row, output.packets)
    packets = output.packets
    packets.protocol[row] = protocol
    packets.src_port[row] = u16(data, start, True)
    packets.dst_port[row] = u16(data, start + 2, True)
    packets.payload[row] = size - header
    if protocol == _PROTOCOL_TCP:
        span = emit(data, output, row, layers.TCP, segment, network)
        packets.transport[row] = layers.TCP
        packets.seq[row] = u32(data, start + 4, True)
        packets.ack[row] = u32(data, start + 8, True)
        packets.tcp_flags[row] = u8(data, start + 13)
        decode_segment_payload(data, segment, header, row, span, output)
    else:
        span = emit(data, output, row, layers.UDP, segment, network)
        packets.transport[row] = layers.UDP
        packets.seq[row] = packets.ack[row] = packets.tcp_flags[row] = 0
        decode_datagram_payload(data, segment, header, row, span, output)
    found[row] = span
    verified.states[outer] = UNCHECKED
    # Of a message, if there is one; else the next packet overwrites it.
    verified.states[span + 1] = UNCHECKED
    source = mix_address(_NO_ADDRESS, packets.src_lo[row])
    verified.states[network] = state_of(sum_of(data, packet, _NETWORK_HEADER))
    verified.keys[network] = source_key(source, layers.IPV4)
    verified.states[span] = UNCHECKED
    if is_summed:
        total_sum = sum_of(data, packet + 12, size + 8) + in_sum(protocol + size)
        verified.states[span] = state_of(total_sum)
        verified.keys[span] = source_key(source, int(packets.transport[row]))
    return True


@fused
def _is_to_tunnel(data: NDArray[np.uint8], datagram: int) -> bool:
    """Whether packets may be inside."""
    return (
        u16(data, datagram, True) in TUNNEL_PORTS or u16(data, datagram + 2, True) in TUNNEL_PORTS
    )


@fused
def _fill_network(data: NDArray[np.uint8], packet: int, row: int, packets: Packets) -> None:
    packets.network[row] = layers.IPV4
    packets.ttl[row] = u8(data, packet + 8)
    packets.fragment[row] = 0
    packets.src_hi[row] = packets.dst_hi[row] = 0
    packets.src_lo[row] = _MAPPED | np.uint64(u32(data, packet + 12, True))
    packets.dst_lo[row] = _MAPPED | np.uint64(u32(data, packet + 16, True))
