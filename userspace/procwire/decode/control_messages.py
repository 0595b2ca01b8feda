"""Who asks whom in ICMP, ICMPv6, ARP and SCTP: echo, neighbour discovery, the chunks that begin an
association, and the header that a destination unreachable message quotes.

What is asked is described as the attempt it belongs to, so that an answer finds its question.
"""

from __future__ import annotations

import numpy as np

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.columns import Decoded, Packets
from procwire.decode.contact_table import Record
from procwire.event import Outcome
from procwire.record import Attempt

NOTHING = -1
"""Not a packet that opens or ends an attempt; any other verdict is an Outcome, PENDING for an
attempt."""

_PENDING, _ESTABLISHED = int(Outcome.PENDING), int(Outcome.ESTABLISHED)
_REFUSED, _UNREACHABLE = int(Outcome.REFUSED), int(Outcome.UNREACHABLE)
_ECHO, _NEIGHBOUR = int(Attempt.ECHO), int(Attempt.NEIGHBOUR)
_CONNECT = int(Attempt.CONNECT)

_ICMP, _TCP, _UDP, _ICMP6, _SCTP = 1, 6, 17, 58, 132
_ARP_REQUEST, _ARP_REPLY = 1, 2
# RFC 792, RFC 950 and RFC 4443. Who asks for the time or the network's mask looks for hosts, too:
# both have the form of an echo, and the answer's type is the next one.
_ECHO_REPLY, _ECHO_REQUEST, _UNREACHABLE_TYPE = 0, 8, 3
_TIMESTAMP, _MASK = 13, 17
_ECHO6_REQUEST, _ECHO6_REPLY, _UNREACHABLE6_TYPE = 128, 129, 1
_PORT_UNREACHABLE, _TOO_BIG, _PORT_UNREACHABLE6 = 3, 4, 4
# RFC 4861.
_SOLICITATION, _ADVERTISEMENT = 135, 136
# RFC 9260 3.2. These are never behind another chunk (6.10), but for an ABORT.
_INIT, _INIT_ACK, _ABORT, _COOKIE_ECHO = 1, 2, 6, 10
_MACS = 12
_FIRST_CHUNK, _CHUNK_HEADER, _INITIATE_TAG = 12, 4, 16

_HEADER = 8
_IPV4_HEADER, _IPV6_HEADER = 20, 40
_QUOTED = 8
_FRAGMENT_OFFSET = 0x1FFF

_MAPPED = np.uint64(0xFFFF << 32)
_V4_SPACE = np.uint64(0xFFFF)
_HALF = np.uint64(32)
_V4_GROUPS = np.uint64(224)
_FIRST_OCTET = np.uint64(24)
_OCTET = np.uint64(0xFF)
_V6_FIRST_OCTET = np.uint64(56)


@fused
def _is_one_host(high: np.uint64, low: np.uint64) -> bool:
    """Whether an address names a host: not unspecified, multicast, reserved or broadcast."""
    if high == 0 and low >> _HALF == _V4_SPACE:
        return bool(low != _MAPPED and (low >> _FIRST_OCTET) & _OCTET < _V4_GROUPS)
    return bool((high != 0 or low != 0) and high >> _V6_FIRST_OCTET != _OCTET)


@fused
def to_one_host(batch: PacketBatch, packets: Packets, row: int) -> bool:
    """Whether a packet goes to one other host, by its address and by that of its frame (IEEE 802.3
    clause 3.2.3: the first bit sent says that it is a group), which knows the local network's
    broadcast. A source that is the destination was forged (RFC 1122 3.2.1.3), but on the loopback
    device, whose frames have zero addresses.
    """
    start = batch.start[row]
    framed = batch.link[row] == links.ETHERNET and batch.captured[row] > 0
    if framed and batch.data[start] & 1 != 0:
        return False
    high, low = packets.dst_hi[row], packets.dst_lo[row]
    is_own = framed and packets.src_lo[row] == low and packets.src_hi[row] == high
    if is_own and batch.data[start : start + min(_MACS, batch.captured[row])].any():
        return False
    return _is_one_host(high, low)


@fused
def forward(wanted: Record, packets: Packets, row: int, protocol: int) -> None:
    """Look for the attempt from the packet's source to its destination."""
    wanted.src_hi = packets.src_hi[row]
    wanted.src_lo = packets.src_lo[row]
    wanted.dst_hi = packets.dst_hi[row]
    wanted.dst_lo = packets.dst_lo[row]
    wanted.src_port = packets.src_port[row]
    wanted.dst_port = packets.dst_port[row]
    wanted.protocol = protocol


