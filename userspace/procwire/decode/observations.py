"""What is observed over several packets: one bit of a mask for each check, by the check's id."""

from __future__ import annotations

OBSERVATIONS = (
    "stream.synack_unsolicited",
    "stream.rst_no_session",
    "stream.fin_no_session",
    "stream.data_no_session",
    "stream.hs_wrong_seq_ack",
    "stream.hs_resend_differs",
    "stream.syn_in_established",
    "stream.rst_injection",
    "stream.overlap_differs",
    "stream.retransmit",
    "stream.gap",
    "stream.out_of_window",
    "stream.invalid_ack",
    "stream.simultaneous_open",
    "stream.data_without_ack",
    "arp.unsolicited_reply",
    "arp.ip_mac_flip",
    "icmp4.unsolicited_echo_reply",
    "icmp4.unsolicited_error",
    "icmp6.unsolicited_na",
    "icmp6.new_ra_source",
    "udp.unsolicited_response",
    "dns.unsolicited_response",
    "ntp.unsolicited",
    "dhcp.unsolicited_or_rogue",
    "modbus.unsolicited_response",
    "app.protocol_mismatch",
    "ssh.banner_bad",
)
"""The checks, from the lowest bit on."""

(
    SYNACK_UNSOLICITED,
    RST_NO_SESSION,
    FIN_NO_SESSION,
    DATA_NO_SESSION,
    HS_WRONG_SEQ_ACK,
    HS_RESEND_DIFFERS,
    SYN_IN_ESTABLISHED,
    RST_INJECTION,
    OVERLAP_DIFFERS,
    RETRANSMIT,
    GAP,
    OUT_OF_WINDOW,
    INVALID_ACK,
    SIMULTANEOUS_OPEN,
    DATA_WITHOUT_ACK,
    ARP_UNSOLICITED_REPLY,
    ARP_IP_MAC_FLIP,
    UNSOLICITED_ECHO_REPLY,
    UNSOLICITED_ERROR,
    UNSOLICITED_ADVERTISEMENT,
    NEW_ROUTER,
    UNSOLICITED_DATAGRAM,
    UNSOLICITED_DNS,
    UNSOLICITED_NTP,
    UNSOLICITED_DHCP,
    UNSOLICITED_MODBUS,
    PROTOCOL_MISMATCH,
    NO_SSH_IDENTIFICATION,
) = (1 << _bit for _bit in range(len(OBSERVATIONS)))

REPEATED = 1 << len(OBSERVATIONS)
"""Beside another bit: the packet repeats an earlier one, which is evidence of nothing."""
