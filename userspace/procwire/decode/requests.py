"""Answers that nobody asked for, and addresses that change hands: ARP, neighbour and router
discovery, echo, and the UDP protocols in which a server only ever answers.

Strategy: a question is a 64-bit hash of who asks whom what. A bounded table remembers when it was
last put; an answer looks its question up. A second table remembers who holds an address. An answer
is evidence only after the warm-up, on a capture that shows the questions of its kind.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.decode.columns import span_at
from procwire.decode.mix import mix64, mix_address
from procwire.decode.observations import (
    ARP_IP_MAC_FLIP,
    ARP_UNSOLICITED_REPLY,
    NEW_ROUTER,
    UNSOLICITED_ADVERTISEMENT,
    UNSOLICITED_DATAGRAM,
    UNSOLICITED_DHCP,
    UNSOLICITED_DNS,
    UNSOLICITED_ECHO_REPLY,
    UNSOLICITED_NTP,
)
from procwire.decode.source import FlowColumns, Source
from procwire.jit import fused, kernel
from procwire.words import Span, u8, u16, u32

CAPACITY = 1 << 16
PROBES = 8
ANSWER_WITHIN_NS = 60_000_000_000
"""A question older than this is not answered any more."""

MEMORY = np.dtype([("name", "u8"), ("time", "i8"), ("holder", "u8"), ("before", "u8")])
"""name: hash of a question or of an address, 0 if free; time: ns, when last put or seen; holder,
before: link addresses that hold it now and held it before, 0 if unknown."""

# Kinds of questions. Each has a bit of observations.py for an answer that lacks it.
KINDS = ("arp", "neighbour", "echo", "datagram", "dns", "ntp", "dhcp")
_ARP, _NEIGHBOUR, _ECHO, _DATAGRAM, _DNS, _NTP, _DHCP = range(len(KINDS))
_UNASKED = (
    ARP_UNSOLICITED_REPLY,
    UNSOLICITED_ADVERTISEMENT,
    UNSOLICITED_ECHO_REPLY,
    UNSOLICITED_DATAGRAM,
    UNSOLICITED_DNS,
    UNSOLICITED_NTP,
    UNSOLICITED_DHCP,
)
_BINDING, _ROUTER = len(KINDS), len(KINDS) + 1

# Ports whose server answers and never begins. Not among them: protocols whose answers come from
# another port or another host than was asked (TFTP, SSDP), and those with a kind of their own.
SERVICES = (7, 13, 17, 19, 37, 111, 161, 389, 1812, 1813, 3283, 11211)
_PORT_DNS, _PORT_NTP, _PORTS_DHCP = 53, 123, (67, 68)

_ARP_REQUEST, _ARP_REPLY = 1, 2
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_ROUTER_ADVERTISEMENT, _SOLICITATION, _ADVERTISEMENT = 134, 135, 136
# RFC 5905 7.3 and RFC 9327: modes of NTP.
_NTP_CLIENT, _NTP_SERVER, _NTP_CONTROL, _NTP_PRIVATE = 3, 4, 6, 7
_NTP_RESPONSE = 0x80
# RFC 4861 6.2.1: every router has advertised itself once within this time.
_ROUTER_INTERVAL_NS = 1_800_000_000_000
_UDP_HEADER = 8

# Slots of the figures, an int64 array; answers that were asked for, by kind, follow.
_STARTED, _CLOCK, _WARM_UP, _FORGOTTEN, _REQUESTS, _ANSWERS, _UNASKED_ANSWERS = range(7)
_ASKED_FROM = 7
_NEVER = np.iinfo(np.int64).min
_ENOUGH = 8
_HALF = np.uint64(32)
_NOBODY = np.uint64(0)


class _State(NamedTuple):
    """questions, bindings: MEMORY (CAPACITY,); figures: int64, see the slot numbers."""

    questions: NDArray[np.void]
    bindings: NDArray[np.void]
    figures: NDArray[np.int64]


class Requests:
    """Follows questions and answers over any number of batches.

    warm_up_ns: time from the first packet on in which an answer is no evidence, and in which
    routers are learned.
    """

    def __init__(self, warm_up_ns: int = 60_000_000_000) -> None:
        figures = np.zeros(_ASKED_FROM + len(KINDS), np.int64)
        figures[[_STARTED, _CLOCK]] = _NEVER
        figures[_WARM_UP] = warm_up_ns
        self._state = _State(np.zeros(CAPACITY, MEMORY), np.zeros(CAPACITY, MEMORY), figures)

    def update(self, source: Source, columns: FlowColumns) -> None:
        """Add what is observed to the columns of the source's packets."""
        _answer(self._state, source, columns)

    def counters(self) -> dict[str, int]:
        """requests and answers seen, answers that were unsolicited, and what a full neighbourhood
        of a table made forgotten though it was still waited for."""
        figures = self._state.figures
        return {
            "requests": int(figures[_REQUESTS]),
            "answers": int(figures[_ANSWERS]),
            "unsolicited": int(figures[_UNASKED_ANSWERS]),
            "forgotten": int(figures[_FORGOTTEN]),
        }