@fused
def backward(wanted: Record, packets: Packets, row: int, protocol: int) -> None:
    """Look for the attempt from the packet's destination to its source."""
    wanted.src_hi = packets.dst_hi[row]
    wanted.src_lo = packets.dst_lo[row]
    wanted.dst_hi = packets.src_hi[row]
    wanted.dst_lo = packets.src_lo[row]
    wanted.src_port = packets.dst_port[row]
    wanted.dst_port = packets.src_port[row]
    wanted.protocol = protocol


@fused
def message_verdict(batch: PacketBatch, decoded: Decoded, row: int, wanted: Record) -> int:
    """What the ICMP, ICMPv6, ARP or SCTP message of packet `row` does, and in `wanted` to whom."""
    packets = decoded.packets
    if packets.network[row] == layers.ARP:
        return _arp(batch, decoded, row, wanted)
    kind = packets.src_port[row]
    if packets.transport[row] == layers.ICMP4:
        if kind == _UNREACHABLE_TYPE:
            return _unreachable4(batch, decoded, row, wanted)
        request = _question(kind)
        if request:
            return _echo(batch, decoded, row, wanted, request)
    elif packets.transport[row] == layers.ICMP6:
        if kind == _UNREACHABLE6_TYPE:
            return _unreachable6(batch, decoded, row, wanted)
        if kind in (_ECHO6_REQUEST, _ECHO6_REPLY):
            return _echo(batch, decoded, row, wanted, _ECHO6_REQUEST)
        if kind in (_SOLICITATION, _ADVERTISEMENT):
            return _discovery(batch, decoded, row, wanted)
    elif packets.transport[row] == layers.SCTP:
        return _association(batch, decoded, row, wanted)
    return NOTHING


@fused
def _without_ports(wanted: Record, first: int, second: int, kind: int) -> None:
    wanted.src_port = first
    wanted.dst_port = second
    wanted.kind = kind


@fused
def _question(kind: int) -> int:
    """The type of the question that an ICMP message is or answers, 0 for any other message."""
    if kind in (_ECHO_REQUEST, _ECHO_REPLY):
        return _ECHO_REQUEST
    if kind in (_TIMESTAMP, _TIMESTAMP + 1):
        return _TIMESTAMP
    return _MASK if kind in (_MASK, _MASK + 1) else 0


@fused
def _echo(batch: PacketBatch, decoded: Decoded, row: int, wanted: Record, request: int) -> int:
    """request: the type of the question."""
    packets = decoded.packets
    protocol = _ICMP if packets.transport[row] == layers.ICMP4 else _ICMP6
    span = decoded.span[row]
    if span < 0 or decoded.spans.captured[span] < _HEADER:
        return NOTHING
    identifier = u16(batch.data, int(decoded.spans.start[span]) + 4, True)
    if packets.src_port[row] == request:
        forward(wanted, packets, row, protocol)
        _without_ports(wanted, identifier, request, _ECHO)
        return _PENDING if to_one_host(batch, packets, row) else NOTHING
    backward(wanted, packets, row, protocol)
    _without_ports(wanted, identifier, request, _ECHO)
    return _ESTABLISHED


@fused
def _association(batch: PacketBatch, decoded: Decoded, row: int, wanted: Record) -> int:
    """RFC 9260 5.1: INIT asks, INIT ACK accepts, ABORT refuses; who echoes a cookie was given one.
    The initiate tag tells a new INIT from one that is sent again."""
    packets = decoded.packets
    span = decoded.span[row]
    if span < 0 or decoded.spans.captured[span] < _FIRST_CHUNK + _CHUNK_HEADER:
        return NOTHING
    at = int(decoded.spans.start[span])
    chunk = u8(batch.data, at + _FIRST_CHUNK)
    if chunk == _INIT:
        if decoded.spans.captured[span] < _INITIATE_TAG + 4:
            return NOTHING
        forward(wanted, packets, row, _SCTP)
        wanted.kind, wanted.seq = _CONNECT, u32(batch.data, at + _INITIATE_TAG, True)
        return _PENDING if to_one_host(batch, packets, row) else NOTHING
    if chunk == _COOKIE_ECHO:
        forward(wanted, packets, row, _SCTP)
        return _ESTABLISHED
    backward(wanted, packets, row, _SCTP)
    if chunk == _INIT_ACK:
        return _ESTABLISHED
    return _REFUSED if chunk == _ABORT else NOTHING


