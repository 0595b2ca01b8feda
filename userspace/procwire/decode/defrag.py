"""Puts IP datagrams together from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5).

Where IPv4 fragments overlap, the first copy of a block of 8 bytes and the first end stay;
overlapping IPv6 fragments end their datagram (RFC 5722). An exact repetition is ignored. Where more
follows an IPv4 fragment that ends within a block, its whole blocks stay, and the next fragment
overlaps it; such an IPv6 fragment is left out (RFC 8200 section 4.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import fused, kernel
from procwire.decode.columns import Decoded, Packets, Spans
from procwire.decode.datagram_table import (
    CONTESTED,
    COUNTERS,
    DROPPED,
    ENDED,
    FRAGMENTS,
    HELD,
    OPEN,
    OVERLAPPING,
    PROBES,
    REASSEMBLED,
    REFUSED,
    REPEATED,
    SNAPPED,
    TIMEOUT_NS,
    Table,
    new_table,
    overlaps,
    release,
    repeats,
    slot_for,
    store,
)
from procwire.decode.fragment import (
    HEADER_ROOM,
    LARGEST_DATAGRAM,
    UNIT,
    Piece,
    Slot,
    impossible,
    ipv4_piece,
    ipv6_piece,
    uneven,
    write_ipv4_length,
    write_ipv6_length,
)
from procwire.errors import UsageError

__all__ = ["COUNTERS", "TIMEOUT_NS", "Defragmenter", "Reassembled"]


class _Made(NamedTuple):
    """Datagrams: data uint8 (bytes,); start int64, length int32, time int64, link uint16, row
    int32, each (fragments,); overlaps: int32 (fragments,), rows; used: int64 (3,): datagrams,
    overlaps, bytes."""

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    length: NDArray[np.int32]
    time: NDArray[np.int64]
    link: NDArray[np.uint16]
    row: NDArray[np.int32]
    overlaps: NDArray[np.int32]
    used: NDArray[np.int64]


class Reassembled(NamedTuple):
    """datagrams: the completed ones as raw IP packets, in the order of their last fragments; rows:
    int32 (n,), the row of each one's last fragment in its batch; overlaps: int32 (m,), rows of
    fragments that overlap others."""

    datagrams: PacketBatch
    rows: NDArray[np.int32]
    overlaps: NDArray[np.int32]


class Defragmenter:
    """Collects fragments over any number of batches. slots: open datagrams, a power of two; each
    takes 74 KiB once it is used."""

    def __init__(self, slots: int = 256) -> None:
        if slots < PROBES or slots & (slots - 1):
            raise UsageError(f"{slots} datagrams: give a power of two, at least {PROBES}")
        self._table = new_table(slots)

    def update(self, batch: PacketBatch, decoded: Decoded) -> Reassembled | None:
        """What the fragments in a batch complete or contradict; None where it holds none."""
        # NumPy looks through bytes a block at a time only where they are truth values.
        fragments = np.flatnonzero(decoded.packets.fragment.view(np.bool_))
        if not fragments.size:
            return None
        # No datagram is larger than the fragments that it is made of.
        size = int(batch.captured[fragments].sum(dtype=np.int64)) + int(self._table.state[HELD])
        made = _Made(
            data=np.empty(size + (fragments.size + 1) * HEADER_ROOM, np.uint8),
            start=np.empty(fragments.size, np.int64),
            length=np.empty(fragments.size, np.int32),
            time=np.empty(fragments.size, np.int64),
            link=np.empty(fragments.size, np.uint16),
            row=np.empty(fragments.size, np.int32),
            overlaps=np.empty(fragments.size, np.int32),
            used=np.zeros(3, np.int64),
        )
        _collect(self._table, batch, decoded.packets, decoded.spans, fragments, made)
        return _reassembled(made)

    def counters(self) -> dict[str, int]:
        """COUNTERS by name, since the start."""
        return dict(zip(COUNTERS, self._table.state.tolist(), strict=False))


def _reassembled(made: _Made) -> Reassembled:
    # As captured memory is; numba compiles for each kind of array.
    made.data.flags.writeable = False
    count = int(made.used[0])
    lengths = made.length[:count]
    datagrams = PacketBatch(
        data=made.data,
        start=made.start[:count],
        captured=lengths,
        length=lengths,
        time=made.time[:count],
        link=made.link[:count],
        cut=np.zeros(count, np.bool_),
        first=1,
    )
    return Reassembled(datagrams, made.row[:count], made.overlaps[: made.used[1]])


@kernel
def _collect(
    table: Table,
    batch: PacketBatch,
    packets: Packets,
    spans: Spans,
    fragments: NDArray[np.int64],
    made: _Made,
) -> None:
    """Enter every fragment of the batch. fragments: their rows, in order."""
    for place in range(fragments.size):
        row = fragments[place]
        span = _last_span(spans, row)
        table.state[FRAGMENTS] += 1
        start, captured = int(spans.start[span]), int(np.int64(spans.captured[span]))
        if spans.layer[span] == layers.IPV4:
            piece, ident = ipv4_piece(batch.data, start, int(np.int64(spans.length[span])))
        else:
            piece, ident = ipv6_piece(batch.data, start)
        wanted = table.wanted[0]
        wanted.src_hi, wanted.src_lo = packets.src_hi[row], packets.src_lo[row]
        wanted.dst_hi, wanted.dst_lo = packets.dst_hi[row], packets.dst_lo[row]
        wanted.ident = ident
        wanted.network = spans.layer[span]
        # RFC 8200 section 4.5: there, the first fragment's next header counts.
        wanted.protocol = packets.protocol[row] if wanted.network == layers.IPV4 else 0
        if piece.begin + piece.size > start + captured:
            table.state[SNAPPED] += 1
        elif impossible(piece) or (
            uneven(piece) and (wanted.network == layers.IPV6 or piece.size < UNIT)
        ):
            table.state[REFUSED] += 1
        else:
            _enter(table, batch, piece, row, made)


@fused
def _last_span(spans: Spans, row: int) -> int:
    """A packet's last span, which is its fragment, as decoding ends there."""
    first, end = 0, spans.packet.size
    while first < end:
        middle = (first + end) // 2
        if spans.packet[middle] <= row:
            first = middle + 1
        else:
            end = middle
    return first - 1