@fused
def _name(kind: int, first: np.uint64, second: np.uint64, third: np.uint64) -> np.uint64:
    """Hash of a question or address, never 0."""
    mixed = mix64(mix64(mix_address(np.uint64(kind), first) ^ second) ^ third)
    return mixed | np.uint64(1)


@fused
def _slot(table: NDArray[np.void], name: np.uint64) -> int:
    """Where `name` is, or where it goes: a free slot, else the oldest one."""
    mask = len(table) - 1
    home = np.int64((name >> _HALF) & np.uint64(mask))
    best = home
    for probe in range(PROBES):
        slot = (home + probe) & mask
        if table[slot].name == name or table[slot].name == 0:
            return int(slot)
        if table[slot].time < table[best].time:
            best = slot
    return int(best)


@fused
def _ask(state: _State, name: np.uint64) -> None:
    now = state.figures[_CLOCK]
    entry = state.questions[_slot(state.questions, name)]
    lost = entry.name != 0 and entry.name != name
    if lost and now - entry.time < ANSWER_WITHIN_NS:
        state.figures[_FORGOTTEN] += 1
    entry.name = name
    entry.time = now
    state.figures[_REQUESTS] += 1


@fused
def _is_warm(state: _State) -> bool:
    figures = state.figures
    return bool(figures[_CLOCK] - figures[_STARTED] >= figures[_WARM_UP])


@fused
def _check(state: _State, kind: int, name: np.uint64, row: int, columns: FlowColumns) -> None:
    """Note it in the columns if packet `row` answers the question `name`, which nobody put."""
    figures = state.figures
    figures[_ANSWERS] += 1
    entry = state.questions[_slot(state.questions, name)]
    if entry.name == name and figures[_CLOCK] - entry.time < ANSWER_WITHIN_NS:
        figures[_ASKED_FROM + kind] += 1
        return
    figures[_UNASKED_ANSWERS] += 1
    columns.observed[row] |= _UNASKED[kind]
    if _is_warm(state) and figures[_ASKED_FROM + kind] >= _ENOUGH and figures[_FORGOTTEN] == 0:
        columns.trusted[row] |= _UNASKED[kind]


@kernel
def _answer(state: _State, source: Source, columns: FlowColumns) -> None:
    packets, figures = source.packets, state.figures
    for row in range(source.times.size):
        time = int(source.times[row])
        if figures[_STARTED] == _NEVER:
            figures[_STARTED] = time
        if time > figures[_CLOCK]:
            figures[_CLOCK] = time
        transport = packets.transport[row]
        if transport == layers.TCP:
            continue
        if packets.network[row] == layers.ARP:
            _on_arp(state, _layer(source, row), row, columns)
        elif transport == layers.UDP:
            _on_datagram(state, source, row, columns)
        elif transport == layers.ICMP4:
            _on_icmp4(state, source, row, columns)
        elif transport == layers.ICMP6:
            _on_icmp6(state, source, row, columns)


@fused
def _layer(source: Source, row: int) -> Span:
    return span_at(source.data, source.spans, int(source.span[row]))


