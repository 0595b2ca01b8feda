"""What the kernel does with the rings of packet sockets, a packet at a time: the part of
net/packet/af_packet.c that decides which block a packet lies in and when it is handed over."""

from __future__ import annotations

import struct

import numpy as np
from procwire.capture import ring

_HEADER, _FIRST, _MAC = 48, 48, 32
_SECOND = 10**9


class KernelRing:
    """One ring in `memory` from `base` on. dropped: packets for which there was no room."""

    def __init__(self, memory: np.ndarray, base: int) -> None:
        self._memory, self._base = memory, base
        self._block = 0
        self._opened = False
        self.dropped = 0
        self._open()

    def receive(self, time: int, content: bytes) -> bool:
        """Store a packet of `time`, ns since the epoch; whether there was room."""
        size = -(-(_MAC + len(content)) // 8) * 8
        if self._opened and self._used + size > ring.BLOCK_SIZE:
            self.retire()
        if not self._open():
            self.dropped += 1
            return False
        at = self._at() + self._used
        if self._count:
            self._write(self._last, "=I", at - self._base - self._last)
        seconds, nanoseconds = divmod(time, _SECOND)
        size_twice = len(content), len(content)
        header = struct.pack("=6IHH", 0, seconds, nanoseconds, *size_twice, 0, _MAC, 0)
        self._write(at - self._base, f"={len(header)}s", header)
        self._write(at - self._base + _MAC, f"={len(content)}s", content)
        self._last, self._last_time = at - self._base, (seconds, nanoseconds)
        self._used += size
        self._count += 1
        self._write(self._at() - self._base + 12, "=I", self._count)
        return True

    def retire(self) -> None:
        """Hand over the block that is being filled, if there is anything in it: it is full, or the
        timer says so."""
        if self._open() and self._count:
            self._write(self._at() - self._base + 40, "=2I", *self._last_time)
            self._write(self._at() - self._base + 8, "=I", ring.TP_STATUS_USER)
            self._block, self._opened = (self._block + 1) % ring.BLOCKS, False
            self._count = 0
            self._open()

    def is_empty(self) -> bool:
        """Whether every block is the kernel's, and nothing in it."""
        status = self._memory[self._base :][: ring.RING_SIZE].view(np.uint32)
        return not status.reshape(ring.BLOCKS, -1)[:, 2].any() and not self._count

    def _at(self) -> int:
        return self._base + self._block * ring.BLOCK_SIZE

    def _open(self) -> bool:
        """Begin with the next block, if it is the kernel's."""
        if not self._opened and not self._memory[self._at() + 8]:
            self._opened, self._used, self._count = True, _FIRST, 0
            self._write(self._at() - self._base + 12, "=2I", 0, _FIRST)
        return self._opened

    def _write(self, at: int, form: str, *values: object) -> None:
        struct.pack_into(form, self._memory, self._base + at, *values)
