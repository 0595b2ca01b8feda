"""Wrong checksums, which decode/checksum.py finds: counters, for where a network card fills them
in, all that its host sends has wrong ones in a capture made there."""

from procwire.rule import observed

RATIONALE = """Receivers discard the packet. A capture made on the sender shows wrong ones wherever
the network card computes them, an anonymised one wherever addresses were rewritten."""

IPV4 = observed(
    id="ipv4.bad_checksum",
    sid=9100131,
    title="IPv4 header checksum is wrong",
    reference="RFC 1122 3.2.1.2",
    tier="C",
    severity=4,
    suricata=("csum.ipv4",),
    zeek=("bad_IP_checksum",),
    rationale=RATIONALE,
)
ICMP4 = observed(
    id="icmp4.bad_checksum",
    sid=9100521,
    title="ICMP checksum is wrong",
    reference="RFC 792",
    tier="C",
    severity=4,
    suricata=("csum.icmpv4",),
    zeek=("bad_ICMP_checksum",),
    rationale=RATIONALE,
)
ICMP6 = observed(
    id="icmp6.bad_checksum",
    sid=9100621,
    title="ICMPv6 checksum is wrong",
    reference="RFC 4443 2.3",
    tier="C",
    severity=4,
    suricata=("csum.icmpv6",),
    zeek=("bad_ICMP_checksum",),
    rationale=RATIONALE,
)
TCP = observed(
    id="tcp.bad_checksum",
    sid=9100431,
    title="TCP checksum is wrong",
    reference="RFC 9293 3.1",
    tier="C",
    severity=4,
    suricata=("csum.tcpv4", "csum.tcpv6"),
    zeek=("bad_TCP_checksum",),
    rationale=RATIONALE,
)
UDP = observed(
    id="udp.bad_checksum",
    sid=9100331,
    title="UDP checksum is wrong",
    reference="RFC 768",
    tier="C",
    severity=4,
    suricata=("csum.udpv4", "csum.udpv6"),
    zeek=("bad_UDP_checksum",),
    rationale=RATIONALE,
)
ALONE = observed(
    id="ip.checksum_alone",
    sid=9100141,
    title="Wrong checksum from a source whose checksums are right",
    reference="RFC 1122 3.2.1.2, 4.1.3.4, 4.2.2.7",
    tier="B",
    severity=4,
    rationale="""Of this source and protocol at least 1024 checksums were right, and not one in
    1024 was wrong, so no network card fills them in behind the capture. The packet was damaged on
    the way, or sent for a monitor to see and for its receiver to discard.""",
)
