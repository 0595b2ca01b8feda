"""Finds the packet inside a tunnel: GRE (RFC 2784, 2890, 2637), VXLAN (RFC 7348), Geneve (RFC 8926)
and Teredo (RFC 4380). any_frame.py decodes it next, as a packet of its link type.

A UDP port proves nothing, so the tunnel's own header has to be right, too; else the datagram is an
ordinary one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.fields import u8, u16, u32
from procwire.compiled.jit import fused
from procwire.decode.output import (
    NOT_SKIPPED,
    SNAPPED,
    UNKNOWN_PROTOCOL,
    Extent,
    Output,
    after,
    carry,
    emit,
)

_ETHERTYPE_IPV4, _ETHERTYPE_IPV6, _ETHERTYPE_ETHERNET, _ETHERTYPE_PPP = (
    0x0800,
    0x86DD,
    0x6558,
    0x880B,
)
_NO_LINK = -1

_GRE_HEADER = 4
_GRE_CHECKSUM, _GRE_ROUTING, _GRE_KEY, _GRE_SEQUENCE = 0x8000, 0x4000, 0x2000, 0x1000
_GRE_ACKNOWLEDGEMENT, _GRE_VERSION = 0x0080, 0x0007

_UDP_HEADER = 8
TUNNEL_PORTS = _VXLAN_PORT, _GENEVE_PORT, _TEREDO_PORT = 4789, 6081, 3544
"""Of UDP, behind which packets are looked for."""
# RFC 7348 section 5; VXLAN-GPE (IETF draft), which says that Ethernet follows; VXLAN Group Policy
# (IETF draft), with the sender's group and two bits on it.
_VXLAN_HEADER, _VXLAN_NETWORK, _VXLAN_ETHERNET = 8, 0x08000000, 0x0C000003
_VXLAN_GROUP, _VXLAN_OF_GROUP = 0x88000000, 0x0048FFFF
_GENEVE_HEADER = 8

# RFC 4380 sections 5.1.1 and 2.6.
_TEREDO_AUTHENTICATION, _TEREDO_ORIGIN = 0x0001, 0x0000
_TEREDO_AUTHENTICATION_SIZE, _TEREDO_ORIGIN_SIZE = 13, 8
_TEREDO_PREFIX = 0x20010000
_LINK_LOCAL = 0xFE80
_IPV6_HEADER = 40


@fused
def _link_of(ethertype: int) -> int:
    if ethertype == _ETHERTYPE_IPV4:
        return links.IPV4
    if ethertype == _ETHERTYPE_IPV6:
        return links.IPV6
    return links.ETHERNET if ethertype == _ETHERTYPE_ETHERNET else _NO_LINK


@fused
def decode_gre(
    data: NDArray[np.uint8], packet: Extent, row: int, network: int, output: Output
) -> int:
    """Emit the GRE span of packet `row` in the IP packet of span `network`; enter the tunnel."""
    emit(data, output, row, layers.GRE, packet, network)
    if packet.length < _GRE_HEADER:
        return NOT_SKIPPED
    if packet.captured < _GRE_HEADER:
        return SNAPPED
    flags, carried = u16(data, packet.start, True), u16(data, packet.start + 2, True)
    version = flags & _GRE_VERSION
    size = _GRE_HEADER
    # RFC 2890: checksum and offset share a word, key and sequence number have one each.
    for flag in (_GRE_CHECKSUM, _GRE_KEY, _GRE_SEQUENCE):
        size += 4 if flags & flag else 0
    size += 4 if version == 1 and flags & _GRE_ACKNOWLEDGEMENT else 0
    if version > 1 or size > packet.length:
        return NOT_SKIPPED
    # RFC 2784 section 2.3: nobody sends source routes any more.
    link = _NO_LINK if flags & _GRE_ROUTING else _link_of(carried)
    if version == 1:
        link = links.PPP if carried == _ETHERTYPE_PPP else _NO_LINK
    payload = after(packet, size)
    if link == _NO_LINK:
        return UNKNOWN_PROTOCOL
    # RFC 2637 section 4.1: without payload, it acknowledges.
    acknowledges = version == 1 and payload.length == 0
    return NOT_SKIPPED if acknowledges else carry(output, link, payload)


@fused
def enter_udp_tunnel(data: NDArray[np.uint8], datagram: Extent, output: Output) -> int:
    """Enter the tunnel that an intact UDP datagram is part of, if it is."""
    source, destination = u16(data, datagram.start, True), u16(data, datagram.start + 2, True)
    payload = after(datagram, _UDP_HEADER)
    if destination == _VXLAN_PORT and payload.captured >= _VXLAN_HEADER:
        # All other bits of the flags and the reserved fields are zero when sent.
        flags = u32(data, payload.start, True)
        grouped = flags & ~_VXLAN_OF_GROUP == _VXLAN_GROUP
        if grouped or flags in (_VXLAN_NETWORK, _VXLAN_ETHERNET):
            return carry(output, links.ETHERNET, after(payload, _VXLAN_HEADER))
    elif destination == _GENEVE_PORT and payload.captured >= _GENEVE_HEADER:
        version, options = u8(data, payload.start) >> 6, (u8(data, payload.start) & 63) * 4
        link = _link_of(u16(data, payload.start + 2, True))
        size = _GENEVE_HEADER + options
        if version == 0 and link != _NO_LINK and size < payload.length:
            return carry(output, link, after(payload, size))
    elif destination == _TEREDO_PORT or source == _TEREDO_PORT:
        return _enter_teredo(data, payload, output)
    return NOT_SKIPPED


@fused
def _enter_teredo(data: NDArray[np.uint8], payload: Extent, output: Output) -> int:
    """The packet must be IPv6, and come from, or go to, a Teredo client. A link-local address alone
    proves too little: then it must fill the datagram, too. Otherwise its length may be wrong, or
    less than what comes: there are trailers behind it (RFC 6081 section 4)."""
    if payload.captured >= 4 and u16(data, payload.start, True) == _TEREDO_AUTHENTICATION:
        names = u8(data, payload.start + 2) + u8(data, payload.start + 3)
        payload = after(payload, min(_TEREDO_AUTHENTICATION_SIZE + names, payload.length))
    if payload.captured >= 2 and u16(data, payload.start, True) == _TEREDO_ORIGIN:
        payload = after(payload, min(_TEREDO_ORIGIN_SIZE, payload.length))
    if payload.captured < _IPV6_HEADER or u8(data, payload.start) >> 4 != 6:
        return NOT_SKIPPED
    fills = u16(data, payload.start + 4, True) == payload.length - _IPV6_HEADER
    for address in (payload.start + 8, payload.start + 24):
        local = fills and u16(data, address, True) == _LINK_LOCAL
        if local or u32(data, address, True) == _TEREDO_PREFIX:
            return carry(output, links.IPV6, payload)
    return NOT_SKIPPED
