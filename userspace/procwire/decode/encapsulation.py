"""Unwraps what lies between a link header and the network layer: LLC/SNAP, PPPoE, MPLS, the network
service header, and what Ethernet is put into on its way through backbones.

Each returns an ethertype and what follows, or CUT where the packet ends before that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.link import (
    ETHERTYPE_ETHERNET,
    ETHERTYPE_FABRIC_PATH,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_NSH,
    ETHERTYPES_MPLS,
    NO_ETHERTYPE,
    ppp_ethertype,
)
from procwire.decode.output import Extent, after, first

CUT = -1

# RFC 1042: LLC for SNAP, with the organisation code of ethertypes.
_SNAP_HEADER = 8
_SNAP, _ETHERTYPES_FOLLOW = 0xAAAA0300, 0x0000

_PPPOE_HEADER, _PPPOE_LENGTH = 6, 4
_PPP_PROTOCOL = 2

_LABEL, _BOTTOM_OF_STACK = 4, 0x100
_LABEL_LIMIT = 16
_LABEL_SHIFT, _IPV4_FOLLOWS, _IPV6_FOLLOWS = 12, 0, 2  # explicit null, RFC 3032 2.1
_CONTROL_WORD = 4

# Cisco FabricPath: the frame inside follows a tree and a time to live. IEEE 802.1ah: it follows the
# number of its service.
_FABRIC_PATH_TAG, _SERVICE_TAG = 2, 4

_NSH_HEADER, _WORD = 8, 4
_NSH_VERSION_SHIFT, _NSH_LENGTH_SHIFT, _NSH_LENGTH = 30, 16, 0x3F
# RFC 8300 section 11.2.5, and VXLAN-GPE (IETF draft), which numbers protocols alike.
_NEXT_IPV4, _NEXT_IPV6, _NEXT_ETHERNET, _NEXT_NSH, _NEXT_MPLS = 1, 2, 3, 4, 5


@fused
def unwrap_llc(data: NDArray[np.uint8], length: int, rest: Extent) -> tuple[int, Extent]:
    """`length`: what an Ethernet header says instead of a type (IEEE 802.3 clause 3.2.6). What is
    no SNAP is returned as it came."""
    if rest.captured < _SNAP_HEADER or length < _SNAP_HEADER or length > rest.length:
        return length, rest
    organisation = u16(data, rest.start + 4, True)
    if u32(data, rest.start, True) != _SNAP or organisation != _ETHERTYPES_FOLLOW:
        return length, rest
    return u16(data, rest.start + 6, True), after(first(rest, length), _SNAP_HEADER)


@fused
def unwrap_pppoe(data: NDArray[np.uint8], rest: Extent) -> tuple[int, Extent]:
    """A PPPoE session (RFC 2516 section 4); its length tells packets from padding."""
    if rest.captured < _PPPOE_HEADER + _PPP_PROTOCOL:
        return CUT, rest
    size = u16(data, rest.start + _PPPOE_LENGTH, True)
    carried = after(rest, _PPPOE_HEADER)
    if _PPP_PROTOCOL <= size <= carried.length:
        carried = first(carried, size)
    return ppp_ethertype(u16(data, carried.start, True)), after(carried, _PPP_PROTOCOL)


@fused
def unwrap_mpls(data: NDArray[np.uint8], rest: Extent) -> tuple[int, Extent]:
    """A stack of labels (RFC 3032); behind it, where the last label does not say what follows, the
    first bits tell IP from the control word of an Ethernet pseudowire (RFC 4385)."""
    bottom, label = 0, 0
    for _ in range(_LABEL_LIMIT):
        if rest.captured <= _LABEL:
            return CUT, rest
        entry = u32(data, rest.start, True)
        bottom, label = entry & _BOTTOM_OF_STACK, entry >> _LABEL_SHIFT
        rest = after(rest, _LABEL)
        if bottom:
            break
    kind = u8(data, rest.start) >> 4
    if bottom and (label == _IPV4_FOLLOWS or (kind == 4 and label != _IPV6_FOLLOWS)):
        return ETHERTYPE_IPV4, rest
    if bottom and (label == _IPV6_FOLLOWS or kind == 6):
        return ETHERTYPE_IPV6, rest
    if bottom and kind == 0 and rest.length > _CONTROL_WORD:
        return ETHERTYPE_ETHERNET, after(rest, _CONTROL_WORD)
    return NO_ETHERTYPE, rest


@fused
def unwrap_backbone(ethertype: int, rest: Extent) -> tuple[int, Extent]:
    """An Ethernet frame behind the tag of FabricPath or of IEEE 802.1ah."""
    size = _FABRIC_PATH_TAG if ethertype == ETHERTYPE_FABRIC_PATH else _SERVICE_TAG
    return (ETHERTYPE_ETHERNET, after(rest, size)) if rest.length >= size else (CUT, rest)


@fused
def unwrap_nsh(data: NDArray[np.uint8], rest: Extent) -> tuple[int, Extent]:
    """A network service header (RFC 8300 section 2), whose length counts words."""
    if rest.captured < _NSH_HEADER:
        return CUT, rest
    base = u32(data, rest.start, True)
    size = (base >> _NSH_LENGTH_SHIFT & _NSH_LENGTH) * _WORD
    if base >> _NSH_VERSION_SHIFT or not _NSH_HEADER <= size <= rest.length:
        return NO_ETHERTYPE, rest
    return next_ethertype(base & 0xFF), after(rest, size)


@fused
def next_ethertype(protocol: int) -> int:
    """The ethertype of what the next protocol of a network service header or of VXLAN-GPE names."""
    if protocol == _NEXT_IPV4:
        return ETHERTYPE_IPV4
    if protocol == _NEXT_IPV6:
        return ETHERTYPE_IPV6
    if protocol == _NEXT_ETHERNET:
        return ETHERTYPE_ETHERNET
    if protocol == _NEXT_NSH:
        return ETHERTYPE_NSH
    return ETHERTYPES_MPLS[0] if protocol == _NEXT_MPLS else NO_ETHERTYPE
