"""TCP connections (RFC 9293): what decode/tcp_state.py and tcp_handshake.py observe over the
segments of a flow.

Named after its observations. Tier B is an alert only where the flow was seen from its SYN, or as a
stray on a capture that has warmed up, sees both directions and does not drop.
"""

from procwire.rule import observed

observed(
    id="stream.synack_unsolicited",
    sid=9100451,
    title="SYN-ACK that answers no SYN",
    reference="RFC 9293 3.5.1",
    tier="B",
    suricata=(
        "stream.3whs_synack_in_wrong_direction",
        "stream.3whs_synack_toserver_on_syn_recv",
        "stream.est_synack_toserver",
    ),
    zeek=("unsolicited_SYN_response", "connection_originator_SYN_ack"),
    rationale="Backscatter of a flood with forged sources, a scan that hopes to pass stateless "
    "filters, or a capture that sees one direction.",
)
observed(
    id="stream.rst_no_session",
    sid=9100452,
    title="Reset of a connection that was not seen",
    reference="RFC 9293 3.5.2",
    tier="B",
    severity=4,
    suricata=("stream.rst_but_no_session",),
    zeek=("spontaneous_RST",),
    rationale="Resets that nobody provoked map hosts behind filters; alone, they end a connection "
    "older than the capture.",
)
observed(
    id="stream.fin_no_session",
    sid=9100453,
    title="FIN of a connection that was not seen",
    reference="RFC 9293 3.10.7.1",
    tier="B",
    severity=4,
    suricata=("stream.fin_but_no_session",),
    zeek=("spontaneous_FIN",),
    rationale="A closed port answers a FIN with a reset and an open one is silent, which scanners "
    "use; alone, it ends a connection older than the capture.",
)
observed(
    id="stream.data_no_session",
    sid=9100454,
    title="Data of a connection that was not seen",
    reference="RFC 9293 3.10.7.1",
    tier="B",
    severity=4,
    zeek=("data_before_established", "possible_split_routing"),
    rationale="Data outside of a connection is answered by a reset. Often the connection is older "
    "than the capture.",
)
observed(
    id="stream.hs_wrong_seq_ack",
    sid=9100455,
    title="Handshake with a wrong sequence or acknowledgement number",
    reference="RFC 9293 3.5",
    tier="B",
    suricata=(
        "stream.3whs_wrong_seq_wrong_ack",
        "stream.3whs_synack_with_wrong_ack",
        "stream.3whs_right_seq_wrong_ack_evasion",
        "stream.4whs_wrong_seq",
        "stream.4whs_invalid_ack",
        "stream.4whs_synack_with_wrong_ack",
        "stream.4whs_synack_with_wrong_syn",
    ),
    zeek=("bad_SYN_ack",),
    rationale="An end ignores it, a monitor may take it for the handshake and follow the wrong "
    "stream: injection, or evasion. Data on a SYN counts only with fast open (RFC 7413).",
)
observed(
    id="stream.hs_resend_differs",
    sid=9100456,
    title="SYN or SYN-ACK sent again with other numbers",
    reference="RFC 9293 3.4",
    tier="B",
    suricata=(
        "stream.3whs_syn_resend_diff_seq_on_syn_recv",
        "stream.3whs_synack_resend_with_diff_seq",
        "stream.3whs_synack_resend_with_diff_ack",
    ),
    zeek=("SYN_seq_jump", "repeated_SYN_with_ack", "repeated_SYN_reply_wo_ack"),
    rationale="A retransmission repeats its numbers. Two answers to one SYN mean that one of them "
    "is forged.",
)
observed(
    id="stream.syn_in_established",
    sid=9100457,
    title="SYN inside an established connection",
    reference="RFC 5961 section 4",
    tier="B",
    suricata=(
        "stream.est_syn_resend",
        "stream.est_syn_resend_diff_seq",
        "stream.est_syn_toclient",
        "stream.est_synack_resend",
        "stream.est_synack_resend_with_diff_ack",
        "stream.est_synack_resend_with_diff_seq",
        "stream.shutdown_syn_resend",
    ),
    zeek=("SYN_inside_connection", "active_connection_reuse", "premature_connection_reuse"),
    rationale="Before RFC 5961, hosts reset the connection then. A host that lost its state in a "
    "crash sends one as well.",
)
observed(
    id="stream.rst_injection",
    sid=9100458,
    title="Connection goes on after its sender's reset",
    reference="RFC 5961 section 3",
    tier="B",
    severity=2,
    suricata=("stream.suspected_rst_inject",),
    zeek=("data_after_reset",),
    rationale="Who resets a connection forgets it. If it goes on, the reset was someone else's: "
    "censorship, an attack, or an attempt to blind a monitor.",
)
observed(
    id="stream.overlap_differs",
    sid=9100459,
    title="Retransmitted bytes differ from those sent before",
    reference="RFC 9293 3.10.7.4; Ptacek and Newsham 1998",
    tier="B",
    severity=2,
    suricata=("stream.reassembly_overlap_different_data",),
    zeek=("rexmit_inconsistency",),
    rationale="Which of the two the receiver keeps depends on its system, so a monitor may read "
    "what the receiver does not.",
)
observed(
    id="stream.data_without_ack",
    sid=9100465,
    title="TCP segment with data and neither SYN, RST nor ACK",
    reference="RFC 9293 3.10.7.4",
    tier="B",
    analytics=("AN1949", "AN1962", "AN1999"),
    rationale="Both ends drop it, so a monitor that takes its data in sees another conversation "
    "than they do. Sent to many ports it is a scan, which counts as one of NULL segments.",
)
observed(
    id="stream.retransmit",
    sid=9100460,
    title="Bytes sent again",
    reference="RFC 9293 3.8.1",
    tier="C",
    severity=4,
    suricata=("stream.pkt_retransmission", "stream.pkt_spurious_retransmission"),
    rationale="A measure of the network's health and of the capture's.",
)
observed(
    id="stream.gap",
    sid=9100461,
    title="Bytes missing from the capture, or late",
    reference="RFC 9293 3.4",
    tier="C",
    severity=4,
    suricata=("stream.reassembly_seq_gap",),
    zeek=("above_hole_data_without_any_acks",),
    rationale="A measure of the capture's health: where much is missing, no context holds.",
)
observed(
    id="stream.out_of_window",
    sid=9100462,
    title="Segment further away than any window",
    reference="RFC 9293 3.4; RFC 7323 2.3",
    tier="C",
    severity=4,
    suricata=("stream.est_packet_out_of_window",),
    zeek=("TCP_seq_underflow_or_misorder",),
    rationale="Most come from asymmetric routing and lossy captures.",
)
observed(
    id="stream.invalid_ack",
    sid=9100463,
    title="Acknowledgement of what cannot have been sent",
    reference="RFC 5961 section 5",
    tier="C",
    severity=4,
    suricata=("stream.est_invalid_ack", "stream.pkt_invalid_ack"),
    zeek=("TCP_ack_underflow_or_misorder",),
    rationale="Most come from asymmetric routing and lossy captures.",
)
observed(
    id="stream.simultaneous_open",
    sid=9100464,
    title="Both ends open the connection at once",
    reference="RFC 9293 3.5",
    tier="C",
    severity=4,
    zeek=("simultaneous_open",),
    rationale="Legal; peer-to-peer programs do it to pass address translation.",
)
observed(
    id="stream.close_wrong_seq",
    sid=9100466,
    title="FIN that does not follow what its sender sent",
    reference="RFC 9293 3.6",
    tier="C",
    severity=4,
    suricata=(
        "stream.closewait_fin_wrong_seq",
        "stream.closing_ack_wrong_seq",
        "stream.lastack_ack_wrong_seq",
        "stream.timewait_ack_wrong_seq",
    ),
    zeek=("FIN_advanced_last_seq",),
    rationale="Segments before it were lost to the capture, or it was not sent by the sender.",
)
observed(
    id="stream.bad_window",
    sid=9100468,
    title="Receive window taken back",
    reference="RFC 9293 3.8.6",
    tier="C",
    severity=4,
    suricata=("stream.pkt_bad_window_update",),
    zeek=("window_recision",),
    rationale="What was offered should stay so; some systems short of memory take it back, as do "
    "middleboxes that slow a connection down.",
)
observed(
    id="app.one_sided_or_wrong_dir",
    sid=9100467,
    title="Connection of which one direction was seen",
    reference="RFC 9293 3.3.2",
    tier="C",
    severity=4,
    suricata=("app.applayer_detect_protocol_only_one_direction",),
    rationale="The other direction takes a way that the capture does not see.",
)