@kernel
def _enter(table: Table, batch: PacketBatch, piece: Piece, row: int, made: _Made) -> None:
    """Add one sound fragment to its datagram, and write the datagram out if that completes it."""
    slot = slot_for(table, batch.time[row])
    entry, state = table.entries[slot], table.state
    if entry.state == ENDED:
        state[DROPPED] += 1
        return
    end = piece.offset + piece.size
    if overlaps(table, slot, piece):
        if entry.state == OPEN and repeats(table, batch.data, slot, piece):
            state[REPEATED] += 1
            return
        state[OVERLAPPING] += 1
        made.overlaps[made.used[1]] = row
        made.used[1] += 1
        entry.state = ENDED if entry.network == layers.IPV6 else CONTESTED
        if entry.state == ENDED:
            return
        if entry.total >= 0 and (end > entry.total or not piece.more and end != entry.total):
            return
    if not piece.more and entry.total < 0:
        entry.total = end
    store(table, batch.data, slot, piece)
    whole = (entry.total + UNIT - 1) // UNIT
    if entry.total >= 0 and entry.header > 0 and entry.blocks == whole == entry.reach:
        if entry.header + entry.total <= LARGEST_DATAGRAM:
            made.time[made.used[0]] = batch.time[row]
            _write(table, slot, made, row)
            state[REASSEMBLED] += 1
        else:
            state[REFUSED] += 1
        release(table, slot)


@fused
def _write(table: Table, slot: Slot, made: _Made, row: int) -> None:
    """The datagram as its sender might have sent it whole."""
    entry, header = table.entries[slot], table.headers
    size = entry.header + entry.total
    if entry.network == layers.IPV4:
        write_ipv4_length(header, slot, entry.header, size)
    else:
        write_ipv6_length(header, slot, size)
    used, start = made.used[0], made.used[2]
    made.start[used], made.length[used], made.row[used] = start, size, row
    made.link[used] = links.IPV6 if entry.network == layers.IPV6 else links.IPV4
    for i in range(entry.header):
        made.data[start + i] = header[slot, i]
    for i in range(entry.total):
        made.data[start + entry.header + i] = table.payload[slot, i]
    made.used[0] = used + 1
    made.used[2] = start + size
