"""The columns that decoding a PacketBatch fills: one row per packet (Packets), one row per layer
(Spans)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused
from procwire.words import Span


class Packets(NamedTuple):
    """One row per packet of a batch, of its network and transport layer; inside tunnels, those of
    the innermost packet. Absent fields are 0.

    network: uint8, layers.IPV4, IPV6, ARP or 0; protocol: uint8, IP protocol after extension
    headers; src_hi, src_lo, dst_hi, dst_lo: uint64, addresses as big-endian halves, IPv4 mapped
    (::ffff:a.b.c.d), for ARP the sender and target protocol addresses; src_port, dst_port: uint16
    (ICMP: type and code; IGMP: type and maximum response time); transport: uint8, layers.TCP, UDP,
    ICMP4, ICMP6, SCTP, IGMP where that header is present and intact, else 0; tcp_flags: uint8; ttl:
    uint8; fragment: uint8, 1 for any fragment of a larger datagram (examine.py gives the one that
    completes it the datagram's row); payload: int32, bytes of transport payload on the wire; seq,
    ack: uint32 (ICMP: seq is what follows the checksum, of an echo its identifier and number).
    """

    network: NDArray[np.uint8]
    protocol: NDArray[np.uint8]
    transport: NDArray[np.uint8]
    tcp_flags: NDArray[np.uint8]
    ttl: NDArray[np.uint8]
    fragment: NDArray[np.uint8]
    src_hi: NDArray[np.uint64]
    src_lo: NDArray[np.uint64]
    dst_hi: NDArray[np.uint64]
    dst_lo: NDArray[np.uint64]
    src_port: NDArray[np.uint16]
    dst_port: NDArray[np.uint16]
    payload: NDArray[np.int32]
    seq: NDArray[np.uint32]
    ack: NDArray[np.uint32]


_KINDS = {
    "network": np.uint8,
    "protocol": np.uint8,
    "transport": np.uint8,
    "tcp_flags": np.uint8,
    "ttl": np.uint8,
    "fragment": np.uint8,
    "src_hi": np.uint64,
    "src_lo": np.uint64,
    "dst_hi": np.uint64,
    "dst_lo": np.uint64,
    "src_port": np.uint16,
    "dst_port": np.uint16,
    "payload": np.int32,
    "seq": np.uint32,
    "ack": np.uint32,
}


def blank_packets(count: int) -> Packets:
    """`count` rows of packets of which nothing is known."""
    return Packets(**{name: np.zeros(count, kind) for name, kind in _KINDS.items()})


def unwritten_packets(count: int) -> Packets:
    """`count` rows that whatever was in their memory is still in."""
    return Packets(**{name: np.empty(count, kind) for name, kind in _KINDS.items()})


class Verified(NamedTuple):
    """Whether the checksums of spans are right. states: uint8 (spans,), see checksum.py; keys:
    uint64 (spans,), the hash of layer and source address of those that are checked."""

    states: NDArray[np.uint8]
    keys: NDArray[np.uint64]


class Spans(NamedTuple):
    """One row per layer found in a packet, packets in order, outer layers first. Rules are
    evaluated on spans.

    packet: int32, row of the packet in its batch; layer: uint8 (layers.py); start: int64, index
    into the batch's data of the layer's first byte; captured: int32, bytes present from there;
    length: int32, bytes on the wire from there, so captured < length says that the snap length cut
    the packet; outer: int32, row of the enclosing span that a rule may also read, or -1: the
    transport header of an application message, the IP header of a transport layer, the Ethernet
    frame of ARP, VLAN and IP.
    """

    packet: NDArray[np.int32]
    layer: NDArray[np.uint8]
    start: NDArray[np.int64]
    captured: NDArray[np.int32]
    length: NDArray[np.int32]
    outer: NDArray[np.int32]


@fused
def forget(packets: Packets, row: int) -> None:
    """Make every column of a row 0."""
    packets.network[row] = 0
    packets.protocol[row] = 0
    packets.transport[row] = 0
    packets.tcp_flags[row] = 0
    packets.ttl[row] = 0
    packets.fragment[row] = 0
    packets.src_hi[row] = 0
    packets.src_lo[row] = 0
    packets.dst_hi[row] = 0
    packets.dst_lo[row] = 0
    packets.src_port[row] = 0
    packets.dst_port[row] = 0
    packets.payload[row] = 0
    packets.seq[row] = 0
    packets.ack[row] = 0


@fused
def span_at(data: NDArray[np.uint8], spans: Spans, row: int) -> Span:
    """The span of a row as rules read it; row -1 is the empty span."""
    if row < 0:
        return Span(data, 0, 0, 0)
    captured, length = np.int64(spans.captured[row]), np.int64(spans.length[row])
    return Span(data, int(spans.start[row]), int(captured), int(length))


NO_SPAN = -1


class Joined(NamedTuple):
    """Datagrams that fragments of a batch of n packets complete. data: uint8, the memory they lie
    in; spans: theirs; span: int32 (n,), as Decoded.span in these spans, of the packets that
    complete one; rows: int32 (datagrams,), the rows of these packets, in order."""

    data: NDArray[np.uint8]
    spans: Spans
    span: NDArray[np.int32]
    rows: NDArray[np.int32]


def _nothing_joined() -> Joined:
    none = np.zeros(0, np.int32)
    spans = Spans(none, np.zeros(0, np.uint8), np.zeros(0, np.int64), none, none, none)
    # As captured memory is, which cannot be written: kernels are compiled for one kind.
    return Joined(np.frombuffer(b"", np.uint8), spans, none, none)


NOTHING_JOINED = _nothing_joined()


class Decoded(NamedTuple):
    """What decode() returns: columns of one batch of n packets. skipped counts packets per reason
    (decode.SKIP_REASONS).

    flows: uint64 (n,), flow_hash() of what has ports; span: int32 (n,), row of the span that
    transport is of, or else of ARP, or NO_SPAN, as where it lay in fragments; verified: of spans;
    suspects: int32, rows of the spans on which a rule may fire, in order; joined: what examine.py
    put together.
    """

    packets: Packets
    spans: Spans
    skipped: NDArray[np.int64]
    flows: NDArray[np.uint64]
    span: NDArray[np.int32]
    verified: Verified
    suspects: NDArray[np.int32]
    joined: Joined = NOTHING_JOINED
