"""ICMP errors: those that quote what nobody sent, and those that refuse a connection."""

from __future__ import annotations

import numpy as np

from procwire import layers
from procwire.compiled.jit import fused
from procwire.decode.columns import span_at
from procwire.decode.flow_hash import end_hash, flow_hash
from procwire.decode.flow_table import REFUSED, SYN_SENT, FlowTable, Path, find, key_of
from procwire.decode.source import Source
from procwire.decode.tunnel import TUNNEL_PORTS
from procwire.words import Span, u8, u16, u32

# RFC 792: the messages that quote the packet they are about.
_ICMP_ERRORS = (3, 4, 5, 11, 12)
_UNREACHABLE, _UNREACHABLE6 = 3, 1
_QUOTED_AT = 8
_PORTS6_AT = _QUOTED_AT + 40
_FRAGMENT_OFFSET = 0x1FFF
_PROTOCOL_TCP, _PROTOCOL_UDP = 6, 17
_MAPPED = np.uint64(0xFFFF << 32)
_ZERO, _HALF = np.uint64(0), np.uint64(32)


@fused
def on_icmp_error(table: FlowTable, source: Source, row: int) -> bool:
    """Enter what ICMP packet `row` says of a SYN that was not answered. Returns whether it is an
    error that quotes a segment or datagram which nobody sent (RFC 5927 section 4)."""
    message = span_at(source.data, source.spans, int(source.span[row]))
    if u8(message, 0) not in _ICMP_ERRORS:
        return False
    ports_at = _QUOTED_AT + (u8(message, _QUOTED_AT) & 15) * 4
    protocol = u8(message, _QUOTED_AT + 9)
    if message.captured < ports_at + 4 or u8(message, _QUOTED_AT) >> 4 != 4:
        return False
    if u16(message, _QUOTED_AT + 6) & _FRAGMENT_OFFSET:
        return False
    if protocol not in (_PROTOCOL_TCP, _PROTOCOL_UDP):
        return False
    source_port, destination_port = u16(message, ports_at), u16(message, ports_at + 2)
    if source_port in TUNNEL_PORTS or destination_port in TUNNEL_PORTS:
        # The flows that are known are those inside.
        return False
    path = Path(
        _ZERO,
        _MAPPED | np.uint64(u32(message, _QUOTED_AT + 12)),
        _ZERO,
        _MAPPED | np.uint64(u32(message, _QUOTED_AT + 16)),
        source_port,
        destination_port,
        layers.TCP if protocol == _PROTOCOL_TCP else layers.UDP,
    )
    slot, sender = _find(table, path, protocol)
    if slot < 0 or table.ends[slot, sender].packets == 0:
        return True
    if u8(message, 0) == _UNREACHABLE:
        _refuse(table, slot, sender, u32(message, ports_at + 4))
    return False


@fused
def on_icmp6_error(table: FlowTable, source: Source, row: int) -> None:
    """Enter what ICMPv6 packet `row` says of a SYN that was not answered (RFC 4443 3.1)."""
    message = span_at(source.data, source.spans, int(source.span[row]))
    if u8(message, 0) != _UNREACHABLE6 or message.captured < _PORTS6_AT + 8:
        return
    if u8(message, _QUOTED_AT) >> 4 != 6 or u8(message, _QUOTED_AT + 6) != _PROTOCOL_TCP:
        return
    path = Path(
        _u64(message, _QUOTED_AT + 8),
        _u64(message, _QUOTED_AT + 16),
        _u64(message, _QUOTED_AT + 24),
        _u64(message, _QUOTED_AT + 32),
        u16(message, _PORTS6_AT),
        u16(message, _PORTS6_AT + 2),
        layers.TCP,
    )
    slot, sender = _find(table, path, _PROTOCOL_TCP)
    if slot >= 0 and table.ends[slot, sender].packets > 0:
        _refuse(table, slot, sender, u32(message, _PORTS6_AT + 4))


@fused
def _find(table: FlowTable, path: Path, protocol: int) -> tuple[int, int]:
    """(slot of the flow of what goes along a path, or -1; the end that sent it)"""
    one = end_hash(path.src_hi, path.src_lo, path.src_port)
    other = end_hash(path.dst_hi, path.dst_lo, path.dst_port)
    key = key_of(path)
    return find(table.flows, key, flow_hash(one, other, protocol)), key.sender


@fused
def _refuse(table: FlowTable, slot: int, sender: int, seq: int) -> None:
    """What was quoted cannot be delivered: does that end a SYN that waits for its answer?"""
    end = table.ends[slot, sender]
    if table.flows[slot].state == SYN_SENT and seq == end.initial:
        end.sent |= REFUSED


@fused
def _u64(message: Span, offset: int) -> np.uint64:
    return np.uint64(u32(message, offset)) << _HALF | np.uint64(u32(message, offset + 4))
