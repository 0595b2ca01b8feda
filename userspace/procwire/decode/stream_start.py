"""How a direction of a TCP connection begins: by its first bytes, or anew behind what was no
message."""

from __future__ import annotations

from procwire import layers
from procwire.compiled.jit import fused
from procwire.decode.application import layer_of_start
from procwire.decode.flow_table import Record
from procwire.decode.http_start import is_sound_start, is_unfinished
from procwire.decode.message_spans import NO_LAYER, Found
from procwire.decode.stream_table import (
    FROM_START,
    MESSAGE_ROOM,
    OTHER_TEXT,
    START_ROOM,
    SURE,
    UNBROKEN,
    Streams,
)
from procwire.layers import HTTP_PORTS
from procwire.words import Span, find, u8, u32

_LF = 10
_KNOWN_WITHIN = 8  # bytes by which protocols that any port may carry are known
_PRINTABLE = (32, 126)
_PROXY = int.from_bytes(b"PROX", "big")


@fused
def layer_of(memory: Streams, stream: Record, found: Found, p: Span) -> int:
    """The layer of a direction's first bytes. With the port of DNS, any length may begin it."""
    layer = layer_of_start(p, found.source, found.destination, stream.marks & FROM_START != 0)
    if layer == NO_LAYER and stream.marks & FROM_START and found.back >= 0:
        # Whoever is greeted with TLS, or by a server of mail, has to answer in kind.
        back = memory.streams[found.back]
        greets = back.marks & SURE and back.marks & UNBROKEN
        if greets and back.layer == layers.TLS and p.captured >= _KNOWN_WITHIN:
            layer = layers.TLS
        line = p.captured >= START_ROOM or find(p, 0, _LF) < p.captured
        if greets and back.layer == layers.SMTP and found.opened and line:
            layer = layers.SMTP
    return int(layer)


@fused
def note_text(stream: Record, begun: Span) -> None:
    """Remember of a direction, by its first bytes, that it speaks a protocol of text that is not
    known. A proxy may say in a line of its own whom the bytes behind it come from (HAProxy, The
    PROXY protocol 2.1)."""
    is_text = _PRINTABLE[0] <= u8(begun, 0) <= _PRINTABLE[1] and u32(begun, 0) != _PROXY
    if stream.marks & FROM_START and is_text:
        stream.marks |= OTHER_TEXT


@fused
def is_undecided(begun: Span) -> bool:
    """Whether more may tell what bytes are that so far begin nothing known."""
    size = begun.captured
    return size < START_ROOM or (size < MESSAGE_ROOM and is_unfinished(begun))


@fused
def begins_anew(stream: Record, found: Found, p: Span) -> bool:
    """Whether a segment that begins like a message is one, behind what was none. Text is no message
    of HTTP for its first bytes alone, nor for a line in what began as another protocol's, but on
    the ports of HTTP."""
    if found.layer != layers.HTTP1 or stream.layer == found.layer:
        return True
    is_other = stream.marks & OTHER_TEXT or stream.marks & FROM_START and stream.layer != NO_LAYER
    if is_other and not (found.source in HTTP_PORTS or found.destination in HTTP_PORTS):
        return False
    return is_sound_start(p)
