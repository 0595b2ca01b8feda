"""Finds the packet inside a tunnel: GRE (RFC 2784, 2890, 2637), which ERSPAN mirrors frames in
(draft-foschiano-erspan-03), VXLAN (RFC 7348), Geneve (RFC 8926) and Teredo (RFC 4380). any_frame.py
decodes it next, as a packet of its link type.

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
from procwire.decode.encapsulation import next_ethertype
from procwire.decode.link import (
    BARE,
    ETHERTYPE_ETHERNET,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_NSH,
    ETHERTYPES_MPLS,
)
from procwire.decode.output import (
    LINK_TRUNCATED,
    NOT_SKIPPED,
    SNAPPED,
    UNKNOWN_PROTOCOL,
    Extent,
    Output,
    after,
    carry,
    emit,
)

_ETHERTYPE_PPP, _ETHERTYPE_ERSPAN, _ETHERTYPE_ERSPAN_3 = 0x880B, 0x88BE, 0x22EB
# What GRE, VXLAN-GPE and Geneve may carry without a link header.
_BARE_ETHERTYPES = (ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_NSH, *ETHERTYPES_MPLS)
_NO_LINK = -1

_GRE_HEADER = 4
_GRE_CHECKSUM, _GRE_ROUTING, _GRE_KEY, _GRE_SEQUENCE = 0x8000, 0x4000, 0x2000, 0x1000
_GRE_ACKNOWLEDGEMENT, _GRE_VERSION = 0x0080, 0x0007

# draft-foschiano-erspan-03 sections 4.2 and 4.3. Type III may have a header of its platform, too.
_ERSPAN_2, _ERSPAN_3 = 1, 2  # by the version in their headers
_ERSPAN_2_HEADER, _ERSPAN_3_HEADER, _ERSPAN_3_FLAGS, _PLATFORM_HEADER = 8, 12, 10, 8
_ERSPAN_TRUNCATED, _ERSPAN_PLATFORM, _ERSPAN_FRAME_TYPE = 0x0400, 0x0001, 0x7C00
_LARGEST_PACKET = 0xFFFF

_UDP_HEADER = 8
TUNNEL_PORTS = _VXLAN_PORT, _GPE_PORT, _GENEVE_PORT, _TEREDO_PORT = 4789, 4790, 6081, 3544
"""Of UDP, behind which packets are looked for."""
# RFC 7348 section 5; VXLAN-GPE (IETF draft), which says what follows: on VXLAN's own port, that it
# is Ethernet; VXLAN Group Policy (IETF draft), with the sender's group and two bits on it.
_VXLAN_HEADER, _VXLAN_NETWORK, _VXLAN_ETHERNET = 8, 0x08000000, 0x0C000003
_VXLAN_GROUP, _VXLAN_OF_GROUP = 0x88000000, 0x0048FFFF
_GPE, _GPE_NEXT = 0x0C000000, 0x000000FF
_GENEVE_HEADER = 8

# RFC 4380 sections 5.1.1 and 2.6.
_TEREDO_AUTHENTICATION, _TEREDO_ORIGIN = 0x0001, 0x0000
_TEREDO_AUTHENTICATION_SIZE, _TEREDO_ORIGIN_SIZE = 13, 8
_TEREDO_PREFIX = 0x20010000
_LINK_LOCAL = 0xFE80
_IPV6_HEADER = 40


@fused
def _link_of(ethertype: int) -> int:
    if ethertype == ETHERTYPE_ETHERNET:
        return links.ETHERNET
    return BARE + ethertype if ethertype in _BARE_ETHERTYPES else _NO_LINK


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
    mirrors = carried in (_ETHERTYPE_ERSPAN, _ETHERTYPE_ERSPAN_3)
    if mirrors and flags & (_GRE_ROUTING | _GRE_VERSION) == 0:
        has_header = carried == _ETHERTYPE_ERSPAN_3 or flags & _GRE_SEQUENCE != 0
        return _enter_erspan(data, payload, has_header, output)
    if link == _NO_LINK:
        return UNKNOWN_PROTOCOL
    # RFC 2637 section 4.1: without payload, it acknowledges.
    acknowledges = version == 1 and payload.length == 0
    return NOT_SKIPPED if acknowledges else carry(output, link, payload)


@fused
def _enter_erspan(
    data: NDArray[np.uint8], payload: Extent, has_header: bool, output: Output
) -> int:
    """Enter a mirrored frame. Type I has no header of its own."""
    if not has_header:
        return carry(output, links.ETHERNET, payload)
    version = u8(data, payload.start) >> 4 if payload.captured > 0 else _ERSPAN_2
    size = _ERSPAN_3_HEADER if version == _ERSPAN_3 else _ERSPAN_2_HEADER
    if payload.captured < size:
        return SNAPPED if payload.captured < payload.length else LINK_TRUNCATED
    flags = u16(data, payload.start + _ERSPAN_3_FLAGS, True) if version == _ERSPAN_3 else 0
    size += _PLATFORM_HEADER if flags & _ERSPAN_PLATFORM else 0
    # Frame type 0 is Ethernet.
    if version not in (_ERSPAN_2, _ERSPAN_3) or flags & _ERSPAN_FRAME_TYPE:
        return UNKNOWN_PROTOCOL
    if size > payload.length:
        return LINK_TRUNCATED
    frame = after(payload, size)
    if u16(data, payload.start + 2, True) & _ERSPAN_TRUNCATED:
        # On its wire the frame was longer, and nobody knows by how much.
        frame = Extent(frame.start, frame.captured, frame.length + _LARGEST_PACKET)
    return carry(output, links.ETHERNET, frame)


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
    elif destination == _GPE_PORT and payload.captured >= _VXLAN_HEADER:
        flags = u32(data, payload.start, True)
        link = _link_of(next_ethertype(flags & _GPE_NEXT))
        if flags & ~_GPE_NEXT == _GPE and link != _NO_LINK:
            return carry(output, link, after(payload, _VXLAN_HEADER))
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
