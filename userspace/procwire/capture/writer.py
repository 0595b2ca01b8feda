"""Writes packets as pcapng, draft-ietf-opsawg-pcapng: one section, one interface, nanoseconds.

A kernel lays a whole batch out as blocks; one write takes it to the file.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import kernel

_OVERHEAD = 32
_ENHANCED_PACKET = 6
_SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
# if_tsresol: ten to the minus nine; end of options.
_NANOSECONDS = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
_NAME = 2


class CaptureWriter:
    """Appends batches to a binary stream. interface: its name, written into the file; link: the
    LINKTYPE number of all packets."""

    def __init__(self, stream: BinaryIO, interface: str, link: int) -> None:
        self._stream = stream
        name = interface.encode()
        named = struct.pack("<HH", _NAME, len(name)) + name + bytes(-len(name) % 4)
        options = named + _NANOSECONDS
        size = 20 + len(options)
        described = struct.pack("<IIHHI", 1, size, link, 0, 0) + options + struct.pack("<I", size)
        stream.write(_SECTION + described)

    def write(self, batch: PacketBatch) -> int:
        """Append the packets; how many bytes that took."""
        sizes = (batch.captured.astype(np.int64) + 3 & ~3) + _OVERHEAD
        blocks = np.empty(int(sizes.sum()), np.uint8)
        lay_out(batch, blocks)
        self._stream.write(blocks.data)
        return len(blocks)


@kernel
def lay_out(batch: PacketBatch, blocks: NDArray[np.uint8]) -> int:
    """Enhanced packet blocks of all packets, little-endian; returns the bytes written."""
    at = np.int64(0)
    for row in range(len(batch.time)):
        captured = np.int64(batch.captured[row])
        size = (captured + 3 & ~3) + _OVERHEAD
        time = batch.time[row]
        header = (
            np.int64(_ENHANCED_PACKET),
            size,
            np.int64(0),
            time >> 32,
            time & 0xFFFFFFFF,
            captured,
            np.int64(batch.length[row]),
        )
        for word in range(len(header)):
            for byte in range(4):
                blocks[at + 4 * word + byte] = header[word] >> 8 * byte & 0xFF
        start = batch.start[row]
        for place in range(captured):
            blocks[at + 28 + place] = batch.data[start + place]
        for place in range(captured, size - _OVERHEAD):
            blocks[at + 28 + place] = 0
        for byte in range(4):
            blocks[at + size - 4 + byte] = size >> 8 * byte & 0xFF
        at += size
    return int(at)
