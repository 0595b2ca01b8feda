"""Which findings are of probes, and who probes: whoever sends such a packet, or is sent the answer
that a host owes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from procwire import layers

if TYPE_CHECKING:
    # Importing it loads numba, which the watch over processes does without.
    from procwire.decode.columns import Packets

PROBES = frozenset(
    (
        "icmp4.unknown_code",
        "icmp6.bad_type_code",
        "ipv4.carries_icmpv6",
        "ipv4.frag_tiny",
        "ipv6.carries_icmpv4",
        "ipv6.exthdr_truncated",
        "l4.port_zero",
        "stream.data_without_ack",
        "stream.fin_no_session",
        "stream.hs_resend_differs",
        "stream.rst_no_session",
        "stream.synack_unsolicited",
        "tcp.flags_null_xmas",
        "tcp.flags_syn_fin",
        "tcp.flags_syn_rst",
    )
)
"""Ids of checks of packets that scanners and those who tell systems apart by their answers send,
and nobody who wants a service. So are findings that are_bare() tells of."""

_SYN, _RST = 0x02, 0x04
# Their types: echo replies, which repeat whatever the request has.
_ECHO_REPLY_4, _ECHO_REPLY_6 = 0, 129


def are_bare(
    packets: Packets, rows: NDArray[np.int32], sizes: NDArray[np.uint16]
) -> NDArray[np.bool_]:
    """Which findings are of a header that its packet announces and does not have: nothing but the
    number of a protocol, for a host to say whether it knows that. sizes: bytes of evidence."""
    nothing = (sizes == 0) & (packets.payload[rows] == 0) & (packets.transport[rows] == 0)
    network = packets.network[rows]
    bare: NDArray[np.bool_] = nothing & ((network == layers.IPV4) | (network == layers.IPV6))
    return bare


def are_answers(packets: Packets, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether each of `rows`, of which each is of a probe, is what a host owes to who probes."""
    transport, kind = packets.transport[rows], packets.src_port[rows]
    flags = packets.tcp_flags[rows]
    answers: NDArray[np.bool_] = (transport == layers.TCP) & (flags & (_SYN | _RST) == _RST)
    answers |= (transport == layers.ICMP4) & (kind == _ECHO_REPLY_4)
    answers |= (transport == layers.ICMP6) & (kind == _ECHO_REPLY_6)
    return answers
