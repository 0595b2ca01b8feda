"""Flows: which packets belong together, who began, and what does not fit into the conversation.

One pass over a batch: each TCP or UDP packet is found in the flow table (flow_table.py), moves its
flow on (tcp_state.py), and its observations are weighed by what the capture can show (context.py).
The columns depend on the packets alone, never on where one batch ends and the next begins.
"""

from __future__ import annotations

import numpy as np

from procwire import layers
from procwire.decode.columns import span_at
from procwire.decode.context import weigh
from procwire.decode.flow_table import (
    BEGUN,
    DATAGRAMS,
    MIDSTREAM,
    PROBES,
    FlowTable,
    Path,
    begin,
    find,
    flow_table,
    is_over,
    key_of,
    path_of,
    place,
)
from procwire.decode.health import CLOCK, LAST_EVICTION, Health, health, on_time
from procwire.decode.observations import (
    OUT_OF_WINDOW,
    OVERLAP_DIFFERS,
    RST_NO_SESSION,
    UNSOLICITED_ERROR,
)
from procwire.decode.source import FlowColumns, Source
from procwire.decode.spoken import contradictions
from procwire.decode.stream import Piece, Streams, differs, empty_streams
from procwire.decode.tcp_segment import RST, SYN, Segment
from procwire.decode.tcp_state import on_segment, opening_state
from procwire.errors import UsageError
from procwire.jit import fused, kernel
from procwire.words import Span, u8, u16, u32

COUNTERS = ("flows", "midstream", "timed_out", "evicted", "two_sided", "one_sided")
"""flows: begun; midstream: those TCP flows whose beginning was not seen; timed_out: found idle for
too long by their next packet; evicted: living flows that had to give way in a full neighbourhood;
two_sided, one_sided: TCP connections by whether both directions were seen."""
_MIDSTREAM, _TIMED_OUT, _EVICTED, _TWO_SIDED, _ONE_SIDED = range(BEGUN + 1, len(COUNTERS))

# RFC 792: the messages that quote the packet they are about.
_ICMP_ERRORS = (3, 4, 5, 11, 12)
_QUOTED_AT = 8
_FRAGMENT_OFFSET = 0x1FFF
_PROTOCOL_TCP, _PROTOCOL_UDP = 6, 17
_MAPPED = np.uint64(0xFFFF << 32)
_ZERO = np.uint64(0)

_OPTION_WINDOW_SCALE, _OPTION_FAST_OPEN, _OPTION_EXPERIMENT = 3, 34, 254
_FAST_OPEN_MAGIC = 0xF989
_LARGEST_SCALE = 14  # RFC 7323 2.3


class Flows:
    """Follows flows over any number of batches.

    capacity: flows remembered, a power of two, 128 bytes each; warm_up_ns: time from the first
    packet on in which no context is taken to hold.
    """

    def __init__(self, capacity: int = 1 << 18, warm_up_ns: int = 60_000_000_000) -> None:
        if capacity < PROBES or capacity & (capacity - 1):
            raise UsageError(
                f"flows.capacity is {capacity}: give a power of two, at least {PROBES}"
            )
        self._table = flow_table(capacity, len(COUNTERS))
        self._health = health(warm_up_ns)
        self._streams = empty_streams()

    def update(self, source: Source, columns: FlowColumns) -> None:
        """Fill flow and sender of the columns, and add what is observed of TCP and of ICMP errors.

        source, columns: of the same n packets.
        """
        _follow(self._table, self._health, self._streams, source, columns)

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._table.counts.tolist(), strict=True))


@kernel
def _follow(
    table: FlowTable, state: Health, streams: Streams, source: Source, columns: FlowColumns
) -> None:
    packets = source.packets
    for row in range(source.times.size):
        on_time(state.figures, int(source.times[row]))
        transport = packets.transport[row]
        if transport == layers.ICMP4:
            if _quotes_unknown_flow(table, source, row):
                columns.observed[row] |= UNSOLICITED_ERROR
                weigh(table, -1, state, source, row, columns)
        elif transport == layers.TCP:
            slot = _slot_of(table, state, source, row, columns)
            if slot >= 0 and _differs_from_before(table, slot, streams, source, row, columns):
                columns.observed[row] |= OVERLAP_DIFFERS
            if slot >= 0:
                columns.observed[row] |= contradictions(table, slot, source, row, columns)
            counted = weigh(table, slot, state, source, row, columns)
            if counted:
                table.counts[_TWO_SIDED if counted > 0 else _ONE_SIDED] += 1
        elif transport == layers.UDP:
            _slot_of(table, state, source, row, columns)


