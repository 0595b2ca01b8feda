"""Live packets of one interface through TPACKET_V3: the kernel fills the blocks of rings that it
shares with this program, and each goes back once its packets were used.

Several sockets share an interface's packets by flow (PACKET_FANOUT), so that processors that
receive at a time do not wait for each other's ring. All rings are mapped one behind the other: a
batch holds packets of all of them, in the order of their times (capture/ring.py).

Linux Documentation/networking/packet_mmap.rst, packet(7).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np

from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.capture.filter import attach, compile_filter, detach
from procwire.capture.ring import BLOCK_SIZE, BLOCKS, RETIRE_MS, RING_SIZE, Rings
from procwire.errors import Unavailable, UsageError

FRAME_SIZE = 1 << 11  # the kernel checks it, TPACKET_V3 does not use it

# linux/if_packet.h
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 1, 5, 6, 10
PACKET_FANOUT, PACKET_IGNORE_OUTGOING = 18, 23
PACKET_MR_PROMISC = 1
TPACKET_V3 = 2
ETH_P_ALL = 3
# By flow, and into another ring where that one is nearly full, as order is made by time. Fragments
# stay as they came (no PACKET_FANOUT_FLAG_DEFRAG), because how they lie is judged. UNIQUEID: no
# other program's group.
FANOUT_HASH, FANOUT_ROLLOVER, FANOUT_UNIQUE_ID = 0, 0x1000, 0x2000
_FANOUT_KIND, _FANOUT_ID = 16, 0xFFFF
# linux/filter.h: a program that selects nothing, BPF_RET | BPF_K with 0.
_NOTHING = struct.pack("=HBBI", 6, 0, 0, 0)
_MAP_FIXED = 0x10

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


class LiveCapture:
    """Packets of `interface`, from the moment it is made until close().

    expression: a filter in tcpdump's language, empty for every packet; see filter.compile_filter.
    rings: as many as there are processors to receive, at most; loopback has one. link: LINKTYPE
    number of its packets. Raises UsageError for an unknown interface or one whose link type is not
    decoded, Unavailable without CAP_NET_RAW. VLAN tags that the kernel took off a frame are not
    seen. tell: called with one line when the interface goes down.
    """

    def __init__(
        self,
        interface: str,
        expression: str = "",
        rings: int = 1,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.interface = interface
        self._tell = tell
        self._dropped = self._stopped = 0
        with ExitStack() as opened:
            self._sockets = [opened.enter_context(_packet_socket())]
            hardware = self._hardware()
            self.link = LINKS[hardware]
            program = compile_filter(expression, self.link) if expression else b""
            loopback = hardware == ARPHRD_LOOPBACK
            more = 0 if loopback else rings - 1
            self._sockets += [opened.enter_context(_packet_socket()) for _ in range(more)]
            for one in self._sockets:
                self._set_up(one, loopback)
            if more and not self._share():
                for one in self._sockets[1:]:
                    one.close()
                del self._sockets[1:]
            memory = _mapped(self._sockets)
            # A ring that stays mapped keeps its socket open, whoever closes that.
            opened.callback(_place, memory, 0, len(memory))
            self._rings = Rings(np.frombuffer(memory, np.uint8), self.link)
            self._wakes = opened.enter_context(select.epoll())
            for one in self._sockets:
                self._wakes.register(one, select.EPOLLIN)
                # The first packet that is seen is one that the filter has passed.
                if program:
                    attach(one, program)
                else:
                    detach(one)
            self._opened = opened.pop_all()

    def _hardware(self) -> int:
        """ARP hardware type of the interface."""
        known = [name for _, name in socket.if_nameindex()]
        if self.interface not in known:
            raise UsageError(f"no interface {self.interface}; there are {', '.join(known)}")
        asked = struct.pack("16s24x", self.interface.encode())
        answer = fcntl.ioctl(self._sockets[0], SIOCGIFHWADDR, asked)
        hardware: int = struct.unpack_from("=H", answer, 16)[0]
        if hardware not in LINKS:
            raise UsageError(f"interface {self.interface} has ARP type {hardware}, not decoded")
        return hardware

    def _set_up(self, one: socket.socket, loopback: bool) -> None:
        """Bind a socket with its ring. It receives nothing yet: until it shares the interface it
        would receive what others do, too."""
        attach(one, _NOTHING)
        if loopback:
            # Each packet on it would come twice, going out and coming in.
            one.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        else:
            index = socket.if_nametoindex(self.interface)
            wanted = struct.pack("=iHH8s", index, PACKET_MR_PROMISC, 0, b"")
            one.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, wanted)
        one.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        frames = BLOCK_SIZE // FRAME_SIZE * BLOCKS
        ring = struct.pack("=7I", BLOCK_SIZE, BLOCKS, FRAME_SIZE, frames, RETIRE_MS, 0, 0)
        one.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        one.bind((self.interface, ETH_P_ALL))

    def _share(self) -> bool:
        """Have the sockets share the interface's packets by flow; whether they do: before Linux 6.0
        those of an interface that is down cannot."""
        kind = FANOUT_HASH | FANOUT_ROLLOVER
        first, *others = self._sockets
        try:
            first.setsockopt(SOL_PACKET, PACKET_FANOUT, (kind | FANOUT_UNIQUE_ID) << _FANOUT_KIND)
            group = first.getsockopt(SOL_PACKET, PACKET_FANOUT) & _FANOUT_ID
            for one in others:
                one.setsockopt(SOL_PACKET, PACKET_FANOUT, kind << _FANOUT_KIND | group)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        """Becomes readable when a block is ready."""
        return self._wakes.fileno()

    @property
    def rings(self) -> int:
        """How many share the interface's packets."""
        return len(self._sockets)

    def ready(self) -> int:
        """Blocks that are ready. What batches() hands out is what this saw of them."""
        ready = self._rings.ready()
        if not ready:
            # That the interface went down is an error that ends each wait until it was read.
            errors = [one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for one in self._sockets]
            if errno.ENETDOWN in errors:
                self._note_stop()
        return ready

    def _note_stop(self) -> None:
        self._stopped += 1
        if self._tell is not None:
            self._tell(
                f"interface {self.interface} went down: none of its packets are seen until it is up"
                " again; if it was removed, not before another start"
            )

    def batches(self) -> Iterator[PacketBatch]:
        """See Rings.batches."""
        return self._rings.batches()

    def release(self) -> None:
        """Give the blocks of the oldest batch back to the kernel."""
        self._rings.release()

    def dropped(self) -> int:
        """Packets the kernel dropped so far because every block was in use."""
        for one in self._sockets:
            # Reading it begins a new count.
            counts = one.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
            self._dropped += struct.unpack("=3I", counts)[1]
        return self._dropped

    def stopped(self) -> int:
        """How often the interface went down."""
        return self._stopped

    def received(self) -> int:
        """Packets handed out so far."""
        return self._rings.received()

    def close(self) -> None:
        """Stop capturing. Batches must not be used any more."""
        self._opened.close()


