"""Decodes the packets of a file as they are indexed: an index by itself only waits for memory, and
here the processor decodes meanwhile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.capture.interfaces import Section
from procwire.capture.pcap import SOUND, Form, index_packet
from procwire.capture.pcapng import PACKET, index_block
from procwire.capture.pcapng import SOUND as PASSED
from procwire.capture.rows import Rows, batch_of
from procwire.compiled.jit import kernel
from procwire.decode.columns import Decoded
from procwire.decode.frame import Columns, Filling, decode_row, has_room


class WhileRead:
    """Indexes packets for a reader and keeps what it decoded of them until it is asked for."""

    def __init__(self) -> None:
        self._rows: Rows | None = None
        self._filling: Filling | None = None

    def index(
        self, data: NDArray[np.uint8], at: int, form: Any, rows: Rows, used: int
    ) -> tuple[int, int, int, int]:
        """As rows.Index."""
        if self._filling is None or rows is not self._rows:
            self._rows, self._filling = rows, Filling(len(rows.start), False)
        batch, filling = batch_of(data, rows, len(rows.start), 0), self._filling
        decode_from = _index_blocks if isinstance(form, Section) else _index_packets
        full = True
        while full:
            used, at, why, found, full = decode_from(batch, at, form, rows, filling.columns, used)
            if full:
                filling.make_room()
        return used, at, why, found

    def decoded(self, batch: PacketBatch) -> Decoded | None:
        """What was decoded of the batch that was indexed last; None if this is another."""
        rows, filling, self._rows, self._filling = self._rows, self._filling, None, None
        if rows is None or filling is None or batch.start.base is not rows.start:
            return None
        return filling.decoded(len(batch.start))


@kernel
def _index_packets(
    batch: PacketBatch, at: int, form: Form, rows: Rows, columns: Columns, used: int
) -> tuple[int, int, int, int, bool]:
    """As rows.Index, of a pcap file, and whether it ended for want of room. batch: the rows as
    one."""
    data = batch.data
    while used < rows.start.size and at < data.size:
        if not has_room(columns):
            return used, at, SOUND, 0, True
        size, fault, found = index_packet(data, at, form, rows, used)
        if fault != SOUND:
            return used, at, fault, found, False
        decode_row(batch, columns, used)
        used += 1
        at += size
    return used, at, SOUND, 0, False


@kernel
def _index_blocks(
    batch: PacketBatch, at: int, section: Section, rows: Rows, columns: Columns, used: int
) -> tuple[int, int, int, int, bool]:
    """The same of a pcapng file."""
    data = batch.data
    while used < rows.start.size and at < data.size:
        if not has_room(columns):
            return used, at, PASSED, 0, True
        size, state, found = index_block(data, at, section, rows, used)
        if state == PACKET:
            decode_row(batch, columns, used)
            used += 1
        elif state != PASSED:
            return used, at, state, found, False
        at += size
    return used, at, PASSED, 0, False
