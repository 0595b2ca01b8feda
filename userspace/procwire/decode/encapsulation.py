"""Unwraps what lies between a link header and the network layer: LLC/SNAP, PPPoE and MPLS.

Each returns an ethertype and what follows, or CUT where the packet ends before that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.link import ETHERTYPE_IPV4, ETHERTYPE_IPV6, NO_ETHERTYPE, ppp_ethertype
from procwire.decode.output import Extent, after, first

CUT, PSEUDOWIRE = -1, -2

# RFC 1042: LLC for SNAP, with the organisation code of ethertypes.
_SNAP_HEADER = 8
_SNAP, _ETHERTYPES_FOLLOW = 0xAAAA0300, 0x0000

_PPPOE_HEADER, _PPPOE_LENGTH = 6, 4
_PPP_PROTOCOL = 2

_LABEL, _BOTTOM_OF_STACK = 4, 0x100
_LABEL_LIMIT = 16
_LABEL_SHIFT, _IPV4_FOLLOWS, _IPV6_FOLLOWS = 12, 0, 2  # explicit null, RFC 3032 2.1
_CONTROL_WORD = 4


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
        return PSEUDOWIRE, after(rest, _CONTROL_WORD)
    return NO_ETHERTYPE, rest
