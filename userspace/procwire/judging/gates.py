"""What no rule has to look at: messages that are judged elsewhere, and spans on which no rule of
their layer fires. Nearly all spans are such, and a few comparisons cost less than all rules.

A test holds each gate against the rules, for every value of any two bytes of a header.
"""

from __future__ import annotations

from procwire import layers
from procwire.compiled.jit import fused
from procwire.decode.columns import Spans
from procwire.words import Span, bits, captured, u8, u16, u32

_IPV4_PLAIN = 0x45  # the version, and a header without options
_ASSIGNED, _ICMP6 = 147, 58
_LOOPBACK, _MULTICAST = 127, 224
_SYN_AND_ACK, _ACK = 0x12, 0x10
_WORDS_PLAIN, _WORDS_WITH_TIMES = 5, 8
# Two of no operation, then time stamps (RFC 7323 appendix A): the options of most segments.
_TIMES = 0x0101080A


@fused
def is_in_segment(spans: Spans, row: int) -> bool:
    """Whether a span is a message that was found in a TCP segment."""
    if spans.layer[row] < layers.DNS:
        return False
    outer = spans.outer[row]
    return bool(outer >= 0 and spans.layer[outer] == layers.TCP)


@fused
def ipv4_is_plain(p: Span) -> bool:
    """A header without options of a whole datagram, which may go on, carries a protocol that has a
    number, and goes from a host to another."""
    if captured(p) < 20 or u8(p, 0) != _IPV4_PLAIN or u16(p, 6) & 0xBFFF:
        return False
    if u8(p, 8) == 0 or u8(p, 9) > _ASSIGNED or u8(p, 9) == _ICMP6:
        return False
    network = u8(p, 12)
    if network == 0 or network == _LOOPBACK or network >= _MULTICAST:
        return False
    return u32(p, 12) != u32(p, 16)


@fused
def tcp_is_plain(p: Span) -> bool:
    """A segment between two ports that acknowledges and opens nothing, without options but the
    usual."""
    if captured(p) < 20 or u16(p, 0) == 0 or u16(p, 2) == 0:
        return False
    if u8(p, 13) & _SYN_AND_ACK != _ACK:
        return False
    words = bits(u8(p, 12), 4, 4)
    return words == _WORDS_PLAIN or (words == _WORDS_WITH_TIMES and u32(p, 20) == _TIMES)


@fused
def udp_is_plain(p: Span) -> bool:
    """A datagram between two ports that has a checksum."""
    return captured(p) >= 8 and u16(p, 0) != 0 and u16(p, 2) != 0 and u16(p, 6) != 0


PLAIN = {"ipv4": ipv4_is_plain, "tcp": tcp_is_plain, "udp": udp_is_plain}
"""By layer, whether none of its rules fires on a span."""
