"""Flows: which packets belong together, who began, and what does not fit into the conversation.

One pass over a batch: each TCP or UDP packet is found in the flow table (flow_table.py), moves its
flow on (tcp_state.py), and its observations are weighed by what the capture can show (health.py).
The columns depend on the packets alone, never on where one batch ends and the next begins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.decode.columns import Decoded, Packets, Spans
from procwire.decode.flow_table import (
    COUNTED,
    DATAGRAMS,
    ESTABLISHED,
    FROM_SYN,
    GUESSED,
    IDLE_LIMITS,
    MIDSTREAM,
    PROBES,
    FlowTable,
    begin,
    find,
    flow_table,
    is_over,
    key_of,
    place,
)
from procwire.decode.health import (
    CLOCK,
    LAST_EVICTION,
    Health,
    health,
    is_trusted,
    on_connection,
    on_segment_seen,
    on_time,
    remembers,
    several_strays,
)
from procwire.decode.tcp_state import (
    DATA_NO_SESSION,
    FIN_NO_SESSION,
    GAP,
    REPEATED,
    RST,
    RST_NO_SESSION,
    SYN,
    SYNACK_UNSOLICITED,
    Segment,
    on_segment,
    opening_state,
)
from procwire.errors import UsageError
from procwire.jit import fused, kernel

COUNTERS = ("flows", "midstream", "timed_out", "evicted", "two_sided", "one_sided")
"""flows: begun; midstream: those TCP flows whose beginning was not seen; timed_out: found idle for
too long by their next packet; evicted: living flows that had to give way in a full neighbourhood;
two_sided, one_sided: TCP connections by whether both directions were seen."""
_FLOWS, _MIDSTREAM, _TIMED_OUT, _EVICTED, _TWO_SIDED, _ONE_SIDED = range(len(COUNTERS))

NO_FLOW = -1
_STRAYS = RST_NO_SESSION | FIN_NO_SESSION | DATA_NO_SESSION
_LONGEST_MEMORY = int(IDLE_LIMITS.max())
# So many segments one way, none of them a bare SYN or reset, mean that the answers pass elsewhere.
_ONE_WAY = 8
_NO_SPAN = -1


class FlowColumns(NamedTuple):
    """One row per packet of a batch.

    flow: int32, slot of its flow in the table, or NO_FLOW; sender: uint8, 0 for the end that opened
    the flow (or was seen first), 1 for the other; observed: uint32, bits of tcp_state.OBSERVATIONS;
    trusted: uint32, those of them whose context holds; span: int32, row of its transport's span, or
    -1.
    """

    flow: NDArray[np.int32]
    sender: NDArray[np.uint8]
    observed: NDArray[np.uint32]
    trusted: NDArray[np.uint32]
    span: NDArray[np.int32]


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

    def update(
        self, data: NDArray[np.uint8], decoded: Decoded, times: NDArray[np.int64]
    ) -> FlowColumns:
        """The columns of a batch of n packets.

        data: uint8, the memory the packets lie in; decoded: what decode() made of them; times:
        int64 (n,), ns since the epoch.
        """
        count = len(times)
        if count != len(decoded.packets.transport):
            raise ValueError(f"{count} times for {len(decoded.packets.transport)} packets")
        columns = FlowColumns(
            flow=np.full(count, NO_FLOW, np.int32),
            sender=np.zeros(count, np.uint8),
            observed=np.zeros(count, np.uint32),
            trusted=np.zeros(count, np.uint32),
            span=np.full(count, _NO_SPAN, np.int32),
        )
        _locate(decoded.packets.transport, decoded.spans, columns.span)
        source = _Source(data, decoded.packets, decoded.spans, times)
        _follow(self._table, self._health, source, columns)
        return columns

    @property
    def table(self) -> FlowTable:
        """The flows, for those who look them up."""
        return self._table

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._table.counts.tolist(), strict=True))


class _Source(NamedTuple):
    data: NDArray[np.uint8]
    packets: Packets
    spans: Spans
    times: NDArray[np.int64]


@kernel
def _locate(transport: NDArray[np.uint8], spans: Spans, found: NDArray[np.int32]) -> None:
    """Row of the first span of each packet's transport layer."""
    for span in range(spans.layer.size):
        row = spans.packet[span]
        if spans.layer[span] == transport[row] and found[row] < 0:
            found[row] = span


@kernel
def _follow(table: FlowTable, state: Health, source: _Source, columns: FlowColumns) -> None:
    packets, figures = source.packets, state.figures
    for row in range(source.times.size):
        time = int(source.times[row])
        on_time(figures, time)
        transport = packets.transport[row]
        if transport != layers.TCP and transport != layers.UDP:
            continue
        sender = key_of(packets, row, table.wanted[0])
        slot = find(table.flows, table.wanted[0])
        if slot >= 0 and is_over(table.flows[slot], time):
            table.counts[_TIMED_OUT] += 1
            begin(table, slot, _first_state(source, row), sender, time)
            _count_begun(table, slot)
        elif slot < 0 and _is_lone_reset(packets, row):
            # A reset that belongs to nothing leaves nothing to remember.
            columns.observed[row] = RST_NO_SESSION
        elif slot < 0:
            slot, evicts = place(table.flows, table.wanted[0], time)
            if evicts:
                table.counts[_EVICTED] += 1
                figures[LAST_EVICTION] = figures[CLOCK]
            begin(table, slot, _first_state(source, row), sender, time)
            _count_begun(table, slot)
        if slot >= 0:
            _enter(table, slot, sender, source, row, columns)
        if transport == layers.TCP:
            _weigh(table, slot, state, source, row, columns)


