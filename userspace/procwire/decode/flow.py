"""Flows: which packets belong together, who began, and what does not fit into the conversation.

One pass over a batch: each TCP or UDP packet is found in the flow table (flow_table.py), moves its
flow on (tcp_state.py), and its observations are weighed by what the capture can show (context.py).
The columns depend on the packets alone, never on where one batch ends and the next begins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.compiled.jit import called, fused, kernel
from procwire.compiled.memory import touch
from procwire.compiled.prefetch import AHEAD
from procwire.decode.context import weigh
from procwire.decode.flow_table import (
    BEGUN,
    DATAGRAMS,
    MIDSTREAM,
    PROBES,
    FlowTable,
    begin,
    find,
    flow_table,
    is_over,
    key_of,
    look_ahead,
    path_of,
    place,
    set_key,
)
from procwire.decode.health import (
    CLOCK,
    EARLIER,
    LAST_EVICTION,
    NEVER,
    Health,
    health,
    on_time,
)
from procwire.decode.message_spans import (
    MessageSpans,
    Reading,
    has_room,
    message_spans,
)
from procwire.decode.observations import RST_NO_SESSION, UNSOLICITED_ERROR
from procwire.decode.payload import flush_streams, read_payload
from procwire.decode.proofs import is_proven
from procwire.decode.quoted_flow import on_icmp6_error, on_icmp_error
from procwire.decode.source import (
    Ended,
    FlowColumns,
    RowRange,
    Source,
    ask_ahead,
    ends_of_streams,
    joined_source,
)
from procwire.decode.spoken import contradictions
from procwire.decode.stream_table import DIRECTIONS, STREAM_COUNTERS, empty_streams
from procwire.decode.tcp_header import segment_of
from procwire.decode.tcp_segment import ACK, RST, SYN
from procwire.decode.tcp_state import on_segment, opening_state
from procwire.errors import UsageError

COUNTERS = ("flows", "midstream", "timed_out", "evicted", "two_sided", "one_sided")
"""flows: begun; midstream: those TCP flows whose beginning was not seen; timed_out: found idle for
too long by their next packet; evicted: living flows that had to give way in a full neighbourhood;
two_sided, one_sided: TCP connections by whether both directions were seen."""
_MIDSTREAM, _TIMED_OUT, _EVICTED, _TWO_SIDED, _ONE_SIDED = range(BEGUN + 1, len(COUNTERS))

_MOST_BYTES = (1 << 32) - 1


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
        self._streams, self._spans = empty_streams(), message_spans()

    def touch(self) -> None:
        """See memory.touch."""
        touch(*self._table)

    def update(
        self,
        source: Source,
        columns: FlowColumns,
        judge: Callable[[NDArray[np.void], RowRange], None],
    ) -> None:
        """Fill flow and sender of the columns, and add what is observed of TCP and of ICMP errors.

        source, columns: of the same n packets; judge: is shown MESSAGE_SPANS (1,), the messages
        that their streams carried, in packet order, in one or several parts, each with the rows
        that carried them; each is only valid during the call.
        """
        row, count = 0, source.times.size
        while row < count:
            self._spans["used"], self._spans["passed"], first = 0, 0, row
            row = _follow(
                self._table, self._health, self._streams, self._spans, source, columns, row
            )
            judge(self._spans, RowRange(first, row))

    def flush(self, judge: Callable[[MessageSpans], None]) -> Ended:
        """The input ends: the same for messages that have begun and not ended. Their rows are those
        of what is returned."""
        place, ended = 0, ends_of_streams()
        while place < DIRECTIONS:
            self._spans["used"] = 0
            place = flush_streams(self._table, self._streams, self._spans, ended, place)
            judge(self._spans[0])
        return ended

    def completed_handshake(self, address: bytes, time: int) -> bool:
        """Whether the address (16 bytes) opened a connection up to `time`, ns since the epoch, and
        acknowledged what it was answered: then nobody forges it, who does not see its traffic. The
        latest 65,536 such addresses are known."""
        halves = np.frombuffer(address, ">u8").astype(np.uint64)
        return bool(is_proven(self._table.proofs, halves, time))

    def counters(self) -> dict[str, int]:
        """COUNTERS and STREAM_COUNTERS by name, since the start."""
        counts = self._table.counts.tolist() + self._streams["counts"][0].tolist()
        return dict(zip(COUNTERS + STREAM_COUNTERS, counts, strict=True))


@kernel
def _follow(
    table: FlowTable,
    state: Health,
    streams: NDArray[np.void],
    spans: NDArray[np.void],
    source: Source,
    columns: FlowColumns,
    first: int,
) -> int:
    """Follow rows from `first` on; returns the first one that is left, where room is short."""
    reading, rows, row = Reading(streams[0], spans[0]), source.joined.rows, first
    for at in range(rows.size):
        if rows[at] < row:
            continue
        end = int(rows[at])
        row = _follow_rows(table, state, reading, source, columns, row, end)
        if row == end:
            row = _follow_rows(table, state, reading, joined_source(source), columns, row, end + 1)
        if row <= end:
            return row
    return int(_follow_rows(table, state, reading, source, columns, row, source.times.size))


@called
def _follow_rows(
    table: FlowTable,
    state: Health,
    reading: Reading,
    source: Source,
    columns: FlowColumns,
    first: int,
    end: int,
) -> int:
    """Follow rows from `first` up to `end`; returns as _follow()."""
    packets, count = source.packets, source.times.size
    for row in range(first, end):
        if not has_room(reading.spans):
            return row
        look_ahead(table, source.flows[min(row + AHEAD, count - 1)])
        ask_ahead(source, row)
        if on_time(state.figures, int(source.times[row])):
            state.figures[LAST_EVICTION] = NEVER
            state.figures[EARLIER] = table.counts[BEGUN]
        transport = packets.transport[row]
        if transport == layers.ICMP4:
            if on_icmp_error(table, source, row):
                columns.observed[row] |= UNSOLICITED_ERROR
                weigh(table, -1, state, source, row, columns)
        elif transport == layers.TCP:
            slot = _slot_of(table, state, source, row, columns)
            columns.observed[row] |= read_payload(table, slot, reading, source, row, columns)
            if slot >= 0:
                columns.observed[row] |= contradictions(
                    table, slot, reading.streams, source, row, columns
                )
            counted = weigh(table, slot, state, source, row, columns)
            if counted:
                table.counts[_TWO_SIDED if counted > 0 else _ONE_SIDED] += 1
        elif transport == layers.UDP:
            _slot_of(table, state, source, row, columns)
        elif transport == layers.ICMP6:
            on_icmp6_error(table, source, row)
    return end


@fused
def _slot_of(
    table: FlowTable, state: Health, source: Source, row: int, columns: FlowColumns
) -> int:
    """Enter a packet into its flow, an old or a new one; its slot, or -1 for a lone reset."""
    packets, figures = source.packets, state.figures
    time = int(source.times[row])
    key = key_of(path_of(packets, row))
    sender, slot = key.sender, find(table.flows, key, source.flows[row])
    if slot >= 0 and is_over(table.flows[slot], time):
        table.counts[_TIMED_OUT] += 1
        _begin(table, slot, sender, source, row)
    elif slot >= 0 and packets.tcp_flags[row] & (SYN | ACK) == SYN:
        # Of one from before the clock was set, or captures were joined, nobody knows the age.
        if _begun_since(table, slot) >= table.counts[BEGUN] - figures[EARLIER]:
            _begin(table, slot, sender, source, row)
    elif slot < 0:
        if packets.transport[row] == layers.TCP and packets.tcp_flags[row] & RST:
            # What belongs to nothing leaves nothing to remember.
            columns.observed[row] |= RST_NO_SESSION
            return -1
        slot, evicts = place(table.flows, source.flows[row], time)
        if evicts:
            table.counts[_EVICTED] += 1
            figures[LAST_EVICTION] = figures[CLOCK]
        set_key(table.flows[slot], key)
        _begin(table, slot, sender, source, row)
    if packets.transport[row] == layers.TCP:
        columns.observed[row] |= on_segment(table, slot, segment_of(source, row, sender))
    flow, end = table.flows[slot], table.ends[slot, sender]
    flow.last = max(flow.last, time)
    end.packets += 1
    end.bytes = min(np.int64(end.bytes) + packets.payload[row], _MOST_BYTES)
    columns.flow[row] = slot
    columns.sender[row] = sender ^ flow.origin
    return slot


@fused
def _begun_since(table: FlowTable, slot: int) -> int:
    """How many flows have begun since that in a slot, which numbers of 32 bits tell."""
    return int((table.counts[BEGUN] - np.int64(table.flows[slot].number)) & 0xFFFFFFFF)


@fused
def _begin(table: FlowTable, slot: int, sender: int, source: Source, row: int) -> None:
    packets = source.packets
    state = DATAGRAMS
    if packets.transport[row] == layers.TCP:
        state = opening_state(int(packets.tcp_flags[row]))
    begin(table, slot, state, sender, int(source.times[row]))
    if state == MIDSTREAM:
        table.counts[_MIDSTREAM] += 1
