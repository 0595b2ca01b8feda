"""Questions and answers of UDP protocols in which a server only ever answers: DNS, NTP, DHCP, and
services known by their port.
"""

from __future__ import annotations

import numpy as np

from procwire.compiled.jit import fused
from procwire.decode.mix import mix_address
from procwire.decode.request_table import (
    DATAGRAM,
    DHCP,
    DNS,
    HALF,
    NOBODY,
    NTP,
    State,
    ask,
    check,
    layer_of,
    name_of,
    u64,
)
from procwire.decode.source import FlowColumns, Source
from procwire.words import u8, u16, u32

# Ports whose server answers and never begins. Not among them: protocols whose answers come from
# another port or another host than was asked (TFTP, SSDP), and those with a kind of their own.
SERVICES = (7, 13, 17, 19, 37, 111, 161, 389, 1812, 1813, 3283, 11211)
_PORT_DNS, _PORT_NTP, _PORTS_DHCP = 53, 123, (67, 68)

_PORTS = max(SERVICES) + 1
_IS_SERVICE = np.zeros(_PORTS, np.bool_)
_IS_SERVICE[[*SERVICES, _PORT_DNS, _PORT_NTP, *_PORTS_DHCP]] = True

# RFC 5905 7.3 and RFC 9327: modes of NTP.
_NTP_CLIENT, _NTP_SERVER, _NTP_CONTROL, _NTP_PRIVATE = 3, 4, 6, 7
_NTP_RESPONSE = 0x80
_UDP_HEADER = 8


@fused
def pair_of(kind: int, source: Source, row: int, asks: bool, what: np.uint64) -> np.uint64:
    """The question `what` between the ends of a datagram; asks: whether it goes to the server."""
    packets = source.packets
    client_hi = packets.src_hi[row] if asks else packets.dst_hi[row]
    client_lo = packets.src_lo[row] if asks else packets.dst_lo[row]
    server_hi = packets.dst_hi[row] if asks else packets.src_hi[row]
    server_lo = packets.dst_lo[row] if asks else packets.src_lo[row]
    client_port = packets.src_port[row] if asks else packets.dst_port[row]
    client = mix_address(client_hi, client_lo) ^ np.uint64(client_port)
    return name_of(kind, client, mix_address(server_hi, server_lo), what)


@fused
def _is_group(high: np.uint64, low: np.uint64) -> bool:
    """Whether an address is multicast or the limited broadcast."""
    if high == 0 and low >> HALF == np.uint64(0xFFFF):
        return bool(low & np.uint64(0xFFFFFFFF) >= np.uint64(0xE0000000))
    return bool(high >> np.uint64(56) == np.uint64(0xFF))


@fused
def _is_service(port: int) -> bool:
    """Whether questions to a port are remembered: of most packets neither is such a one."""
    return bool(port < _PORTS and _IS_SERVICE[port])


@fused
def on_datagram(state: State, source: Source, row: int, columns: FlowColumns) -> None:
    """Remember what UDP packet `row` asks, or check what it answers."""
    packets = source.packets
    from_port, to_port = int(packets.src_port[row]), int(packets.dst_port[row])
    if not (_is_service(from_port) or _is_service(to_port)):
        return
    if _PORT_DNS in (from_port, to_port):
        _on_dns(state, source, row, columns)
    elif _PORT_NTP in (from_port, to_port):
        _on_ntp(state, source, row, columns)
    elif from_port in _PORTS_DHCP and to_port in _PORTS_DHCP:
        p = layer_of(source, row)
        if p.captured < _UDP_HEADER + 8:
            return
        # RFC 2131 section 2: op, then at 4 the transaction id. Addresses change on the way.
        name = name_of(DHCP, np.uint64(u32(p, _UDP_HEADER + 4)), NOBODY, NOBODY)
        if u8(p, _UDP_HEADER) == 1:
            ask(state, name)
        elif u8(p, _UDP_HEADER) == 2:
            check(state, DHCP, name, row, columns)
    elif to_port in SERVICES:
        ask(state, pair_of(DATAGRAM, source, row, True, np.uint64(to_port)))
    elif from_port in SERVICES and not _is_group(packets.dst_hi[row], packets.dst_lo[row]):
        asked = pair_of(DATAGRAM, source, row, False, np.uint64(from_port))
        check(state, DATAGRAM, asked, row, columns)


@fused
def _on_dns(state: State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 5452 9.1: an answer has the ports, addresses and id of its query."""
    p = layer_of(source, row)
    if p.captured < _UDP_HEADER + 12:
        return
    number, answers = np.uint64(u16(p, _UDP_HEADER)), u8(p, _UDP_HEADER + 2) & 0x80 != 0
    if not answers and source.packets.dst_port[row] == _PORT_DNS:
        ask(state, pair_of(DNS, source, row, True, number))
    elif answers and source.packets.src_port[row] == _PORT_DNS:
        check(state, DNS, pair_of(DNS, source, row, False, number), row, columns)


@fused
def _on_ntp(state: State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 5905 section 8: a server returns the client's transmit timestamp as its origin timestamp,
    or, where the client named an earlier answer, its receive timestamp (RFC 9769 section 2).
    Monitoring messages have the mode in the same place and a bit for the answer."""
    p = layer_of(source, row)
    if p.captured < _UDP_HEADER + 4:
        return
    mode = u8(p, _UDP_HEADER) & 7
    if mode == _NTP_CLIENT and p.captured >= _UDP_HEADER + 48:
        ask(state, pair_of(NTP, source, row, True, u64(p, _UDP_HEADER + 40)))
        if u64(p, _UDP_HEADER + 24) != 0:
            ask(state, pair_of(NTP, source, row, True, u64(p, _UDP_HEADER + 32)))
    elif mode == _NTP_SERVER and p.captured >= _UDP_HEADER + 48:
        asked = pair_of(NTP, source, row, False, u64(p, _UDP_HEADER + 24))
        check(state, NTP, asked, row, columns)
    elif mode in (_NTP_CONTROL, _NTP_PRIVATE):
        at = _UDP_HEADER + 1 if mode == _NTP_CONTROL else _UDP_HEADER
        answers = u8(p, at) & _NTP_RESPONSE != 0
        name = pair_of(NTP, source, row, not answers, np.uint64(mode))
        if answers:
            check(state, NTP, name, row, columns)
        else:
            ask(state, name)
