"""Live packets of one interface through TPACKET_V3: the kernel fills blocks of a shared ring, a
kernel of ours notes where the packets lie, and the block goes back once its batch was used.

Linux Documentation/networking/packet_mmap.rst. Nothing is copied and no packet passes Python.
"""

from __future__ import annotations

import fcntl
import mmap
import socket
import struct
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u16, u32
from procwire.capture.filter import attach, compile_filter
from procwire.capture.rows import Rows, allocate, batch_of
from procwire.errors import Unavailable, UsageError
from procwire.jit import kernel

# A block is handed over when its time is up, full or not: there are as many as last for three
# seconds, so that a stall loses nothing while few packets come. Each has room for any packet.
BLOCK_SIZE = 1 << 18
BLOCKS = 64
# Blocks of one batch: many small batches would cost more than their packets.
BATCH_BLOCKS = 8
FRAME_SIZE = 1 << 11  # the kernel checks it, TPACKET_V3 does not use it
RETIRE_MS = 50  # the kernel hands over a block that is not full after so long

# linux/if_packet.h
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 1, 5, 6, 10
PACKET_IGNORE_OUTGOING = 23
PACKET_MR_PROMISC = 1
TPACKET_V3 = 2
ETH_P_ALL = 3
TP_STATUS_KERNEL, TP_STATUS_USER = 0, 1
# struct tpacket_block_desc and tpacket3_hdr: offsets of the fields that are read.
_BLOCK_STATUS, _BLOCK_PACKETS, _BLOCK_FIRST = 8, 12, 16
_NEXT, _SECONDS, _NANOSECONDS, _CAPTURED, _LENGTH, _MAC = 0, 4, 8, 12, 16, 24

SIOCGIFHWADDR = 0x8927
# linux/if_arp.h to link type: what the frames of such an interface begin with.
ARPHRD_LOOPBACK = 772
LINKS = {
    1: links.ETHERNET,
    ARPHRD_LOOPBACK: links.ETHERNET,
    65534: links.RAW,  # tun
    768: links.RAW,  # IP in IP
    776: links.RAW,  # 6in4
    778: links.RAW,  # GRE
}
_LITTLE = struct.pack("=H", 1) == struct.pack("<H", 1)