@fused
def _arp(batch: PacketBatch, decoded: Decoded, row: int, wanted: Record) -> int:
    """RFC 826. A probe (RFC 5227) has no sender, an announcement asks for its own."""
    packets = decoded.packets
    source, target = packets.src_lo[row], packets.dst_lo[row]
    span = decoded.span[row]
    if span < 0 or source == target:
        return NOTHING
    if not _is_one_host(np.uint64(0), source) or not _is_one_host(np.uint64(0), target):
        return NOTHING
    operation = u16(batch.data, int(decoded.spans.start[span]) + 6, True)
    if operation == _ARP_REQUEST:
        forward(wanted, packets, row, 0)
    else:
        backward(wanted, packets, row, 0)
    _without_ports(wanted, 0, 0, _NEIGHBOUR)
    if operation == _ARP_REQUEST:
        return _PENDING
    return _ESTABLISHED if operation == _ARP_REPLY else NOTHING


@fused
def _discovery(batch: PacketBatch, decoded: Decoded, row: int, wanted: Record) -> int:
    """RFC 4861 4.3 and 4.4. A solicitation without a sender is about an address not in use yet."""
    packets = decoded.packets
    span = decoded.span[row]
    if span < 0 or decoded.spans.captured[span] < _HEADER + 16:
        return NOTHING
    asked = packets.src_port[row] == _SOLICITATION
    if asked:
        forward(wanted, packets, row, _ICMP6)
    else:
        backward(wanted, packets, row, _ICMP6)
    at = int(decoded.spans.start[span]) + _HEADER
    wanted.dst_hi = _u64(batch, at)
    wanted.dst_lo = _u64(batch, at + 8)
    _without_ports(wanted, 0, _SOLICITATION, _NEIGHBOUR)
    if not _is_one_host(wanted.src_hi, wanted.src_lo):
        return NOTHING
    return _PENDING if asked else _ESTABLISHED


@fused
def _unreachable4(batch: PacketBatch, decoded: Decoded, row: int, wanted: Record) -> int:
    """RFC 792: an IPv4 header and 8 bytes of what could not be delivered follow. "Fragmentation
    needed" (code 4) says nothing of the destination."""
    code = decoded.packets.dst_port[row]
    span = decoded.span[row]
    if span < 0 or code == _TOO_BIG:
        return NOTHING
    captured = decoded.spans.captured[span] - _HEADER
    if captured < _IPV4_HEADER:
        return NOTHING
    at, data = int(decoded.spans.start[span]) + _HEADER, batch.data
    size = (u8(data, at) & 15) * 4
    if size < _IPV4_HEADER or captured < size + _QUOTED or u8(data, at) >> 4 != 4:
        return NOTHING
    if u16(data, at + 6, True) & _FRAGMENT_OFFSET:
        return NOTHING
    wanted.src_hi = wanted.dst_hi = 0
    wanted.src_lo = _MAPPED | np.uint64(u32(data, at + 12, True))
    wanted.dst_lo = _MAPPED | np.uint64(u32(data, at + 16, True))
    wanted.protocol = u8(data, at + 9)
    return _quoted(batch, at + size, wanted, code == _PORT_UNREACHABLE)


@fused
def _unreachable6(batch: PacketBatch, decoded: Decoded, row: int, wanted: Record) -> int:
    """RFC 4443 3.1: as much of the packet follows as fits."""
    span = decoded.span[row]
    if span < 0 or decoded.spans.captured[span] < _HEADER + _IPV6_HEADER + _QUOTED:
        return NOTHING
    at = int(decoded.spans.start[span]) + _HEADER
    wanted.src_hi, wanted.src_lo = _u64(batch, at + 8), _u64(batch, at + 16)
    wanted.dst_hi, wanted.dst_lo = _u64(batch, at + 24), _u64(batch, at + 32)
    wanted.protocol = u8(batch.data, at + 6)
    port_unreachable = decoded.packets.dst_port[row] == _PORT_UNREACHABLE6
    return _quoted(batch, at + _IPV6_HEADER, wanted, port_unreachable)


@fused
def _quoted(batch: PacketBatch, at: int, wanted: Record, port_unreachable: bool) -> int:
    """A closed UDP port is refused that way (RFC 1122 4.1.3.1); TCP has its resets for that."""
    if wanted.protocol in (_TCP, _UDP, _SCTP):
        wanted.src_port = u16(batch.data, at, True)
        wanted.dst_port = u16(batch.data, at + 2, True)
        return _REFUSED if port_unreachable and wanted.protocol == _UDP else _UNREACHABLE
    if wanted.protocol not in (_ICMP, _ICMP6):
        return NOTHING
    request = u8(batch.data, at)
    known = _question(request) if wanted.protocol == _ICMP else _ECHO6_REQUEST
    if request != known:
        return NOTHING
    _without_ports(wanted, u16(batch.data, at + 4, True), request, _ECHO)
    return _UNREACHABLE


@fused
def _u64(batch: PacketBatch, at: int) -> np.uint64:
    high, low = u32(batch.data, at, True), u32(batch.data, at + 4, True)
    return np.uint64(high) << _HALF | np.uint64(low)