@fused
def _link_address(p: Span, offset: int) -> np.uint64:
    return np.uint64(u16(p, offset)) << _HALF | np.uint64(u32(p, offset + 2))


@fused
def _on_arp(state: _State, p: Span, row: int, columns: FlowColumns) -> None:
    """RFC 826, of IPv4 over Ethernet. A reply that announces its own sender is gratuitous, which a
    rule of its own sees."""
    if p.captured < 28 or u16(p, 2) != 0x0800 or u16(p, 4) != 0x0604:
        return
    operation, sender, target = u16(p, 6), u32(p, 14), u32(p, 24)
    if operation == _ARP_REQUEST:
        _ask(state, _name(_ARP, np.uint64(target), _link_address(p, 8), _NOBODY))
    elif operation == _ARP_REPLY and sender != target:
        asked = _name(_ARP, np.uint64(sender), _link_address(p, 18), _NOBODY)
        _check(state, _ARP, asked, row, columns)
    if sender != 0:
        _on_binding(state, np.uint64(sender), _link_address(p, 8), row, columns)


@fused
def _on_binding(
    state: _State, address: np.uint64, holder: np.uint64, row: int, columns: FlowColumns
) -> None:
    """RFC 5227 2.4: an address that two hosts claim in turn is in conflict, or being stolen; one
    change alone may be a fail-over."""
    name = _name(_BINDING, address, _NOBODY, _NOBODY)
    entry = state.bindings[_slot(state.bindings, name)]
    now = state.figures[_CLOCK]
    if entry.name != name:
        entry.name = name
        entry.holder = holder
        entry.before = _NOBODY
    elif entry.holder != holder:
        columns.observed[row] |= ARP_IP_MAC_FLIP
        in_turn = entry.before == holder and now - entry.time < ANSWER_WITHIN_NS
        if in_turn and _is_warm(state):
            columns.trusted[row] |= ARP_IP_MAC_FLIP
        entry.before = entry.holder
        entry.holder = holder
    entry.time = now


