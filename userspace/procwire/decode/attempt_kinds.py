"""Which segments and datagrams of unknown flows ask: the kinds of attempts that they are."""

from __future__ import annotations

import numpy as np

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import fused
from procwire.decode.columns import Decoded, Packets, span_at
from procwire.decode.contact_table import Table
from procwire.decode.datagram_roles import answers, goes_on, zone_asked
from procwire.decode.traceroute import traces_a_path
from procwire.decode.unseen_answers import note_question, note_stream
from procwire.record import FIRST_DYNAMIC_PORT, Attempt

_FIN, _PSH, _ACK, _URG = 0x01, 0x08, 0x10, 0x20
_FLAGS = 0x3F
_DATAGRAM = int(Attempt.DATAGRAM)

# The kind of attempt that a segment without SYN and RST is by its flags, or -1.
_PROBES = np.full(_FLAGS + 1, -1, np.int8)
_PROBES[0] = Attempt.NULL
_PROBES[_FIN] = Attempt.FIN
_PROBES[_FIN | _PSH | _URG] = Attempt.XMAS
_PROBES[_FIN | _ACK] = Attempt.MAIMON
_PROBES[_ACK] = Attempt.ACK

# RFC 6335 section 6: system ports are where services answer, and so are user ports; dynamic ones
# are where clients ask from.
_USER_PORTS = 1024


@fused
def probe(packets: Packets, row: int) -> int:
    """The kind of attempt that a segment outside of any known flow is, or -1. What acknowledges on
    the way from a service to a client is of a connection older than the capture."""
    follows = packets.payload[row] > 0 or _is_to_client(packets, row)
    if follows and packets.tcp_flags[row] & _ACK:
        return -1
    return int(np.int64(_PROBES[packets.tcp_flags[row] & _FLAGS]))


@fused
def _is_to_client(packets: Packets, row: int) -> bool:
    return bool(packets.src_port[row] < FIRST_DYNAMIC_PORT <= packets.dst_port[row])


@fused
def datagram(table: Table, batch: PacketBatch, decoded: Decoded, row: int) -> int:
    """The first datagram of a flow asks, unless it comes from a service to a client, says that it
    answers or goes on with something, or counts the routers on a path."""
    packets = decoded.packets
    if packets.src_port[row] < _USER_PORTS <= packets.dst_port[row] or _is_to_client(packets, row):
        return -1
    said = span_at(batch.data, decoded.spans, int(decoded.span[row]))
    if answers(said, packets, row) or goes_on(said, packets, row):
        note_stream(table.answers, packets.src_hi[row], packets.src_lo[row])
        return -1
    if traces_a_path(table, packets, row):
        return -1
    zone = zone_asked(said, packets, row)
    if zone >= 0:
        note_question(table.answers, packets.src_hi[row], packets.src_lo[row], zone)
    return _DATAGRAM
