"""Which protocol each end of a TCP connection speaks, and whether its port and its peer agree.

The first bytes of an end count, of a connection whose SYN was seen: later ones may look like
anything. They are those of its first payload, with what follows in its stream where that is short,
or may be a request whose line goes on. What application.py knows by them is compared. What it does
not know is no evidence, except where the peer says what is due: of either end of SSH its
identification (RFC 4253 4.2), before a response of HTTP a request (RFC 9112 section 3, 9.2), before
a server's first record of TLS one of the client (RFC 8446 section 4), behind a request of Modbus
its header (Modbus messaging on TCP/IP V1.0b 3.1.3). After STARTTLS (RFC 3207 section 4) the next
payload counts once more: it has to be TLS.
"""

from __future__ import annotations

import numpy as np

from procwire.compiled.jit import called, fused
from procwire.decode.application import layer_of_start
from procwire.decode.columns import span_at
from procwire.decode.first_bytes import (
    goes_before_tls,
    is_behind_zeros,
    is_modbus_request,
    is_no_record,
    is_no_request,
    is_of_tls_server,
)
from procwire.decode.flow_table import (
    BARELY_BEGUN,
    MISMATCH_TOLD,
    SENT_SYN,
    TLS_ASKED,
    TLS_DUE,
    FlowTable,
    Record,
)
from procwire.decode.http_start import is_unfinished
from procwire.decode.observations import (
    GAP,
    NO_HTTP_REQUEST,
    NO_HTTP_RESPONSE,
    NO_MODBUS_HEADER,
    NO_SSH_IDENTIFICATION,
    NO_TLS_RECORD,
    OUT_OF_WINDOW,
    PROTOCOL_MISMATCH,
    RETRANSMIT,
)
from procwire.decode.payload import NOWHERE, place_of
from procwire.decode.read_only import own_span
from procwire.decode.source import FlowColumns, Source
from procwire.decode.stream_table import (
    FROM_START,
    START_AT,
    START_ROOM,
    UNBROKEN,
    UNDECIDED,
    WINDOW,
    Streams,
)
from procwire.decode.tcp_segment import apart
from procwire.layers import DNS, HTTP1, MODBUS, SMB, SMTP, SSH, TLS
from procwire.words import Span, folded, span, u8, u16, u32

_KNOWN_BY_BYTES = (HTTP1, TLS, SSH, SMB, SMTP)
# IANA, Service Name and Transport Protocol Port Number Registry: what these system ports carry.
# Others are anybody's to use as well (RFC 6335 section 6).
_SERVICES = (
    (22, SSH),
    (25, SMTP),
    (53, DNS),
    (80, HTTP1),
    (139, SMB),
    (443, TLS),
    (445, SMB),
    (465, TLS),
    (502, MODBUS),
    (587, SMTP),
    (636, TLS),
    (853, TLS),
    (989, TLS),
    (990, TLS),
    (992, TLS),
    (993, TLS),
    (995, TLS),
)
_HTTP_PORT = 80
_NOTHING = 0
_ORIGINATOR = 0
_DISORDER = GAP | RETRANSMIT | OUT_OF_WINDOW
_SSH_NEEDED = 4
_MODBUS_PROTOCOL, _MODBUS_NEEDED = 2, 4  # where its header has a 0, and the bytes up to behind it
_START_NEEDED = 10  # up to the first digit of an HTTP status; others are known by fewer
_FIRST_OF_TEXT = 9  # a tab; what begins lower is no line
_STARTTLS = folded(span(b"starttls"), 0, 8)
_LINE_FEED, _CARRIAGE_RETURN = 10, 13
_READY = int.from_bytes(b"220", "big")

# What END.speaks holds beside layers: bytes that no record of TLS begins with, and those that no
# request of HTTP does either.
_NO_RECORD, _NO_REQUEST = 0xFE, 0xFF
_ZERO, _FIRST_FAILURE = 0x30, 0x34
_SLASHED = folded(span(b"http/"), 0, 5)
_REFUSED_FROM = 0x34  # "4", as codes of failures begin with it or "5"


