"""Answers that nobody asked for and addresses that change hands: what decode/requests.py and the
flow table (for ICMP errors) observe.

An alert only after the warm-up, on a capture that shows the questions of that kind.
"""

from procwire.rule import observed

observed(
    id="arp.unsolicited_reply",
    sid=9100061,
    title="ARP reply that nobody asked for",
    reference="RFC 826, Packet Reception; RFC 5227",
    tier="B",
    rationale="Hosts that know the address take the new binding from any reply, so an unasked one "
    "is how caches are poisoned.",
)
observed(
    id="arp.ip_mac_flip",
    sid=9100062,
    title="IPv4 address claimed by another link address than before",
    reference="RFC 5227 2.4",
    tier="B",
    severity=2,
    rationale="One change may be a fail-over or a new lease. Two hosts that claim an address in "
    "turn are in conflict, or one of them poisons caches.",
)
observed(
    id="udp.unsolicited_response",
    sid=9100321,
    title="UDP answer of a service that was not asked",
    reference="RFC 1122 4.1; RFC 8085 section 6",
    tier="B",
    rationale="The server side of a flood that is reflected with a forged source, or a probe that "
    "hopes to pass filters as an answer.",
)
observed(
    id="icmp4.unsolicited_echo_reply",
    sid=9100511,
    title="Echo reply to no echo request",
    reference="RFC 1122 3.2.2.6",
    tier="B",
    rationale="Tunnels and implants hide data and commands in replies, which filters let in.",
)
observed(
    id="icmp4.unsolicited_error",
    sid=9100512,
    title="ICMP error about a packet that nobody sent",
    reference="RFC 5927 section 4",
    tier="B",
    rationale="Forged errors reset or slow down connections; backscatter of packets with a forged "
    "source looks the same.",
)
observed(
    id="icmp6.unsolicited_na",
    sid=9100611,
    title="Neighbour advertisement that nobody asked for",
    reference="RFC 4861 7.2.6",
    tier="B",
    rationale="How neighbour caches are poisoned. Who announces its own address to a group, as "
    "after a change or a fail-over, says that it was not solicited: never an alert.",
)
observed(
    id="icmp6.new_ra_source",
    sid=9100612,
    title="Router advertisement from a router not seen before",
    reference="RFC 6104; RFC 6105",
    tier="B",
    severity=2,
    rationale="Every host on the link follows it: a misconfigured machine or a man in the middle.",
)
observed(
    id="dns.unsolicited_response",
    sid=9100841,
    title="DNS response to no query",
    reference="RFC 5452 9.1",
    tier="B",
    rationale="Spoofed answers guess id and port of a query; reflected floods answer queries that "
    "the victim never sent.",
)
observed(
    id="ntp.unsolicited",
    sid=9100842,
    title="NTP answer to no request",
    reference="RFC 5905 section 8; RFC 8633",
    tier="B",
    rationale="An answer returns the timestamp of its request. One that does not is forged or "
    "reflected.",
)
observed(
    id="dhcp.unsolicited_or_rogue",
    sid=9100843,
    title="DHCP answer to no request",
    reference="RFC 2131 3.1",
    tier="B",
    rationale="An answer has the transaction id of its request; a server that answers without one "
    "tries to set addresses, routes or name servers.",
)
observed(
    id="modbus.unsolicited_response",
    sid=9101161,
    title="Modbus response to no request",
    reference="Modbus messaging on TCP/IP V1.0b 3.1.3, 4.2",
    tier="B",
    suricata=("app.modbus.unsolicited_response",),
    rationale="A device only ever answers. A response that nobody asked for is injected, to show "
    "an operator other values than the process has, or its request took another way.",
)