@fused
def _slot_of(
    table: FlowTable, state: Health, source: Source, row: int, columns: FlowColumns
) -> int:
    """Enter a packet into its flow, an old or a new one; its slot, or -1 for a lone reset."""
    packets, wanted, figures = source.packets, table.wanted[0], state.figures
    time = int(source.times[row])
    sender = key_of(path_of(packets, row), wanted)
    slot = find(table.flows, wanted)
    if slot >= 0 and is_over(table.flows[slot], time):
        table.counts[_TIMED_OUT] += 1
        _begin(table, slot, sender, source, row)
    elif slot < 0:
        if packets.transport[row] == layers.TCP and packets.tcp_flags[row] & RST:
            # What belongs to nothing leaves nothing to remember.
            columns.observed[row] |= RST_NO_SESSION
            return -1
        slot, evicts = place(table.flows, wanted, time)
        if evicts:
            table.counts[_EVICTED] += 1
            figures[LAST_EVICTION] = figures[CLOCK]
        _begin(table, slot, sender, source, row)
    if packets.transport[row] == layers.TCP:
        columns.observed[row] |= on_segment(table, slot, _segment(source, row, sender))
    flow, end = table.flows[slot], table.ends[slot, sender]
    flow.last = max(flow.last, time)
    end.packets += 1
    end.bytes += packets.payload[row]
    columns.flow[row] = slot
    columns.sender[row] = sender ^ flow.origin
    return slot


@fused
def _differs_from_before(
    table: FlowTable, slot: int, streams: Streams, source: Source, row: int, columns: FlowColumns
) -> bool:
    """Enter the payload of a segment into its stream; whether it contradicts what was sent."""
    packets, span = source.packets, int(source.span[row])
    if packets.payload[row] == 0 or span < 0 or packets.tcp_flags[row] & (SYN | RST):
        return False
    if columns.observed[row] & OUT_OF_WINDOW:
        return False
    segment = span_at(source.data, source.spans, span)
    owner = 2 * slot + int(columns.sender[row]) + 1
    header = segment.length - int(packets.payload[row])
    number, time = int(table.flows[slot].number), int(source.times[row])
    return differs(streams, segment, Piece(owner, number, int(packets.seq[row]), header, time))


@fused
def _begin(table: FlowTable, slot: int, sender: int, source: Source, row: int) -> None:
    packets = source.packets
    state = DATAGRAMS
    if packets.transport[row] == layers.TCP:
        state = opening_state(int(packets.tcp_flags[row]))
    begin(table, slot, state, sender, int(source.times[row]))
    if state == MIDSTREAM:
        table.counts[_MIDSTREAM] += 1


@fused
def _segment(source: Source, row: int, sender: int) -> Segment:
    packets = source.packets
    header = span_at(source.data, source.spans, int(source.span[row]))
    opens = packets.tcp_flags[row] & SYN != 0
    return Segment(
        int(packets.tcp_flags[row]),
        int(packets.seq[row]),
        int(packets.ack[row]),
        int(packets.payload[row]),
        sender,
        opens and _offers_fast_open(header),
        int(source.times[row]),
        u16(header, 14),
        _window_scale(header) if opens else 0,
    )


@fused
def _option(header: Span, wanted: int, magic: int) -> int:
    """Where a TCP header has the option `wanted`, followed by the number `magic` unless that is 0;
    0 where it has none."""
    end, at = min(header.captured, (u8(header, 12) >> 4) * 4), 20
    while at + 1 < end:
        kind = u8(header, at)
        if kind == 0:
            return 0
        if kind == wanted and (magic == 0 or u16(header, at + 2) == magic):
            return at
        at += 1 if kind == 1 else max(u8(header, at + 1), 2)
    return 0


@fused
def _offers_fast_open(header: Span) -> bool:
    """Whether a SYN carries the option of RFC 7413, or the experiment (RFC 6994) it was before."""
    if _option(header, _OPTION_FAST_OPEN, 0) > 0:
        return True
    return _option(header, _OPTION_EXPERIMENT, _FAST_OPEN_MAGIC) > 0


@fused
def _window_scale(header: Span) -> int:
    """One more than the window scale of a SYN; 0 without that option."""
    at = _option(header, _OPTION_WINDOW_SCALE, 0)
    return min(u8(header, at + 2), _LARGEST_SCALE) + 1 if at > 0 else 0


@fused
def _quotes_unknown_flow(table: FlowTable, source: Source, row: int) -> bool:
    """Whether an ICMP error quotes a segment or datagram that nobody sent (RFC 5927 section 4)."""
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
    path = Path(
        _ZERO,
        _MAPPED | np.uint64(u32(message, _QUOTED_AT + 12)),
        _ZERO,
        _MAPPED | np.uint64(u32(message, _QUOTED_AT + 16)),
        u16(message, ports_at),
        u16(message, ports_at + 2),
        layers.TCP if protocol == _PROTOCOL_TCP else layers.UDP,
    )
    sender = key_of(path, table.wanted[0])
    slot = find(table.flows, table.wanted[0])
    return bool(slot < 0 or table.ends[slot, sender].packets == 0)