class LiveCapture:
    """Packets of `interface`, from the moment it is made until close().

    expression: a filter in tcpdump's language, empty for every packet; see filter.compile_filter.
    link: LINKTYPE number of its packets. Raises UsageError for an unknown interface or one whose
    link type is not decoded, Unavailable without CAP_NET_RAW. VLAN tags that the kernel took off a
    frame are not seen.
    """

    def __init__(self, interface: str, expression: str = "") -> None:
        self.interface, self._expression = interface, expression
        self._first = 1
        self._next_block = self._oldest_block = self._empty = 0
        self._taken: deque[int] = deque()
        self._dropped = 0
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise Unavailable(
                "CAP_NET_RAW is missing, which capturing packets needs",
                "run procwire as root: sudo procwire watch",
            ) from None
        try:
            self.link = self._open()
        except BaseException:
            self._socket.close()
            raise

    def _open(self) -> int:
        known = [name for _, name in socket.if_nameindex()]
        if self.interface not in known:
            raise UsageError(f"no interface {self.interface}; there are {', '.join(known)}")
        name = self.interface.encode()
        answer = fcntl.ioctl(self._socket, SIOCGIFHWADDR, struct.pack("16s24x", name))
        (hardware,) = struct.unpack_from("=H", answer, 16)
        if hardware not in LINKS:
            raise UsageError(f"interface {self.interface} has ARP type {hardware}, not decoded")
        if self._expression:
            # Before it is bound: no packet comes that the filter has not seen.
            attach(self._socket, compile_filter(self._expression, LINKS[hardware]))
        if hardware == ARPHRD_LOOPBACK:
            # Each packet on it would come twice, going out and coming in.
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        else:
            wanted = struct.pack(
                "=iHH8s", socket.if_nametoindex(self.interface), PACKET_MR_PROMISC, 0, b""
            )
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, wanted)
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        frames = BLOCK_SIZE // FRAME_SIZE * BLOCKS
        ring = struct.pack("=7I", BLOCK_SIZE, BLOCKS, FRAME_SIZE, frames, RETIRE_MS, 0, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        self._ring = mmap.mmap(self._socket.fileno(), BLOCK_SIZE * BLOCKS)
        self._memory = np.frombuffer(self._ring, np.uint8)
        # Kernels are compiled for read-only packets, as files give them.
        self._packets = self._memory.view()
        self._packets.flags.writeable = False
        self._socket.bind((self.interface, ETH_P_ALL))
        return LINKS[hardware]

    def fileno(self) -> int:
        """Becomes readable when a block is ready."""
        return self._socket.fileno()

    def ready(self) -> int:
        """Blocks that batches() may take now."""
        for ahead in range(BLOCKS):
            if not self._status(self._next_block + ahead)[0] & TP_STATUS_USER:
                break
        else:
            return BLOCKS
        if not ahead:
            # That the interface went down is an error that ends each wait until it was read.
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return ahead

    def batches(self, blocks: int) -> Iterator[PacketBatch]:
        """The packets of `blocks` that are ready. A batch is valid until release() is called for
        it, and the kernel has no use of its blocks before. Another thread may release."""
        for start in range(0, blocks, BATCH_BLOCKS):
            yield from self._batch(min(BATCH_BLOCKS, blocks - start))

    def release(self) -> None:
        """Give the blocks of the oldest batch back to the kernel."""
        for _ in range(self._taken.popleft()):
            self._status(self._oldest_block)[0] = TP_STATUS_KERNEL
            self._oldest_block = (self._oldest_block + 1) % BLOCKS

    def _batch(self, blocks: int) -> Iterator[PacketBatch]:
        """One batch of the next blocks. Blocks without packets go back with those after them."""
        starts = [(self._next_block + ahead) % BLOCKS * BLOCK_SIZE for ahead in range(blocks)]
        counts = [struct.unpack_from("=I", self._ring, at + _BLOCK_PACKETS)[0] for at in starts]
        rows, used = allocate(sum(counts)), 0
        for at, count in zip(starts, counts, strict=True):
            used = index_block(self._packets, at, count, _LITTLE, rows, used)
        rows.link[:] = self.link
        # Only a packet larger than a block of the ring is not handed over whole.
        rows.cut[:] = False
        self._next_block = (self._next_block + blocks) % BLOCKS
        self._empty += blocks
        if not used:
            return
        first, self._first = self._first, self._first + used
        self._taken.append(self._empty)
        self._empty = 0
        yield batch_of(self._packets, rows, used, first)

    def _status(self, block: int) -> NDArray[np.uint32]:
        at = block % BLOCKS * BLOCK_SIZE + _BLOCK_STATUS
        return self._memory[at : at + 4].view(np.uint32)

    def dropped(self) -> int:
        """Packets the kernel dropped so far because every block was in use."""
        counts = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
        self._dropped += struct.unpack("=3I", counts)[1]
        return self._dropped

    def received(self) -> int:
        """Packets handed out so far."""
        return self._first - 1

    def close(self) -> None:
        """Stop capturing. Batches must not be used any more."""
        self._socket.close()


@kernel
def index_block(
    data: NDArray[np.uint8], block: int, count: int, little: bool, rows: Rows, used: int
) -> int:
    """Note the packets of the ring's block at index `block` behind the `used` rows; returns how
    many rows are used then."""
    at = block + u32(data, block + _BLOCK_FIRST, not little)
    for row in range(used, used + count):
        captured = u32(data, at + _CAPTURED, not little)
        rows.start[row] = at + u16(data, at + _MAC, not little)
        rows.captured[row] = captured
        rows.length[row] = max(captured, u32(data, at + _LENGTH, not little))
        seconds = u32(data, at + _SECONDS, not little)
        rows.time[row] = seconds * 1_000_000_000 + u32(data, at + _NANOSECONDS, not little)
        at += u32(data, at + _NEXT, not little)
    return used + count
