"""Answers that nobody asked for, and addresses that change hands: ARP, neighbour and router
discovery, echo, and the UDP protocols in which a server only ever answers.

What was asked is remembered in request_table.py. Who holds an address is remembered likewise: one
that changes hands is reported, and is evidence if two hosts claim it in turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.compiled.jit import called, fused, kernel
from procwire.compiled.memory import touch
from procwire.decode.datagram_requests import on_datagram
from procwire.decode.health import CLOCK, NEVER, STARTED, WARM_UP, later
from procwire.decode.message_spans import MessageSpans
from procwire.decode.modbus_requests import is_modbus, on_modbus
from procwire.decode.observations import (
    ARP_IP_MAC_FLIP,
    NEW_ROUTER,
    UNSOLICITED_ADVERTISEMENT,
)
from procwire.decode.request_table import (
    ANSWER_WITHIN_NS,
    ANSWERS,
    ARP,
    ASKED_FROM,
    BINDING,
    CAPACITY,
    ECHO,
    FORGOTTEN,
    HALF,
    KINDS,
    MEMORY,
    NEIGHBOUR,
    NOBODY,
    REQUESTS,
    ROUTER,
    UNASKED_ANSWERS,
    State,
    ask,
    check,
    is_warm,
    layer_of,
    name_of,
    slot_of,
    u64,
)
from procwire.decode.source import FlowColumns, RowRange, Source, joined_source
from procwire.words import Span, u8, u16, u32

_ARP_REQUEST, _ARP_REPLY = 1, 2
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_ROUTER_ADVERTISEMENT, _SOLICITATION, _ADVERTISEMENT = 134, 135, 136
_SOLICITED = 0x40
# RFC 4861 6.2.1: every router has advertised itself once within this time.
_ROUTER_INTERVAL_NS = 1_800_000_000_000


class Requests:
    """Follows questions and answers over any number of batches.

    warm_up_ns: time from the first packet on in which an answer is no evidence, and in which
    routers are learned.
    """

    def __init__(self, warm_up_ns: int = 60_000_000_000) -> None:
        figures = np.zeros(ASKED_FROM + len(KINDS), np.int64)
        figures[[STARTED, CLOCK]] = NEVER
        figures[WARM_UP] = warm_up_ns
        self._state = State(np.zeros(CAPACITY, MEMORY), np.zeros(CAPACITY, MEMORY), figures)

    def touch(self) -> None:
        """See memory.touch."""
        touch(*self._state)

    def update(
        self, source: Source, columns: FlowColumns, spans: NDArray[np.void], rows: RowRange
    ) -> None:
        """Add what is observed to the columns of some rows of the source, which flows were followed
        in; spans: MESSAGE_SPANS (1,), the messages that these rows carried."""
        _answer(self._state, source, columns, spans, rows)

    def counters(self) -> dict[str, int]:
        """requests and answers seen, answers that were unsolicited, and what a full neighbourhood
        of a table made forgotten though it was still waited for."""
        figures = self._state.figures
        return {
            "requests": int(figures[REQUESTS]),
            "answers": int(figures[ANSWERS]),
            "unsolicited": int(figures[UNASKED_ANSWERS]),
            "forgotten": int(figures[FORGOTTEN]),
        }


@kernel
def _answer(
    state: State, source: Source, columns: FlowColumns, spans: NDArray[np.void], rows: RowRange
) -> None:
    joined, row = source.joined.rows, rows.first
    for at in range(joined.size):
        end = int(joined[at])
        if rows.first <= end < rows.end:
            _answer_rows(state, source, columns, spans[0], RowRange(row, end))
            _answer_rows(state, joined_source(source), columns, spans[0], RowRange(end, end + 1))
            row = end + 1
    _answer_rows(state, source, columns, spans[0], RowRange(row, rows.end))


@called
def _answer_rows(
    state: State, source: Source, columns: FlowColumns, spans: MessageSpans, rows: RowRange
) -> None:
    packets, figures = source.packets, state.figures
    clock = int(figures[CLOCK])
    for row in range(rows.first, rows.end):
        clock = later(figures, clock, int(source.times[row]))
        transport = packets.transport[row]
        if transport == layers.TCP:
            if is_modbus(packets, row):
                figures[CLOCK] = clock
                on_modbus(state, source, spans, row, columns)
            continue
        figures[CLOCK] = clock
        if packets.network[row] == layers.ARP:
            _on_arp(state, layer_of(source, row), row, columns)
        elif transport == layers.UDP:
            on_datagram(state, source, row, columns)
        elif transport == layers.ICMP4:
            _on_icmp4(state, source, row, columns)
        elif transport == layers.ICMP6:
            _on_icmp6(state, source, row, columns)
    figures[CLOCK] = clock


@fused
def _link_address(p: Span, offset: int) -> np.uint64:
    return np.uint64(u16(p, offset)) << HALF | np.uint64(u32(p, offset + 2))


@fused
def _on_arp(state: State, p: Span, row: int, columns: FlowColumns) -> None:
    """RFC 826, of IPv4 over Ethernet. A reply that announces its own sender is gratuitous, which a
    rule of its own sees."""
    if p.captured < 28 or u16(p, 2) != 0x0800 or u16(p, 4) != 0x0604:
        return
    operation, sender, target = u16(p, 6), u32(p, 14), u32(p, 24)
    if operation == _ARP_REQUEST:
        ask(state, name_of(ARP, np.uint64(target), _link_address(p, 8), NOBODY))
    elif operation == _ARP_REPLY and sender != target:
        asked = name_of(ARP, np.uint64(sender), _link_address(p, 18), NOBODY)
        check(state, ARP, asked, row, columns)
    if sender != 0:
        _on_binding(state, np.uint64(sender), _link_address(p, 8), row, columns)


@fused
def _on_binding(
    state: State, address: np.uint64, holder: np.uint64, row: int, columns: FlowColumns
) -> None:
    """RFC 5227 2.4: an address that two hosts claim in turn is in conflict, or being stolen; one
    change alone may be a fail-over."""
    name = name_of(BINDING, address, NOBODY, NOBODY)
    entry = state.bindings[slot_of(state.bindings, name)]
    now = state.figures[CLOCK]
    if entry.name != name:
        entry.name = name
        entry.holder = holder
        entry.before = NOBODY
    elif entry.holder != holder:
        columns.observed[row] |= ARP_IP_MAC_FLIP
        in_turn = entry.before == holder and now - entry.time < ANSWER_WITHIN_NS
        if in_turn and is_warm(state):
            columns.trusted[row] |= ARP_IP_MAC_FLIP
        entry.before = entry.holder
        entry.holder = holder
    entry.time = now


@fused
def _on_icmp4(state: State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 1122 3.2.2.6. A ping to a broadcast address is answered from others, so the question is
    who asks and with which number. The columns know it of a request in fragments, too."""
    packets = source.packets
    number = np.uint64(packets.seq[row])
    if packets.src_port[row] == _ECHO_REQUEST:
        ask(state, name_of(ECHO, packets.src_lo[row], number, NOBODY))
    elif packets.src_port[row] == _ECHO_REPLY:
        check(state, ECHO, name_of(ECHO, packets.dst_lo[row], number, NOBODY), row, columns)


