"""Which Modbus requests are answered: the transaction of a response has to be that of a request
(Modbus messaging on TCP/IP V1.0b 3.1.3), so a device that speaks unasked, or to a question of
someone else's, is seen. A question has one answer (4.2): of a second one the client cannot know
which is the device's.

Messages are those of the streams, however they are cut into segments. Where a part of a stream was
not seen, or cannot be read, the client may have asked anything there: for as long as that may be
answered no answer of the connection is unasked. Nor is one where questions come in more than two
segments each, as they do where it is not known where they begin.
"""

from __future__ import annotations

import numpy as np

from procwire import layers
from procwire.compiled.jit import fused
from procwire.decode.columns import Packets
from procwire.decode.datagram_requests import pair_of
from procwire.decode.message_spans import MessageSpans
from procwire.decode.observations import DATA_NO_SESSION, GAP, OUT_OF_WINDOW, RETRANSMIT
from procwire.decode.read_only import own_span
from procwire.decode.request_table import (
    MODBUS,
    NOBODY,
    State,
    ask,
    is_asked,
    layer_of,
    note,
    remember,
    slot_of,
)
from procwire.decode.source import NO_FLOW, FlowColumns, Source
from procwire.layers import MODBUS_FEWEST, MODBUS_HEADER, MODBUS_MOST
from procwire.words import Span, u8, u16

_PORT = 502
_FUNCTION = 0x7F  # the highest bit tells an exception
# Said instead of transaction, unit and function; _PART is a segment that ends no message.
_ANYTHING, _PART = np.uint64(1 << 32), np.uint64(2 << 32)
_ONE = np.uint64(1)


@fused
def is_modbus(packets: Packets, row: int) -> bool:
    """Whether a TCP segment goes to a device, or comes from one."""
    return bool((packets.dst_port[row] == _PORT) != (packets.src_port[row] == _PORT))


@fused
def on_modbus(
    state: State, source: Source, spans: MessageSpans, row: int, columns: FlowColumns
) -> None:
    """Remember what the messages of Modbus in packet `row` ask, or check what they answer. spans:
    the messages of its part of the batch, whose packets are followed in order."""
    if _hides_questions(source, row, int(columns.observed[row])):
        remember(state, _name_of(source, row, _ANYTHING))
    found = 0
    here, at = spans.here, int(spans.passed[0])
    while at < spans.used[0] and here.packet[at] <= row:
        if here.packet[at] == row and here.layer[at + 1] == layers.MODBUS:
            start, size = int(here.start[at + 1]), int(np.int64(here.captured[at + 1]))
            _on_message(state, source, row, Span(source.data, start, size, size), columns)
            found += 1
        at += 2
    spans.passed[0] = at
    copies, at = spans.copies, int(spans.passed[1])
    while at < spans.used[1] and copies[at // 2].row <= row:
        copy = copies[at // 2]
        if copy.row == row and spans.joined.layer[at + 1] == layers.MODBUS:
            start, size = int(copy.start), int(np.int64(copy.length))
            _on_message(state, source, row, own_span(spans.kept, start, size, size), columns)
            found += 1
        at += 2
    spans.passed[1] = at
    packets = source.packets
    if found == 0 and packets.payload[row] != 0 and packets.dst_port[row] == _PORT:
        _on_part(state, source, row)


@fused
def _hides_questions(source: Source, row: int, observed: int) -> bool:
    """Whether there are bytes of the client, in packet `row` or before it, that were not seen or
    have no place in its stream."""
    if source.packets.dst_port[row] != _PORT:
        return observed & (GAP | DATA_NO_SESSION) != 0
    p = layer_of(source, row)
    return p.captured < p.length or observed & (GAP | DATA_NO_SESSION | OUT_OF_WINDOW) != 0


@fused
def _on_part(state: State, source: Source, row: int) -> None:
    """No message ends in packet `row` of a client. If none did in what precedes it, either, it may
    not be known where messages begin."""
    packets, name = source.packets, _name_of(source, row, _PART)
    seq = np.int64(packets.seq[row])
    if is_asked(state, name):
        before = state.questions[slot_of(state.questions, name)].before
        if before == np.uint64(seq):
            remember(state, _name_of(source, row, _ANYTHING))
    remember(state, name)
    end = (seq + np.int64(packets.payload[row])) & 0xFFFFFFFF
    state.questions[slot_of(state.questions, name)].before = np.uint64(end)


@fused
def _name_of(source: Source, row: int, what: np.uint64) -> np.uint64:
    """The question `what` between client and device of packet `row`."""
    return pair_of(MODBUS, source, row, bool(source.packets.dst_port[row] == _PORT), what)


@fused
def _on_message(state: State, source: Source, row: int, p: Span, columns: FlowColumns) -> None:
    if p.captured < MODBUS_HEADER or u16(p, 2) != 0:
        return
    asks = source.packets.dst_port[row] == _PORT
    if not MODBUS_FEWEST <= u16(p, 4) <= MODBUS_MOST:
        if asks:
            # Nobody knows where the next one begins.
            remember(state, _name_of(source, row, _ANYTHING))
        return
    what = u16(p, 0) << 16 | u8(p, 6) << 8 | u8(p, 7) & _FUNCTION
    name = _name_of(source, row, np.uint64(what))
    if asks:
        _ask(state, name)
        return
    answers = _answers(state, name, row, columns)
    if answers or not is_asked(state, _name_of(source, row, _ANYTHING)):
        note(state, MODBUS, answers, row, columns)


@fused
def _ask(state: State, name: np.uint64) -> None:
    """Remember one question more."""
    entry = state.questions[slot_of(state.questions, name)]
    others = entry.holder if is_asked(state, name) else NOBODY
    ask(state, name)
    entry.holder = others + _ONE


@fused
def _answers(state: State, name: np.uint64, row: int, columns: FlowColumns) -> bool:
    """Whether packet `row` answers an open question, which is not open then. What is sent again
    answers nothing anew."""
    if not is_asked(state, name):
        return False
    again = columns.observed[row] & (RETRANSMIT | OUT_OF_WINDOW) != 0
    if again or columns.flow[row] == NO_FLOW:
        return True
    entry = state.questions[slot_of(state.questions, name)]
    if entry.holder == NOBODY:
        return False
    entry.holder -= _ONE
    return True