@fused
def _on_icmp4(state: _State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 1122 3.2.2.6. A ping to a broadcast address is answered from others, so the question is
    who asks and with which number."""
    packets, p = source.packets, _layer(source, row)
    if p.captured < 8:
        return
    number = np.uint64(u32(p, 4))
    if u8(p, 0) == _ECHO_REQUEST:
        _ask(state, _name(_ECHO, packets.src_lo[row], number, _NOBODY))
    elif u8(p, 0) == _ECHO_REPLY:
        _check(state, _ECHO, _name(_ECHO, packets.dst_lo[row], number, _NOBODY), row, columns)


@fused
def _u64(p: Span, offset: int) -> np.uint64:
    return np.uint64(u32(p, offset)) << _HALF | np.uint64(u32(p, offset + 4))


@fused
def _on_icmp6(state: _State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 4861: 7.2.6 for advertisements, which a host may also send unasked; 6.1.2 for routers."""
    packets, figures, p = source.packets, state.figures, _layer(source, row)
    kind = u8(p, 0)
    if kind == _ROUTER_ADVERTISEMENT:
        name = _name(_ROUTER, packets.src_hi[row], packets.src_lo[row], _NOBODY)
        entry = state.bindings[_slot(state.bindings, name)]
        if entry.name != name and _is_warm(state):
            columns.observed[row] |= NEW_ROUTER
            if figures[_CLOCK] - figures[_STARTED] >= _ROUTER_INTERVAL_NS:
                columns.trusted[row] |= NEW_ROUTER
        entry.name = name
        entry.time = figures[_CLOCK]
        return
    if kind not in (_SOLICITATION, _ADVERTISEMENT) or p.captured < 24:
        return
    name = _name(_NEIGHBOUR, _u64(p, 8), _u64(p, 16), _NOBODY)
    if kind == _SOLICITATION:
        _ask(state, name)
    else:
        _check(state, _NEIGHBOUR, name, row, columns)


@fused
def _pair(kind: int, source: Source, row: int, asks: bool, what: np.uint64) -> np.uint64:
    """The question `what` between the ends of a datagram; asks: whether it goes to the server."""
    packets = source.packets
    client_hi = packets.src_hi[row] if asks else packets.dst_hi[row]
    client_lo = packets.src_lo[row] if asks else packets.dst_lo[row]
    server_hi = packets.dst_hi[row] if asks else packets.src_hi[row]
    server_lo = packets.dst_lo[row] if asks else packets.src_lo[row]
    client_port = packets.src_port[row] if asks else packets.dst_port[row]
    client = mix_address(client_hi, client_lo) ^ np.uint64(client_port)
    return _name(kind, client, mix_address(server_hi, server_lo), what)


@fused
def _is_group(high: np.uint64, low: np.uint64) -> bool:
    """Whether an address is multicast or the limited broadcast."""
    if high == 0 and low >> _HALF == np.uint64(0xFFFF):
        return bool(low & np.uint64(0xFFFFFFFF) >= np.uint64(0xE0000000))
    return bool(high >> np.uint64(56) == np.uint64(0xFF))


@fused
def _on_datagram(state: _State, source: Source, row: int, columns: FlowColumns) -> None:
    packets, p = source.packets, _layer(source, row)
    from_port, to_port = int(packets.src_port[row]), int(packets.dst_port[row])
    if _PORT_DNS in (from_port, to_port):
        _on_dns(state, source, row, columns)
    elif _PORT_NTP in (from_port, to_port):
        _on_ntp(state, source, row, columns)
    elif from_port in _PORTS_DHCP and to_port in _PORTS_DHCP:
        if p.captured < _UDP_HEADER + 8:
            return
        # RFC 2131 section 2: op, then at 4 the transaction id. Addresses change on the way.
        name = _name(_DHCP, np.uint64(u32(p, _UDP_HEADER + 4)), _NOBODY, _NOBODY)
        if u8(p, _UDP_HEADER) == 1:
            _ask(state, name)
        elif u8(p, _UDP_HEADER) == 2:
            _check(state, _DHCP, name, row, columns)
    elif to_port in SERVICES:
        _ask(state, _pair(_DATAGRAM, source, row, True, np.uint64(to_port)))
    elif from_port in SERVICES and not _is_group(packets.dst_hi[row], packets.dst_lo[row]):
        asked = _pair(_DATAGRAM, source, row, False, np.uint64(from_port))
        _check(state, _DATAGRAM, asked, row, columns)


@fused
def _on_dns(state: _State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 5452 9.1: an answer has the ports, addresses and id of its query."""
    p = _layer(source, row)
    if p.captured < _UDP_HEADER + 12:
        return
    number, answers = np.uint64(u16(p, _UDP_HEADER)), u8(p, _UDP_HEADER + 2) & 0x80 != 0
    if not answers and source.packets.dst_port[row] == _PORT_DNS:
        _ask(state, _pair(_DNS, source, row, True, number))
    elif answers and source.packets.src_port[row] == _PORT_DNS:
        _check(state, _DNS, _pair(_DNS, source, row, False, number), row, columns)


@fused
def _on_ntp(state: _State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 5905 section 8: a server returns the client's transmit timestamp as its origin timestamp.
    Monitoring messages have the mode in the same place and a bit for the answer."""
    p = _layer(source, row)
    if p.captured < _UDP_HEADER + 4:
        return
    mode = u8(p, _UDP_HEADER) & 7
    if mode == _NTP_CLIENT and p.captured >= _UDP_HEADER + 48:
        _ask(state, _pair(_NTP, source, row, True, _u64(p, _UDP_HEADER + 40)))
    elif mode == _NTP_SERVER and p.captured >= _UDP_HEADER + 48:
        asked = _pair(_NTP, source, row, False, _u64(p, _UDP_HEADER + 24))
        _check(state, _NTP, asked, row, columns)
    elif mode in (_NTP_CONTROL, _NTP_PRIVATE):
        at = _UDP_HEADER + 1 if mode == _NTP_CONTROL else _UDP_HEADER
        answers = u8(p, at) & _NTP_RESPONSE != 0
        name = _pair(_NTP, source, row, not answers, np.uint64(mode))
        if answers:
            _check(state, _NTP, name, row, columns)
        else:
            _ask(state, name)
