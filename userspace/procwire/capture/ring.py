"""The rings that the kernel fills with an interface's packets, and one order of these.

A packet of one ring may wait in a block that is still being filled while later ones of another ring
are there already. So what was ready at a look is handed out once every block that had begun then
is ready too: nothing earlier can come any more. Clocks take no part in that; the kernel hands over
what has begun within RETIRE_MS. Then packets are merged by their times, those of a ring in its
order.

Linux Documentation/networking/packet_mmap.rst. Nothing is copied and no packet passes Python.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u16, u32
from procwire.capture.rows import Rows, allocate, batch_of
from procwire.compiled.jit import kernel

# A block is handed over when its time is up, full or not: there are as many as last for three
# seconds, so that a stall loses nothing while few packets come. Each has room for any packet.
BLOCK_SIZE = 1 << 17
BLOCKS = 128
RING_SIZE = BLOCK_SIZE * BLOCKS
RETIRE_MS = 25  # the kernel hands over a block that is not full after so long
# Blocks of one batch: many small batches would cost more than their packets.
BATCH_BLOCKS = 16

# linux/if_packet.h
TP_STATUS_KERNEL, TP_STATUS_USER = 0, 1
# struct tpacket_block_desc and tpacket3_hdr: offsets of the fields that are read.
_BLOCK_STATUS, _BLOCK_PACKETS, _BLOCK_FIRST, _BLOCK_LAST_TIME = 8, 12, 16, 40
_NEXT, _SECONDS, _NANOSECONDS, _CAPTURED, _LENGTH, _MAC = 0, 4, 8, 12, 16, 24

_SECOND = 1_000_000_000
_EVER = np.iinfo(np.int64).max
_LITTLE = struct.pack("=H", 1) == struct.pack("<H", 1)


class Ring:
    """One ring, which lies in `memory` from `base` on. Blocks are counted from the start.

    handed: blocks of which every packet was handed out; sure: blocks that are to be; seen: blocks
    that were ready at the last look.
    """

    def __init__(self, memory: NDArray[np.uint8], base: int) -> None:
        words = memory[base : base + RING_SIZE].view(np.uint32).reshape(BLOCKS, -1)
        self._status = words[:, _BLOCK_STATUS // 4]
        self._packets = words[:, _BLOCK_PACKETS // 4]
        self._first = words[:, _BLOCK_FIRST // 4]
        self._last_time = words[:, _BLOCK_LAST_TIME // 4 : _BLOCK_LAST_TIME // 4 + 2]
        self._base = base
        self._place = np.zeros(2, np.int64)
        self._freed = self._marked = self._due = 0
        self.handed = self.sure = self.seen = 0

    def look(self) -> None:
        """See which blocks are ready."""
        while self.seen < self._freed + BLOCKS and self._is_ready(self.seen):
            self.seen += 1

    def mark(self) -> None:
        """Remember which blocks are ready, and whether another has begun."""
        self._marked, self._due = self.seen, self.seen + self._has_begun()

    def is_complete(self) -> bool:
        """Whether all that the kernel had put into the ring at the last mark is ready."""
        # A block that the kernel has not opened yet still shows the count of its last use.
        return self.seen >= self._due or not self._has_begun()

    def settle(self) -> None:
        """What was ready at the last mark is to be handed out."""
        self.sure = self._marked

    def last_time(self, block: int) -> int:
        """Of the last packet in a block that is ready, ns since the epoch."""
        seconds, nanoseconds = self._last_time[block % BLOCKS].tolist()
        return int(seconds * _SECOND + nanoseconds)

    def left(self) -> int:
        """Packets in blocks that were ready at the last look and were not handed out."""
        blocks = np.arange(self.handed, self.seen) % BLOCKS
        return int(self._packets[blocks].sum(dtype=np.int64))

    def take(
        self, packets: NDArray[np.uint8], whole: int, until: int, rows: Rows, used: int
    ) -> int:
        """Note packets behind the `used` rows: of blocks before `whole` all, then those up to the
        first that is later than `until`, ns since the epoch. Returns how many rows are used."""
        while self.handed < self.seen:
            block = self.handed % BLOCKS
            if not self._place[0]:
                begin = self._base + block * BLOCK_SIZE + int(self._first[block])
                self._place[:] = begin, self._packets[block]
            limit = _EVER if self.handed < whole else until
            used = index_packets(packets, self._place, limit, _LITTLE, rows, used)
            if self._place[1]:
                break
            self._place[0] = 0
            self.handed += 1
        return used

    def free(self, blocks: int) -> None:
        """Give blocks before this one back to the kernel."""
        for block in range(self._freed, blocks):
            self._status[block % BLOCKS] = TP_STATUS_KERNEL
        self._freed = max(self._freed, blocks)

    def _is_ready(self, block: int) -> bool:
        return bool(self._status[block % BLOCKS] & TP_STATUS_USER)

    def _has_begun(self) -> bool:
        """Whether the block behind those that are ready holds packets."""
        return self.seen < self._freed + BLOCKS and bool(self._packets[self.seen % BLOCKS])


class Rings:
    """Rings that lie one behind the other in `memory`, uint8, and hold one interface's packets.
    link: LINKTYPE number of these."""

    def __init__(self, memory: NDArray[np.uint8], link: int) -> None:
        self._rings = [Ring(memory, base) for base in range(0, memory.size, RING_SIZE)]
        # Kernels are compiled for read-only packets, as files give them.
        self._packets = memory.view()
        self._packets.flags.writeable = False
        self._link = link
        self._first = 1
        self._until = 0
        self._taken: deque[list[int]] = deque()

    def ready(self) -> int:
        """See what is there; blocks that are not handed out yet, also those that wait for others.
        What batches() hands out is what this saw."""
        for ring in self._rings:
            ring.look()
        if self._settled():
            self._mark()
            # Most often no other block has begun.
            self._settled()
        marked = [ring for ring in self._rings if ring.sure > ring.handed]
        self._until = max((ring.last_time(ring.sure - 1) for ring in marked), default=0)
        return sum(ring.seen - ring.handed for ring in self._rings)

    def batches(self) -> Iterator[PacketBatch]:
        """The packets that are ready. A batch is valid until release() is called for it, and the
        kernel has no use of its blocks before. Another thread may release."""
        while any(ring.sure > ring.handed for ring in self._rings):
            yield from self._batch()

    def release(self) -> None:
        """Give the blocks of the oldest batch back to the kernel."""
        for ring, handed in zip(self._rings, self._taken.popleft(), strict=True):
            ring.free(handed)

    def received(self) -> int:
        """Packets handed out so far."""
        return self._first - 1

    def _settled(self) -> bool:
        if len(self._rings) > 1 and not all(ring.is_complete() for ring in self._rings):
            return False
        for ring in self._rings:
            ring.settle()
        return True

    def _mark(self) -> None:
        for ring in self._rings:
            ring.mark()

    def _batch(self) -> Iterator[PacketBatch]:
        """One batch of the next blocks. Blocks without packets go back with those after them."""
        rows, ends = allocate(sum(ring.left() for ring in self._rings)), [0]
        some, until = max(1, BATCH_BLOCKS // len(self._rings)), self._until
        # The first to reach the end of its share says up to when the others hand out.
        longer = [ring for ring in self._rings if ring.sure > ring.handed + some]
        first = min(longer, key=lambda ring: ring.last_time(ring.handed + some - 1), default=None)
        if first is not None:
            until = first.last_time(first.handed + some - 1)
        for ring in self._rings:
            whole = ring.sure if first is None else ring.handed + some * (ring is first)
            ends.append(ring.take(self._packets, whole, until, rows, ends[-1]))
        used = ends[-1]
        if not used:
            return
        if len(self._rings) > 1:
            rows = in_order(rows, ends)
        rows.link[:] = self._link
        # Only a packet larger than a block of the ring is not handed over whole.
        rows.cut[:] = False
        number, self._first = self._first, self._first + used
        self._taken.append([ring.handed for ring in self._rings])
        yield batch_of(self._packets, rows, used, number)


def in_order(rows: Rows, ends: list[int]) -> Rows:
    """The rows of several rings, which lie behind each other up to `ends`, by their times. Those of
    one ring stay in its order, whatever the clock does."""
    latest = np.concatenate(
        [
            np.maximum.accumulate(rows.time[start:end])
            for start, end in zip(ends, ends[1:], strict=False)
        ]
    )
    order = np.argsort(latest, kind="stable")
    return rows._replace(
        start=rows.start[order],
        captured=rows.captured[order],
        length=rows.length[order],
        time=rows.time[order],
    )


@kernel
def index_packets(
    data: NDArray[np.uint8],
    place: NDArray[np.int64],
    until: int,
    little: bool,
    rows: Rows,
    used: int,
) -> int:
    """Note the packets of a block behind the `used` rows, up to the first that is later than
    `until`. place: int64 (2,), where its next packet begins and how many are left, moved on.
    Returns how many rows are used then."""
    at = place[0]
    while place[1] > 0:
        seconds = u32(data, at + _SECONDS, not little)
        time = seconds * 1_000_000_000 + u32(data, at + _NANOSECONDS, not little)
        if time > until:
            break
        captured = u32(data, at + _CAPTURED, not little)
        rows.start[used] = at + u16(data, at + _MAC, not little)
        rows.captured[used] = captured
        rows.length[used] = max(captured, u32(data, at + _LENGTH, not little))
        rows.time[used] = time
        at += u32(data, at + _NEXT, not little)
        used += 1
        place[1] -= 1
    place[0] = at
    return used