@fused
def contradictions(
    table: FlowTable,
    slot: int,
    memory: Streams,
    source: Source,
    row: int,
    columns: FlowColumns,
) -> int:
    """Enter what TCP packet `row` of the flow in `slot` speaks, whose stream has it. Observed is
    what its port does not carry or its peer does not speak, once of a flow."""
    packets, flow = source.packets, table.flows[slot]
    if packets.payload[row] == 0 or source.span[row] < 0 or flow.marks & MISMATCH_TOLD:
        return 0
    side = int(columns.sender[row]) ^ int(flow.origin)
    end, peer = table.ends[slot, side], table.ends[slot, 1 - side]
    layer = _layer_of(source, row)
    begins = end.sent & SENT_SYN and packets.seq[row] == (end.initial + 1) & 0xFFFFFFFF
    barely = end.sent & BARELY_BEGUN != 0
    if not (begins or barely or layer == SMTP or flow.marks & TLS_DUE):
        return 0
    message = _message_of(source, row)
    from_client = columns.sender[row] == _ORIGINATOR
    disorder = columns.observed[row] & _DISORDER != 0
    observed, wrong = 0, False
    if flow.marks & TLS_DUE:
        if columns.observed[row] & (RETRANSMIT | OUT_OF_WINDOW) == 0:
            flow.marks = int(flow.marks) & ~TLS_DUE
            wrong = layer != TLS and is_no_record(message)
    elif layer == SMTP:
        _on_mail_line(flow, message, from_client)
    port = int(packets.dst_port[row] if from_client else packets.src_port[row])
    asked = packets.ack[row] != (peer.initial + 1) & 0xFFFFFFFF
    if begins or barely:
        place = place_of(table, slot, side, memory)
        begun = _begun(memory, place, end)
        if begins and begun.captured <= message.length:
            begun = message
        else:
            ports = int(packets.src_port[row]), int(packets.dst_port[row])
            layer = layer_of_start(begun, ports[0], ports[1], False)
        undecided = False
        if layer == _NOTHING and place != NOWHERE:
            stream = memory.streams[place]
            undecided = stream.phase == UNDECIDED
            first = stream.marks & FROM_START and stream.marks & UNBROKEN
            layer = HTTP1 if first and stream.layer == HTTP1 else _NOTHING
        told = _on_start(end, peer, from_client, port, layer, begun, asked, disorder)
        goes_on = from_client and undecided and is_unfinished(begun)
        observed |= told
        end.sent = int(end.sent) & ~BARELY_BEGUN
        if (begun.length < _START_NEEDED or goes_on) and not told:
            end.sent |= BARELY_BEGUN
    if wrong or observed & PROTOCOL_MISMATCH:
        flow.marks |= MISMATCH_TOLD
        observed |= PROTOCOL_MISMATCH
    return observed


@called
def _on_start(
    end: Record,
    peer: Record,
    from_client: bool,
    port: int,
    layer: int,
    message: Span,
    asked: bool,
    disorder: bool,
) -> int:
    """What is observed of the first bytes of an END, of `layer` as far as is known. port: the
    server's; asked: as in _out_of_turn()."""
    observed = 0
    end.speaks = layer
    if layer == MODBUS and not is_modbus_request(message):
        end.speaks = _NOTHING
    unknown = layer == _NOTHING or layer == HTTP1 and folded(message, 0, 5) != _SLASHED
    if from_client and unknown and not goes_before_tls(message):
        if layer == _NOTHING and is_no_record(message):
            end.speaks = _NO_RECORD
        if is_no_request(message, port == _HTTP_PORT and layer != HTTP1):
            end.speaks = _NO_REQUEST
    if not from_client and not disorder:
        if layer == HTTP1:
            observed |= _out_of_turn(peer, message, asked)
        elif layer == SSH and peer.speaks == _NO_REQUEST:
            observed |= NO_SSH_IDENTIFICATION
        elif layer == TLS and asked and peer.speaks in (_NO_RECORD, _NO_REQUEST):
            observed |= NO_TLS_RECORD if is_of_tls_server(message) else 0
    if not from_client and layer == _NOTHING:
        if peer.speaks == HTTP1 and is_behind_zeros(message):
            observed |= NO_HTTP_RESPONSE
        elif peer.speaks == MODBUS and asked and not disorder and _is_no_modbus(message):
            observed |= NO_MODBUS_HEADER
    if layer in _KNOWN_BY_BYTES:
        other = peer.speaks in _KNOWN_BY_BYTES and peer.speaks != layer
        if other or _is_foreign(port, layer):
            observed |= PROTOCOL_MISMATCH
    # A server may say lines before (RFC 4253 4.2), a client nothing.
    elif peer.speaks == SSH and (from_client or u8(message, 0) < _FIRST_OF_TEXT):
        observed |= NO_SSH_IDENTIFICATION if message.captured >= _SSH_NEEDED else 0
    return observed


