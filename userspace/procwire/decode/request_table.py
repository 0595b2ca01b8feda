"""The memory of questions: a bounded table of 64-bit hashes of who asks whom what, and when.

An answer looks its question up. One that nobody put is evidence only after the warm-up, on a
capture that shows the questions of its kind, and while no question had to be forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused
from procwire.decode.columns import span_at
from procwire.decode.health import CLOCK, STARTED, WARM_UP
from procwire.decode.mix import mix64, mix_address
from procwire.decode.observations import (
    ARP_UNSOLICITED_REPLY,
    UNSOLICITED_ADVERTISEMENT,
    UNSOLICITED_DATAGRAM,
    UNSOLICITED_DHCP,
    UNSOLICITED_DNS,
    UNSOLICITED_ECHO_REPLY,
    UNSOLICITED_MODBUS,
    UNSOLICITED_NTP,
)
from procwire.decode.source import FlowColumns, Source
from procwire.words import Span, u32

CAPACITY = 1 << 16
PROBES = 8
ANSWER_WITHIN_NS = 60_000_000_000
"""A question older than this is not answered any more."""

MEMORY = np.dtype([("name", "u8"), ("time", "i8"), ("holder", "u8"), ("before", "u8")])
"""name: hash of a question or of an address, 0 if free; time: ns, when last put or seen; holder,
before: link addresses that hold it now and held it before, 0 if unknown. The holder of a question
of Modbus is how many like it are open; of a part of one, before is the number of the byte behind
it."""

# Kinds of questions. Each has a bit of observations.py for an answer that lacks it.
KINDS = ("arp", "neighbour", "echo", "datagram", "dns", "ntp", "dhcp", "modbus")
ARP, NEIGHBOUR, ECHO, DATAGRAM, DNS, NTP, DHCP, MODBUS = range(len(KINDS))
_UNASKED = (
    ARP_UNSOLICITED_REPLY,
    UNSOLICITED_ADVERTISEMENT,
    UNSOLICITED_ECHO_REPLY,
    UNSOLICITED_DATAGRAM,
    UNSOLICITED_DNS,
    UNSOLICITED_NTP,
    UNSOLICITED_DHCP,
    UNSOLICITED_MODBUS,
)
BINDING, ROUTER = len(KINDS), len(KINDS) + 1
"""Names of what is no question: who holds an address, who is a router."""

# Slots of the figures, an int64 array, behind those that health.py has as well; answers that were
# asked for, by kind, follow.
FORGOTTEN, REQUESTS, ANSWERS, UNASKED_ANSWERS = range(3, 7)
ASKED_FROM = 7
_ENOUGH = 8
HALF = np.uint64(32)
NOBODY = np.uint64(0)


class State(NamedTuple):
    """questions, bindings: MEMORY (CAPACITY,); figures: int64, see the slot numbers."""

    questions: NDArray[np.void]
    bindings: NDArray[np.void]
    figures: NDArray[np.int64]


@fused
def name_of(kind: int, first: np.uint64, second: np.uint64, third: np.uint64) -> np.uint64:
    """Hash of a question or address, never 0."""
    mixed = mix64(mix64(mix_address(np.uint64(kind), first) ^ second) ^ third)
    return mixed | np.uint64(1)


@fused
def slot_of(table: NDArray[np.void], name: np.uint64) -> int:
    """Where `name` is, or where it goes: a free slot, else the oldest one."""
    mask = len(table) - 1
    home = np.int64((name >> HALF) & np.uint64(mask))
    best = home
    for probe in range(PROBES):
        slot = (home + probe) & mask
        if table[slot].name == name or table[slot].name == 0:
            return int(slot)
        if table[slot].time < table[best].time:
            best = slot
    return int(best)


@fused
def ask(state: State, name: np.uint64) -> None:
    """Remember that a question was put just now."""
    remember(state, name)
    state.figures[REQUESTS] += 1


@fused
def remember(state: State, name: np.uint64) -> None:
    """As ask(), of what is no question that was seen."""
    now = state.figures[CLOCK]
    entry = state.questions[slot_of(state.questions, name)]
    lost = entry.name != 0 and entry.name != name
    if lost and now - entry.time < ANSWER_WITHIN_NS:
        state.figures[FORGOTTEN] += 1
    entry.name = name
    entry.time = now


@fused
def is_asked(state: State, name: np.uint64) -> bool:
    """Whether a question was put lately enough to be answered now."""
    entry = state.questions[slot_of(state.questions, name)]
    return bool(entry.name == name and state.figures[CLOCK] - entry.time < ANSWER_WITHIN_NS)


@fused
def is_warm(state: State) -> bool:
    """Whether the warm-up is over."""
    figures = state.figures
    return bool(figures[CLOCK] - figures[STARTED] >= figures[WARM_UP])


@fused
def check(state: State, kind: int, name: np.uint64, row: int, columns: FlowColumns) -> None:
    """Note it in the columns if packet `row` answers the question `name`, which nobody put."""
    note(state, kind, is_asked(state, name), row, columns)


@fused
def note(state: State, kind: int, asked: bool, row: int, columns: FlowColumns) -> None:
    """Count the answer in packet `row`, and note it in the columns if it was not asked for."""
    figures = state.figures
    figures[ANSWERS] += 1
    if asked:
        figures[ASKED_FROM + kind] += 1
        return
    figures[UNASKED_ANSWERS] += 1
    columns.observed[row] |= _UNASKED[kind]
    if is_warm(state) and figures[ASKED_FROM + kind] >= _ENOUGH and figures[FORGOTTEN] == 0:
        columns.trusted[row] |= _UNASKED[kind]


@fused
def layer_of(source: Source, row: int) -> Span:
    """The transport or ARP layer of packet `row`, empty where its bytes are elsewhere."""
    return span_at(source.data, source.spans, int(source.span[row]))


@fused
def u64(p: Span, offset: int) -> np.uint64:
    """The 64-bit big-endian number at `offset`."""
    return np.uint64(u32(p, offset)) << HALF | np.uint64(u32(p, offset + 4))
