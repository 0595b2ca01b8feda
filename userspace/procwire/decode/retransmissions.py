"""The last bytes of each direction of a TCP connection, so that what is sent again can be compared
with what was sent before (Ptacek and Newsham 1998). Those that came first are kept."""

from __future__ import annotations

import numpy as np

from procwire.compiled.byte_copy import copy_bytes
from procwire.compiled.jit import fused
from procwire.decode.stream_table import WINDOW, Streams
from procwire.decode.tcp_segment import apart
from procwire.words import Span


@fused
def contradicts(memory: Streams, place: int, payload: Span, seq: int, old: int) -> bool:
    """Whether one of the first `old` bytes of a payload is not as remembered."""
    stream, ring = memory.streams[place], memory.rings
    # RFC 9293 3.8.4: the byte of a keep-alive, which is the last one sent, is garbage.
    if payload.length == 1 and apart(stream.high, seq) == 1:
        return False
    for i in range(max(0, apart(stream.low, seq)), min(old, payload.captured)):
        byte = ring[place * WINDOW + ((seq + i) & (WINDOW - 1))]
        if byte != payload.data[payload.start + i]:
            return True
    return False


@fused
def remember(memory: Streams, place: int, payload: Span, old: int) -> None:
    """Add what follows the first `old` bytes of a payload, which is what is expected next."""
    stream, size = memory.streams[place], payload.length
    seq = int(np.int64(stream.high)) - old
    new = max(old, size - WINDOW)
    while new < size:
        at = (seq + new) & (WINDOW - 1)
        count = min(size - new, WINDOW - at)
        copy_bytes(payload.data, payload.start + new, memory.rings, place * WINDOW + at, count)
        new += count
    stream.high = (seq + size) & 0xFFFFFFFF
    if apart(stream.high, stream.low) > WINDOW:
        stream.low = (np.int64(stream.high) - WINDOW) & 0xFFFFFFFF