def _packet_socket() -> socket.socket:
    try:
        # Protocol 0: nothing is received before it is bound.
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise Unavailable(
            "CAP_NET_RAW is missing, which capturing packets needs",
            "run procwire as root: sudo procwire watch",
        ) from None


def _mapped(sockets: list[socket.socket]) -> mmap.mmap:
    """The sockets' rings, one behind the other, so that one index reaches the packets of all."""
    memory = mmap.mmap(-1, RING_SIZE * len(sockets))
    for number, one in enumerate(sockets):
        _place(memory, number * RING_SIZE, RING_SIZE, one)
    return memory


def _place(memory: mmap.mmap, at: int, size: int, ring: socket.socket | None = None) -> None:
    """Map a socket's ring, or without one fresh memory, over `size` bytes of `memory`."""
    # Python maps nothing at a given place. What is mapped within goes when `memory` does.
    place = ctypes.CDLL(None, use_errno=True).mmap
    place.restype = ctypes.c_void_p
    place.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    wanted = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + at
    access = mmap.PROT_READ | mmap.PROT_WRITE
    kind = mmap.MAP_SHARED if ring else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    if place(wanted, size, access, kind | _MAP_FIXED, ring.fileno() if ring else -1, 0) != wanted:
        error = ctypes.get_errno()
        raise Unavailable(
            f"the ring of an interface cannot be mapped: {os.strerror(error)}",
            "give procwire more memory",
        )