@fused
def _is_no_modbus(message: Span) -> bool:
    """Whether a payload has another protocol's number where Modbus has 0."""
    return message.captured >= _MODBUS_NEEDED and u16(message, _MODBUS_PROTOCOL) != 0


@fused
def _begun(memory: Streams, place: int, end: Record) -> Span:
    """The first bytes that an END has sent, up to START_ROOM, if its stream still has them."""
    first, size, captured = (int(np.int64(end.initial)) + 1) & 0xFFFFFFFF, 0, 0
    if place != NOWHERE:
        size = max(apart(int(np.int64(memory.streams[place].high)), first), 0)
        if memory.streams[place].low == first:
            captured = min(size, START_ROOM)
    for at in range(captured):
        byte = memory.rings[place * WINDOW + ((first + at) & (WINDOW - 1))]
        memory.store[START_AT + at] = byte
    return own_span(memory.store, START_AT, captured, size)


@fused
def _layer_of(source: Source, row: int) -> int:
    """The layer of the message that a segment's payload begins with, or _NOTHING."""
    below = int(source.span[row])
    if below + 1 >= source.spans.outer.size or source.spans.outer[below + 1] != below:
        return _NOTHING
    return int(source.spans.layer[below + 1])


@fused
def _message_of(source: Source, row: int) -> Span:
    """The payload of a segment."""
    segment = span_at(source.data, source.spans, int(source.span[row]))
    header = segment.length - int(source.packets.payload[row])
    captured = max(segment.captured - header, 0)
    return Span(segment.data, segment.start + header, captured, segment.length - header)


@fused
def _is_foreign(port: int, layer: int) -> bool:
    """Whether IANA gives the port to another protocol. Port 465 is one of mail over TLS, which
    some still open in clear text and turn to TLS."""
    for service, carried in _SERVICES:
        if port == service:
            return layer != carried and not (port == 465 and layer == SMTP)
    return False


@fused
def _out_of_turn(client: Record, message: Span, asked: bool) -> int:
    """What is observed of a server's first payload, a message of HTTP. asked: whether the server
    acknowledges anything that its client, an END, sent."""
    if folded(message, 0, 5) != _SLASHED or not client.sent & SENT_SYN:
        return 0
    if asked:
        return NO_HTTP_REQUEST if client.speaks == _NO_REQUEST else 0
    # A server that will not wait for a request may say so (RFC 9110 15.5.9).
    return NO_HTTP_RESPONSE if _ZERO < u8(message, 9) < _FIRST_FAILURE else 0


@fused
def _on_mail_line(flow: Record, message: Span, from_client: bool) -> None:
    """RFC 3207 section 4: STARTTLS is the last command of a group, and 220 accepts it."""
    if from_client:
        end = message.captured
        if end == message.length and u8(message, end - 1) == _LINE_FEED:
            end -= 1
            if u8(message, end - 1) == _CARRIAGE_RETURN:
                end -= 1
            if folded(message, end - 8, 8) == _STARTTLS:
                flow.marks |= TLS_ASKED
    elif flow.marks & TLS_ASKED:
        if u32(message, 0) >> 8 == _READY:
            flow.marks |= TLS_DUE
        if u32(message, 0) >> 8 == _READY or u8(message, 0) >= _REFUSED_FROM:
            flow.marks = int(flow.marks) & ~TLS_ASKED
