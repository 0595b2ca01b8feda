"""Reads link headers: how long they are, and what they carry, as an ethertype.

The layouts are those of https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.capture import batch as links
from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.output import Extent

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x86DD
ETHERTYPE_PPPOE, ETHERTYPES_MPLS = 0x8864, (0x8847, 0x8848)
ETHERTYPE_FABRIC_PATH, ETHERTYPE_BACKBONE, ETHERTYPE_NSH = 0x8903, 0x88E7, 0x894F
ETHERTYPE_ETHERNET = 0x6558  # RFC 1701: another frame
ETHERNET_HEADER, ETHERNET_TYPE = 14, 12
# Stands for whatever else a link header names that has no ethertype.
NO_ETHERTYPE = 0xFFFF
BARE = 1 << 16
"""Added to an ethertype, the link type of what has no link header: a tunnel named its ethertype."""

# IEEE 802.1Q, 802.1ad, and what came before 802.1ad; Cisco's VN-Tag, IEEE 802.1BR.
_VLANS, _VN_TAG, _E_TAG = (0x8100, 0x88A8, 0x9100), 0x8926, 0x893F
VLAN_TAG, _VN_TAG_SIZE, _E_TAG_SIZE = 4, 6, 8

_SLL_HEADER, _SLL_TYPE = 16, 14
_SLL2_HEADER, _SLL2_TYPE = 20, 0
_CISCO_HEADER, _CISCO_TYPE = 4, 2
_FAMILY_HEADER = 4

# ARPHRD_LOOPBACK of Linux, and where cooked headers have it.
_LOOPBACK, _SLL_DEVICE, _SLL2_DEVICE = 772, 2, 8

_FAMILY_IPV4 = 2
# AF_INET6 of Linux, Windows, NetBSD, FreeBSD and Darwin.
_FAMILIES_IPV6 = (10, 23, 24, 28, 30)

_PPP_IPV4, _PPP_IPV6 = 0x0021, 0x0057
_PPP_ADDRESS_CONTROL = 0xFF03
_CISCO_ADDRESSES = (0x0F, 0x8F)


@fused
def link_header_size(data: NDArray[np.uint8], frame: Extent, link: int) -> int:
    """Bytes before the network layer."""
    if link == links.ETHERNET:
        return ETHERNET_HEADER
    if link == links.LINUX_SLL:
        return _SLL_HEADER
    if link == links.LINUX_SLL2:
        return _SLL2_HEADER
    if link == links.NULL or link == links.LOOP:
        return _FAMILY_HEADER
    if link == links.CISCO_HDLC:
        return _CISCO_HEADER
    if link == links.PPP or link == links.PPP_HDLC:
        if _is_cisco(data, frame):
            return _CISCO_HEADER
        return _ppp_protocol(data, frame) + _ppp_protocol_size(data, frame)
    return 0


@fused
def link_ethertype(data: NDArray[np.uint8], frame: Extent, link: int) -> int:
    """What the link header, all of it captured, says that it carries."""
    if link >= BARE:
        return link - BARE
    if link == links.ETHERNET:
        return u16(data, frame.start + ETHERNET_TYPE, True)
    if link == links.LINUX_SLL:
        return u16(data, frame.start + _SLL_TYPE, True)
    if link == links.LINUX_SLL2:
        return u16(data, frame.start + _SLL2_TYPE, True)
    if link == links.NULL or link == links.LOOP:
        return _family_ethertype(data, frame)
    if link == links.CISCO_HDLC:
        return u16(data, frame.start + _CISCO_TYPE, True)
    if link == links.PPP or link == links.PPP_HDLC:
        return _ppp_ethertype(data, frame)
    if link == links.IPV4:
        return ETHERTYPE_IPV4
    if link == links.IPV6:
        return ETHERTYPE_IPV6
    if link == links.RAW or link == links.RAW_BSD:
        version_6 = frame.captured > 0 and u8(data, frame.start) >> 4 == 6
        return ETHERTYPE_IPV6 if version_6 else ETHERTYPE_IPV4
    return NO_ETHERTYPE


@fused
def tag_size(ethertype: int) -> int:
    """Bytes of the tag that an ethertype stands for, which end with the next one; 0 if for none."""
    if ethertype in _VLANS:
        return VLAN_TAG
    if ethertype == _VN_TAG:
        return _VN_TAG_SIZE
    return _E_TAG_SIZE if ethertype == _E_TAG else 0


@fused
def is_loopback(data: NDArray[np.uint8], frame: Extent, link: int) -> bool:
    """Whether a link header other than Ethernet's, all of it captured, is a loopback device's."""
    if link == links.LINUX_SLL:
        return u16(data, frame.start + _SLL_DEVICE, True) == _LOOPBACK
    if link == links.LINUX_SLL2:
        return u16(data, frame.start + _SLL2_DEVICE, True) == _LOOPBACK
    return link == links.NULL or link == links.LOOP


@fused
def _family_ethertype(data: NDArray[np.uint8], frame: Extent) -> int:
    # In the byte order of the machine that captured; no family is above 255.
    family = u32(data, frame.start, False)
    if family > 0xFFFF:
        family = u32(data, frame.start, True)
    if family == _FAMILY_IPV4:
        return ETHERTYPE_IPV4
    return ETHERTYPE_IPV6 if family in _FAMILIES_IPV6 else NO_ETHERTYPE


@fused
def _ppp_ethertype(data: NDArray[np.uint8], frame: Extent) -> int:
    if _is_cisco(data, frame):
        return u16(data, frame.start + _CISCO_TYPE, True)
    at = frame.start + _ppp_protocol(data, frame)
    compressed = _ppp_protocol_size(data, frame) == 1
    return ppp_ethertype(u8(data, at) if compressed else u16(data, at, True))


@fused
def ppp_ethertype(protocol: int) -> int:
    """The ethertype of what a PPP protocol number stands for."""
    if protocol == _PPP_IPV4:
        return ETHERTYPE_IPV4
    return ETHERTYPE_IPV6 if protocol == _PPP_IPV6 else NO_ETHERTYPE


@fused
def _is_cisco(data: NDArray[np.uint8], frame: Extent) -> bool:
    """Whether a PPP capture holds Cisco HDLC, as serial interfaces also deliver it."""
    return frame.captured > 0 and u8(data, frame.start) in _CISCO_ADDRESSES


@fused
def _ppp_protocol(data: NDArray[np.uint8], frame: Extent) -> int:
    """Where a PPP header names its protocol: address and control may be left out (RFC 1661 6.6)."""
    if frame.captured >= 2 and u16(data, frame.start, True) == _PPP_ADDRESS_CONTROL:
        return 2
    return 0


@fused
def _ppp_protocol_size(data: NDArray[np.uint8], frame: Extent) -> int:
    """One byte where it is odd, for all second bytes are odd and all first ones even (6.5)."""
    at = _ppp_protocol(data, frame)
    return 1 if frame.captured > at and u8(data, frame.start + at) & 1 else 2
