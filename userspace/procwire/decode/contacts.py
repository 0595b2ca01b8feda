"""First contacts on the wire: what was tried, by whom, and how each attempt ended.

Strategy: a packet opens an attempt, ends one, or is passed over; a bounded table (contact_table.py)
remembers the attempts. Rows depend on the packets alone, never on where one batch ends and the next
begins.

Only who asks makes an attempt: a SYN, an INIT of SCTP, a segment that no connection explains, the
first datagram of a flow, an echo request, an ARP request or neighbour solicitation. Answers to
nothing (backscatter of someone else's scan, or of what is older than the capture) yield no row and
make nobody a scanner; groups of hosts are no destination. The same question again is a retry, not
an attempt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import fused, kernel
from procwire.compiled.memory import touch
from procwire.decode.attempt_kinds import datagram, probe
from procwire.decode.attempt_prefilter import next_candidate
from procwire.decode.columns import Decoded, Packets
from procwire.decode.contact_table import (
    CLOCK,
    COUNTERS,
    COUNTERS_FROM,
    DUE,
    ENDED,
    LENGTH,
    NEIGHBOURHOOD,
    OPEN,
    RINGS,
    Record,
    Table,
    await_answer,
    enter,
    entry_hash,
    expire,
    find,
    new_table,
    settle,
    unsettle,
    write,
)
from procwire.decode.control_messages import (
    NOTHING,
    backward,
    forward,
    message_verdict,
    to_one_host,
)
from procwire.decode.event_time import Timed
from procwire.decode.unseen_answers import STREAM, acknowledges, note_answer, note_stream
from procwire.errors import UsageError
from procwire.event import Outcome
from procwire.record import CONNECTION, Attempt

__all__ = ["COUNTERS", "Contacts"]

_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_FLAGS = 0x3F
_TCP, _UDP = layers.TCP, layers.UDP
_PROTOCOL_TCP, _PROTOCOL_UDP = 6, 17
_CONNECT, _DATAGRAM = int(Attempt.CONNECT), int(Attempt.DATAGRAM)
_NEIGHBOUR = int(Attempt.NEIGHBOUR)
_PENDING, _ESTABLISHED = int(Outcome.PENDING), int(Outcome.ESTABLISHED)
_REFUSED = int(Outcome.REFUSED)

# NumPy copies structures field by field.
_BYTES = np.dtype((np.void, CONNECTION.itemsize))


class Contacts:
    """Tracks attempts over any number of batches.

    capacity: attempts remembered, a power of two; timeout_ns: a SYN unanswered for so long (in the
    packets' own time) has timed out; reply_ns: the same for every other kind.
    """

    def __init__(
        self,
        capacity: int = 1 << 18,
        timeout_ns: int = 60_000_000_000,
        reply_ns: int = 5_000_000_000,
    ) -> None:
        if capacity < NEIGHBOURHOOD or capacity & (capacity - 1):
            raise UsageError(
                f"contacts.capacity is {capacity}: give a power of two, at least {NEIGHBOURHOOD}"
            )
        for name, duration in (("timeout_ns", timeout_ns), ("reply_ns", reply_ns)):
            if duration <= 0:
                raise UsageError(f"contacts.{name} is {duration}: give a positive duration")
        self._table = new_table(capacity, (timeout_ns, reply_ns))
        self._rows = np.empty(0, CONNECTION)

    def update(self, timed: Timed, decoded: Decoded) -> list[NDArray[np.void]]:
        """Rows of CONNECTION, in event time, that the packets of each stretch of a batch give rise
        to.

        decoded: the batch's. An attempt is a row with outcome pending; its end is a second row with
        the attempt's addresses and the time of the end.
        """
        reached, turns = timed.reached, timed.turns
        count = len(reached)
        if count != len(decoded.packets.transport):
            raise ValueError(f"{count} times for {len(decoded.packets.transport)} packets")
        # Every packet opens or ends at most one attempt; every open one may time out once.
        room = 2 * count + self._open()
        if len(self._rows) < room:
            # With more open in each batch, all would have memory of their own.
            self._rows = np.empty(2 * room, CONNECTION)
        ends = np.empty(len(turns) + 1, np.int64)
        _track(self._table, timed, decoded, self._rows, ends)
        if count:
            self._table.state[CLOCK] = reached[-1]
        # A few of many, whose memory, made anew, would be zeroed two megabytes at a time.
        rows = self._rows[: ends[-1]].view(_BYTES).copy().view(CONNECTION)
        return np.split(rows, ends[:-1]) if len(turns) else [rows]

    def touch(self) -> None:
        """See memory.touch."""
        touch(*self._table)

    def flush(self) -> NDArray[np.void]:
        """End of the input: what still waits cannot be answered any more and has timed out.

        The rows carry the time of the last packet, or the earlier time at which the attempt was
        due."""
        rows = np.empty(self._open(), CONNECTION)
        clock = self._table.state[CLOCK]
        rows = rows[: expire(self._table, np.iinfo(np.int64).max, rows, 0)]
        rows["time"] = np.minimum(rows["time"], clock)
        return rows

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        values = self._table.state[COUNTERS_FROM:]
        return dict(zip(COUNTERS, values.tolist(), strict=True))

    def _open(self) -> int:
        return sum(self._table.state[LENGTH : LENGTH + RINGS].tolist())


@fused
def _segment_verdict(
    table: Table, batch: PacketBatch, decoded: Decoded, row: int, flow: np.uint64
) -> int:
    """What a TCP segment or UDP datagram of a flow that is not settled does, and in table.wanted to
    whom."""
    packets, wanted = decoded.packets, table.wanted[0]
    tcp = packets.transport[row] == _TCP
    flags = packets.tcp_flags[row] & _FLAGS
    protocol = _PROTOCOL_TCP if tcp else _PROTOCOL_UDP
    if flags & (_SYN | _RST):
        if flags & (_ACK | _RST):
            backward(wanted, packets, row, protocol)
            return _REFUSED if flags & _RST else _ESTABLISHED
        forward(wanted, packets, row, protocol)
        wanted.kind, wanted.tcp_flags, wanted.seq = _CONNECT, flags, packets.seq[row]
        unsettle(table.settled, flow)
        return _PENDING if to_one_host(batch, packets, row) else NOTHING
    backward(wanted, packets, row, protocol)
    slot = find(table, wanted, flow)
    if slot >= 0:
        settle(table.settled, flow)
        return _ESTABLISHED
    forward(wanted, packets, row, protocol)
    slot = find(table, wanted, flow)
    if slot >= 0:
        entry = table.entries[slot]
        if entry.state == OPEN:
            if acknowledges(entry, packets, row):
                note_answer(table.answers, entry.src_hi, entry.src_lo, False)
            elif entry.kind == _DATAGRAM:
                _sends_more(table, entry)
                return NOTHING
            elif not _goes_on(entry, packets, row):
                return NOTHING
        settle(table.settled, flow)
        return _ESTABLISHED
    kind = probe(packets, row) if tcp else datagram(table, batch, decoded, row)
    if kind < 0 or not to_one_host(batch, packets, row):
        settle(table.settled, flow)
        return NOTHING
    wanted.kind, wanted.tcp_flags, wanted.seq = kind, flags, packets.ack[row]
    wanted.sent = 1
    return _PENDING


@fused
def _goes_on(entry: Record, packets: Packets, row: int) -> bool:
    """Whether who asked with a segment that opens nothing sends what is no such segment."""
    if entry.kind == _CONNECT:
        return False
    return bool(packets.tcp_flags[row] & _FLAGS != entry.tcp_flags or packets.payload[row] > 0)


@fused
def _sends_more(table: Table, entry: Record) -> None:
    """Another datagram of an attempt that no answer is seen to."""
    if entry.sent < STREAM:
        entry.sent += 1
        if entry.sent == STREAM:
            note_stream(table.answers, entry.src_hi, entry.src_lo)


@fused
def _is_retry(entry: Record, wanted: Record) -> bool:
    """Whether a remembered attempt is asked again: always while it is open; after that a SYN with
    another sequence number, or an INIT with another tag, is a new connection."""
    if entry.state == OPEN or wanted.kind != _CONNECT:
        return True
    return bool(entry.kind == _CONNECT and entry.seq == wanted.seq)


@kernel
def _track(
    table: Table,
    timed: Timed,
    decoded: Decoded,
    rows: NDArray[np.void],
    ends: NDArray[np.int64],
) -> None:
    """Run the packets through the table. ends: gets the number of rows written up to the end of
    each stretch."""
    entries, state, packets, flows = table.entries, table.state, decoded.packets, decoded.flows
    batch, reached, wanted = timed.batch, timed.reached, table.wanted[0]
    count, i, stretch = 0, 0, 0
    while True:
        i = next_candidate(table, packets, batch.data, batch.start, reached, flows, i)
        while stretch < timed.turns.size and timed.turns[stretch] <= i:
            ends[stretch] = count
            stretch += 1
        if i == len(flows):
            ends[stretch] = count
            return
        row, now = i, reached[i]
        wanted.time = now
        if state[DUE] <= now:
            count = expire(table, now, rows, count)
            continue
        if packets.transport[i] in (_TCP, _UDP):
            flow = flows[i]
            verdict = _segment_verdict(table, batch, decoded, i, flow)
        else:
            verdict = message_verdict(batch, decoded, i, wanted)
            flow = entry_hash(wanted)
        i += 1
        if verdict == NOTHING:
            continue
        slot = find(table, wanted, flow)
        if verdict == _PENDING:
            if slot >= 0 and _is_retry(entries[slot], wanted):
                continue
            wanted.state = OPEN
            if slot < 0:
                slot = enter(table, wanted, flow)
            else:
                entries[slot] = wanted
            await_answer(table, slot, now)
        elif slot < 0 or entries[slot].state != OPEN:
            if slot < 0 and verdict == _ESTABLISHED and packets.tcp_flags[row] & _SYN:
                # Who accepts a connection was asked to.
                note_answer(table.answers, packets.src_hi[row], packets.src_lo[row], False)
            continue
        else:
            entry = entries[slot]
            entry.state = ENDED
            is_own = packets.src_lo[row] == entry.src_lo and packets.src_hi[row] == entry.src_hi
            if not is_own and entry.kind != _NEIGHBOUR:
                note_answer(table.answers, entry.src_hi, entry.src_lo, True)
        write(rows[count], entries[slot], now, verdict)
        state[COUNTERS_FROM + verdict] += 1
        count += 1
