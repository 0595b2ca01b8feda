"""Twin of decode/flow.py: a dictionary of conversations that forgets nothing, each a table of one
slot on which the state functions run as plain Python."""

from __future__ import annotations

import numpy as np
from procwire import layers
from procwire.decode import tcp_state
from procwire.decode.flow_table import (
    DATAGRAMS,
    END,
    FLOW,
    FlowTable,
    begin,
    is_over,
)
from procwire.decode.observations import REPEATED, RST_NO_SESSION
from procwire.decode.proofs import PROOF
from procwire.decode.tcp_segment import RST, Segment


def _conversation():
    """A table of one slot whose records have attributes in Python, too."""
    return FlowTable(
        np.zeros(1, FLOW).view(np.recarray),
        np.zeros((1, 2), END).view(np.recarray),
        np.zeros(1, np.int64),
        np.zeros(1, PROOF).view(np.recarray),
    )


def follow(packets):
    """packets: (time, transport, source, source port, destination, destination port, flags, seq,
    ack, payload) in order. Yields (name of the flow or None, sender, observed) of each."""
    flows, order = {}, 0
    for time, transport, src, sport, dst, dport, flags, seq, ack, payload in packets:
        ends = sorted([(src, sport), (dst, dport)])
        sender = ends.index((src, sport))
        key = transport, *ends
        if transport == layers.TCP and key not in flows and flags & RST:
            yield None, 0, RST_NO_SESSION
            continue
        segment = Segment(flags, seq, ack, payload, sender, False, time, 0, 0)
        if key not in flows or is_over(flows[key][1].flows[0], time):
            tcp = transport == layers.TCP
            state = tcp_state.opening_state(flags) if tcp else DATAGRAMS
            name = flows[key][0] if key in flows else order
            order += key not in flows
            flows[key] = name, _conversation()
            begin(flows[key][1], 0, state, sender, time)
        name, table = flows[key]
        seen = tcp_state.on_segment(table, 0, segment) if transport == layers.TCP else 0
        flow, end = table.flows[0], table.ends[0, sender]
        flow.last = max(flow.last, time)
        end.packets += 1
        end.bytes += payload
        yield name, sender ^ int(flow.origin), seen & ~REPEATED
