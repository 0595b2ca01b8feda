"""The layers a packet is decoded into. A layer's name is also the name of the file its rules live
in.

A rule sees one *span*: the bytes of one layer, from its first header byte to the end of what that
layer carries.
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
}
LAYER_NUMBERS = {name: number for number, name in LAYER_NAMES.items()}
