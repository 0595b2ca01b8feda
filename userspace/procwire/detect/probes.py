"""Which findings are of probes, and who probes: whoever sends such a packet, or is sent the answer
that a host owes to it."""

from __future__ import annotations

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
        "tls.heartbeat_abuse",
        "tls.sslv2",
    )
)
"""Ids of checks of packets that scanners and those who tell systems apart by their answers send,
and nobody who wants a service. So are findings of headers that are announced and not there (see
folding.py)."""
