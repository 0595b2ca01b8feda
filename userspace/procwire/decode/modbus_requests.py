"""Which Modbus requests are answered: the transaction of a response has to be that of a request
(Modbus messaging on TCP/IP V1.0b 3.1.3), so a device that speaks unasked, or to a question of
someone else's, is seen. A question has one answer (4.2): of a second one the client cannot know
which is the device's.

The entry of a question holds how many like it are open (`holder`), and where the client's stream
stood when the last was answered (`before`): a second answer to what may have been asked once more,
unseen, is none.
"""

from __future__ import annotations

import numpy as np

from procwire.compiled.jit import fused
from procwire.decode.columns import Packets
from procwire.decode.datagram_requests import pair_of
from procwire.decode.observations import OUT_OF_WINDOW, RETRANSMIT
from procwire.decode.request_table import (
    MODBUS,
    NOBODY,
    State,
    ask,
    is_asked,
    layer_of,
    note,
    slot_of,
)
from procwire.decode.source import NO_FLOW, FlowColumns, Source
from procwire.layers import MODBUS_COUNTED_FROM, MODBUS_FEWEST, MODBUS_HEADER, MODBUS_MOST
from procwire.words import u8, u16

_PORT = 502
_TRANSACTION = 2
_MOST_MESSAGES = 16
_FUNCTION = 0x7F  # the highest bit tells an exception
# Unit and function of a request of which a part came by itself; no message has both so.
_ANY = 0xFFFF
_ONE = np.uint64(1)


@fused
def is_modbus(packets: Packets, row: int) -> bool:
    """Whether a TCP segment goes to a device, or comes from one, and carries something."""
    asks, answers = packets.dst_port[row] == _PORT, packets.src_port[row] == _PORT
    return bool(asks != answers and packets.payload[row] != 0)


@fused
def on_modbus(state: State, source: Source, row: int, columns: FlowColumns) -> None:
    """Remember what the messages of Modbus in packet `row` ask, or check what they answer."""
    packets, asks = source.packets, source.packets.dst_port[row] == _PORT
    p = layer_of(source, row)
    at = p.length - int(packets.payload[row])
    for _message in range(_MOST_MESSAGES):
        counted = u16(p, at + 4)
        left = p.captured - at
        begun = asks and _TRANSACTION <= left < MODBUS_COUNTED_FROM
        possible = MODBUS_FEWEST <= counted <= MODBUS_MOST
        if not begun and (left < MODBUS_COUNTED_FROM or not possible):
            return
        if u16(p, at + 2) != 0:
            return
        transaction = u16(p, at) << 16
        name = pair_of(MODBUS, source, row, asks, np.uint64(transaction | _ANY))
        whole = left >= MODBUS_HEADER
        if whole and (asks or not is_asked(state, name)):
            what = transaction | u8(p, at + 6) << 8 | u8(p, at + 7) & _FUNCTION
            name = pair_of(MODBUS, source, row, asks, np.uint64(what))
        if asks:
            _ask(state, name)
        elif whole:
            _answer(state, name, int(packets.ack[row]), row, columns)
        at += MODBUS_COUNTED_FROM + counted


@fused
def _ask(state: State, name: np.uint64) -> None:
    """Remember one question more."""
    entry = state.questions[slot_of(state.questions, name)]
    others = entry.holder if is_asked(state, name) else NOBODY
    ask(state, name)
    entry.holder = others + _ONE


@fused
def _answer(state: State, name: np.uint64, ack: int, row: int, columns: FlowColumns) -> None:
    """Check the answer in packet `row`, which acknowledges the client's stream up to `ack`. What is
    sent again answers nothing anew."""
    entry, asked = state.questions[slot_of(state.questions, name)], is_asked(state, name)
    again = columns.observed[row] & (RETRANSMIT | OUT_OF_WINDOW) != 0
    if asked and not again and columns.flow[row] != NO_FLOW:
        if entry.holder == NOBODY:
            asked = entry.before != np.uint64(ack)
        else:
            entry.holder -= _ONE
            entry.before = np.uint64(ack)
    note(state, MODBUS, asked, row, columns)
