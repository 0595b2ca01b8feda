"""The layers a packet is decoded into. A rule names the layers whose spans it sees.

A *span* is the bytes of one layer, from its first header byte to the end of what that layer
carries. A layer whose fixed header contradicts itself or its surroundings is decoded no further;
its span belongs to the layer's malformed twin, so that rules about broken headers cost nothing on
intact packets, and rules about fields never read a header that is none.

What decoding and rules have to know alike of a layer's messages stands here, too.
"""

ETHERNET = 1
VLAN = 2
ARP = 3
IPV4 = 4
ICMP4 = 5
IPV6 = 6
ICMP6 = 7
TCP = 8
UDP = 9
MALFORMED = 16  # added to a layer's number
IPV4_MALFORMED = IPV4 + MALFORMED
ICMP4_MALFORMED = ICMP4 + MALFORMED
IPV6_MALFORMED = IPV6 + MALFORMED
ICMP6_MALFORMED = ICMP6 + MALFORMED
TCP_MALFORMED = TCP + MALFORMED
UDP_MALFORMED = UDP + MALFORMED
GRE = 32
SCTP = 33
IGMP = 34
INNER_IP_MALFORMED = 35  # beside the malformed span of an IP header inside a tunnel
LOOPBACK = 36  # the link header, without Ethernet's, of a packet that did not leave its host
DNS = 40
NTP = 41
DHCP = 42
SNMP = 43
MODBUS = 44
DNP3 = 45
HTTP1 = 46
TLS = 47
SSH = 48
SMB = 49
SMTP = 50
HTTP1_CHUNK = 51  # the line with the size of a chunk, of a body read from its stream
SSH_PACKET = 52  # a packet before encryption, of a connection read from its stream
HTTP1_TRAILER = 53  # the fields behind the last chunk of a body read from its stream

LAYER_NAMES = {
    ETHERNET: "ethernet",
    VLAN: "vlan",
    ARP: "arp",
    IPV4: "ipv4",
    ICMP4: "icmp4",
    IPV6: "ipv6",
    ICMP6: "icmp6",
    TCP: "tcp",
    UDP: "udp",
    IPV4_MALFORMED: "ipv4_malformed",
    ICMP4_MALFORMED: "icmp4_malformed",
    IPV6_MALFORMED: "ipv6_malformed",
    ICMP6_MALFORMED: "icmp6_malformed",
    TCP_MALFORMED: "tcp_malformed",
    UDP_MALFORMED: "udp_malformed",
    GRE: "gre",
    SCTP: "sctp",
    IGMP: "igmp",
    INNER_IP_MALFORMED: "inner_ip_malformed",
    LOOPBACK: "loopback",
    DNS: "dns",
    NTP: "ntp",
    DHCP: "dhcp",
    SNMP: "snmp",
    MODBUS: "modbus",
    DNP3: "dnp3",
    HTTP1: "http1",
    TLS: "tls",
    SSH: "ssh",
    SMB: "smb",
    SMTP: "smtp",
    HTTP1_CHUNK: "http1_chunk",
    SSH_PACKET: "ssh_packet",
    HTTP1_TRAILER: "http1_trailer",
}
LAYER_NUMBERS = {name: number for number, name in LAYER_NAMES.items()}

# IANA, Service Name and Transport Protocol Port Number Registry, and what is usual beside it.
HTTP_PORTS = (80, 8000, 8008, 8080, 8081, 8888)  # http, http-alt and their neighbours
MAIL_PORTS = (25, 465, 587, 2525)  # smtp, submissions, submission, and where 25 is blocked
# The port of either end -> the layer that is looked for behind UDP, and behind TCP.
UDP_PORTS = {
    53: DNS,
    5353: DNS,
    123: NTP,
    67: DHCP,
    68: DHCP,
    161: SNMP,
    162: SNMP,
    20000: DNP3,
}
TCP_PORTS = {53: DNS, 502: MODBUS, 20000: DNP3, **dict.fromkeys(MAIL_PORTS, SMTP)}
# Modbus messaging on TCP/IP V1.0b 3.1.3: the header with the function behind it, the bytes before
# those that its length counts, and how many it may count: the unit and up to 253 more.
MODBUS_HEADER, MODBUS_COUNTED_FROM = 8, 6
MODBUS_FEWEST, MODBUS_MOST = 2, 254
MODBUS_LENGTHS = 1024  # what has a length from here on behind two zeros is another protocol's
# RFC 8446 5.1, RFC 6520: a record's header, types and versions; RFC 5246 6.2.3: the most that it
# holds. RFC 8446 4.1.2: all versions from 3.0 on have one major number.
TLS_HEADER = 5
TLS_CHANGE_CIPHER_SPEC, TLS_ALERT, TLS_HANDSHAKE, TLS_DATA, TLS_HEARTBEAT = 20, 21, 22, 23, 24
TLS_FIRST_TYPE, TLS_LAST_TYPE = TLS_CHANGE_CIPHER_SPEC, TLS_HEARTBEAT
TLS_MAJOR, TLS_LAST_MINOR = 3, 4
TLS_LARGEST = 2**14 + 2048
TLS_CLIENT_HELLO, TLS_SERVER_HELLO = 1, 2
SSL_2 = 0x8000  # set in the length with which a message of SSL 2.0 begins
