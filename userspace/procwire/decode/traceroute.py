"""Datagrams that count the routers on a path: what they ask is no port.

Who traces a path counts up through ports where nobody listens, one a datagram, with few hops to go:
traceroute through those of IANA, three for each of 30 hops, mtr from 33000 for as long as it runs,
tracepath from 44444. A host that wants to be answered starts from a hop limit of at least 64, yet a
scanner may lower its own: so of each host one port counts, and who tries many hosts sweeps them.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.decode.columns import Packets
from procwire.decode.contact_table import ENDED, Table, enter, entry_hash, find

_FIRST, _HOPS = 33000, 32
_TRACEROUTE_FIRST, _TRACEROUTE_END = 33434, 33534


@fused
def traces_a_path(table: Table, packets: Packets, row: int) -> bool:
    """Whether the datagram of packet `row`, of the flow and at the time of table.wanted, is one of
    many to a host; outside of traceroute's ports the first is none yet."""
    port = packets.dst_port[row]
    if port < _FIRST or packets.ttl[row] >= _HOPS:
        return False
    return _TRACEROUTE_FIRST <= port < _TRACEROUTE_END or _is_traced(table)


@fused
def _is_traced(table: Table) -> bool:
    """Whether the source of table.wanted was seen to trace the path to its destination. That is
    remembered as an attempt that has ended, of ports that nobody uses."""
    wanted = table.wanted[0]
    source_port, port = wanted.src_port, wanted.dst_port
    wanted.src_port = wanted.dst_port = 0
    flow = entry_hash(wanted)
    is_known = bool(find(table, wanted, flow) >= 0)
    if not is_known:
        wanted.state = ENDED
        enter(table, wanted, flow)
    wanted.src_port, wanted.dst_port = source_port, port
    return is_known