@fused
def _on_icmp6(state: State, source: Source, row: int, columns: FlowColumns) -> None:
    """RFC 4861: 7.2.6 for advertisements, which a host may also send unasked; 6.1.2 for routers.
    An announcement goes to a group and does not say that it was solicited: as with gratuitous ARP,
    that is no evidence, however new."""
    packets, figures, p = source.packets, state.figures, layer_of(source, row)
    kind = u8(p, 0)
    if kind == _ROUTER_ADVERTISEMENT:
        name = name_of(ROUTER, packets.src_hi[row], packets.src_lo[row], NOBODY)
        entry = state.bindings[slot_of(state.bindings, name)]
        if entry.name != name and is_warm(state):
            columns.observed[row] |= NEW_ROUTER
            if figures[CLOCK] - figures[STARTED] >= _ROUTER_INTERVAL_NS:
                columns.trusted[row] |= NEW_ROUTER
        entry.name = name
        entry.time = figures[CLOCK]
        return
    if kind not in (_SOLICITATION, _ADVERTISEMENT) or p.captured < 24:
        return
    name = name_of(NEIGHBOUR, u64(p, 8), u64(p, 16), NOBODY)
    if kind == _SOLICITATION:
        ask(state, name)
    else:
        check(state, NEIGHBOUR, name, row, columns)
        to_group = packets.dst_hi[row] >> np.uint64(56) == 0xFF
        if to_group and u8(p, 4) & _SOLICITED == 0:
            columns.trusted[row] &= ~UNSOLICITED_ADVERTISEMENT