@fused
def _first_state(source: _Source, row: int) -> int:
    if source.packets.transport[row] == layers.UDP:
        return DATAGRAMS
    flags = int(source.packets.tcp_flags[row])
    return opening_state(Segment(flags, 0, 0, 0, 0, False, 0))


@fused
def _is_lone_reset(packets: Packets, row: int) -> bool:
    return bool(packets.transport[row] == layers.TCP and packets.tcp_flags[row] & RST)


@fused
def _count_begun(table: FlowTable, slot: int) -> None:
    table.counts[_FLOWS] += 1
    if table.flows[slot].state == MIDSTREAM:
        table.counts[_MIDSTREAM] += 1


@fused
def _enter(
    table: FlowTable, slot: int, sender: int, source: _Source, row: int, columns: FlowColumns
) -> None:
    """Account for a packet of the flow in `slot`."""
    packets = source.packets
    flow, end = table.flows[slot], table.ends[slot, sender]
    if packets.transport[row] == layers.TCP:
        segment = Segment(
            int(packets.tcp_flags[row]),
            int(packets.seq[row]),
            int(packets.ack[row]),
            int(packets.payload[row]),
            sender,
            _offers_fast_open(source, row, columns.span[row]),
            int(source.times[row]),
        )
        columns.observed[row] = on_segment(table, slot, segment)
    flow.last = source.times[row]
    end.packets += 1
    end.bytes += packets.payload[row]
    columns.flow[row] = slot
    columns.sender[row] = sender ^ flow.origin


@fused
def _offers_fast_open(source: _Source, row: int, span: int) -> bool:
    """Whether a SYN carries option 34 (RFC 7413), or 254 with its magic number (RFC 6994)."""
    if source.packets.tcp_flags[row] & SYN == 0 or span < 0:
        return False
    start, captured = source.spans.start[span], source.spans.captured[span]
    end = min(int(captured), (int(source.data[start + 12]) >> 4) * 4)
    at = 20
    while at + 1 < end:
        kind, size = source.data[start + at], int(source.data[start + at + 1])
        if kind == 0:
            return False
        if kind == 34 or (kind == 254 and at + 3 < end and source.data[start + at + 2] == 0xF9):
            return True
        at += 1 if kind == 1 else max(size, 2)
    return False


@fused
def _weigh(
    table: FlowTable, slot: int, state: Health, source: _Source, row: int, columns: FlowColumns
) -> None:
    """Count what says something of the capture's health; note which observations can be trusted."""
    figures, observed = state.figures, int(columns.observed[row])
    on_segment_seen(figures, observed & GAP != 0)
    begun_now = slot < 0
    from_syn = False
    if slot >= 0:
        flow = table.flows[slot]
        both = int(table.ends[slot, 0].packets) + int(table.ends[slot, 1].packets)
        begun_now = both == 1
        from_syn = flow.marks & (FROM_SYN | GUESSED) == FROM_SYN
        if flow.marks & COUNTED == 0:
            _judge_direction(table, slot, figures)
    columns.observed[row] = observed & ~REPEATED
    if observed == 0 or not is_trusted(figures):
        if observed & _STRAYS and begun_now:
            several_strays(state, source.packets.src_hi[row], source.packets.src_lo[row])
        return
    trusted = 0
    if begun_now and remembers(figures, _LONGEST_MEMORY):
        # An answer to a SYN cannot be older than the warm-up, other packets can.
        trusted |= observed & SYNACK_UNSOLICITED
        if observed & _STRAYS and several_strays(
            state, source.packets.src_hi[row], source.packets.src_lo[row]
        ):
            trusted |= observed & _STRAYS
    if from_syn and not observed & REPEATED:
        trusted |= observed & ~(_STRAYS | SYNACK_UNSOLICITED)
    columns.trusted[row] = trusted


@fused
def _judge_direction(table: FlowTable, slot: int, figures: NDArray[np.int64]) -> None:
    flow, low, high = table.flows[slot], table.ends[slot, 0], table.ends[slot, 1]
    two_sided = low.packets > 0 and high.packets > 0 and flow.state >= ESTABLISHED
    two_sided = two_sided or (low.packets > 0 and high.packets > 0 and flow.state == MIDSTREAM)
    one_way = low.packets + high.packets >= _ONE_WAY and (low.packets == 0 or high.packets == 0)
    if two_sided or (one_way and flow.state in (MIDSTREAM, ESTABLISHED)):
        flow.marks |= COUNTED
        table.counts[_TWO_SIDED if two_sided else _ONE_SIDED] += 1
        on_connection(figures, bool(two_sided))
