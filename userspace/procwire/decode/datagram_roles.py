"""What a datagram says of itself: that it answers, that it goes on with what was agreed before, or
about which zone of DNS it asks.

Where both ends of a protocol use the same port, or a client is behind an address translation, ports
do not tell who asks; the message does. Who answers, or has agreed on keys, looks for nobody.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.decode.columns import Packets
from procwire.words import Span, bits, captured, u8, u32, u32_little

_MESSAGE = 8  # behind the header of UDP
_PORT_DNS, _PORT_DHCP, _PORT_NTP, _PORT_SIP = 53, 67, 123, 5060
_PORTS_NAMES, _PORTS_RADIUS = (_PORT_DNS, 137, 5353), (1812, 1813)  # of NetBIOS, multicast
_PORT_DHCP6, _PORTS_DHCP6 = 547, (546, 547)
_BOOTREPLY = 2  # RFC 2131 section 2
_NTP_ANSWERS = (2, 4)  # RFC 5905 7.3: symmetric passive, server
_DHCP6_ANSWERS = (2, 7, 10, 13)  # RFC 8415 7.3: advertise, reply, reconfigure, relayed reply
_RADIUS_ANSWERS = (2, 3, 5, 11)  # RFC 2865 section 3, RFC 2866 section 3
_SIP, _VERSION_2 = int.from_bytes(b"SIP/", "big"), int.from_bytes(b"2.0 ", "big")  # RFC 3261 7.2

_PORT_QUIC, _PORT_WIREGUARD, _PORT_IKE, _PORT_ESP = 443, 51820, 500, 4500
_QUIC_SHORT, _QUIC_LEAST = 1, 21  # RFC 9000 17.3: the first two bits; 10.3
_WIREGUARD = (2, 4)  # Donenfeld 2017 5.4: from the response to data
_RESPONDER = _MESSAGE + 8

_NAME = _MESSAGE + 12
_MOST_LABELS, _SMALL_LETTER, _SMALL_LETTERS = 128, 0x20, 0x20202020
_ARPA = int.from_bytes(b"arpa", "big")
_START, _PRIME, _NUMBERS = 0x811C9DC5, 0x01000193, (1 << 32) - 1


@fused
def answers(p: Span, packets: Packets, row: int) -> bool:
    """Whether the datagram `p`, of packet `row`, is an answer by its port and by what it says."""
    port, peer = int(packets.src_port[row]), int(packets.dst_port[row])
    if port in _PORTS_NAMES:
        return peer == port and u8(p, _MESSAGE + 2) & 0x80 != 0
    if port == _PORT_NTP:
        return peer == port and bits(u8(p, _MESSAGE), 0, 3) in _NTP_ANSWERS
    if port == _PORT_DHCP:
        return u8(p, _MESSAGE) == _BOOTREPLY
    if port == _PORT_DHCP6:
        return peer in _PORTS_DHCP6 and u8(p, _MESSAGE) in _DHCP6_ANSWERS
    if port in _PORTS_RADIUS:
        return u8(p, _MESSAGE) in _RADIUS_ANSWERS
    if port == _PORT_SIP:
        return u32(p, _MESSAGE) == _SIP and u32(p, _MESSAGE + 4) == _VERSION_2
    return False


@fused
def goes_on(p: Span, packets: Packets, row: int) -> bool:
    """Whether only who was answered sends the datagram `p`, of packet `row`: what QUIC, WireGuard
    and IPsec protect with keys on which both ends agreed (RFC 9001 4.1.1, RFC 3948 2.1), and an
    exchange of keys with the responder's name (RFC 7296 3.1)."""
    port = int(packets.dst_port[row])
    if port == _PORT_QUIC:
        is_short = bits(u8(p, _MESSAGE), 6, 2) == _QUIC_SHORT
        return is_short and packets.payload[row] >= _QUIC_LEAST
    if port == _PORT_WIREGUARD:
        return _WIREGUARD[0] <= u32_little(p, _MESSAGE) <= _WIREGUARD[1]
    if port == _PORT_IKE:
        return u32(p, _RESPONDER) + u32(p, _RESPONDER + 4) > 0
    return port == _PORT_ESP and u32(p, _MESSAGE) > 0


@fused
def zone_asked(p: Span, packets: Packets, row: int) -> int:
    """A hash of the zone, as far as a name tells it, about which the datagram `p` asks a name
    server; -1 if it asks none. Two labels are a zone; of the name of an address (RFC 3172) all."""
    if packets.dst_port[row] != _PORT_DNS or u8(p, _MESSAGE + 2) & 0x80:
        return -1
    at, label, second, last = _NAME, 0, _NAME, _NAME
    while u8(p, at) and label < _MOST_LABELS:
        second, last = last, at
        at += 1 + u8(p, at)
        label += 1
    is_address = u8(p, last) == 4 and u32(p, last + 1) | _SMALL_LETTERS == _ARPA
    hashed = _START
    for place in range(_NAME if is_address else second, min(at, captured(p))):
        # Some resolvers draw which letters are large.
        hashed = (hashed ^ (u8(p, place) | _SMALL_LETTER)) * _PRIME & _NUMBERS
    return hashed
