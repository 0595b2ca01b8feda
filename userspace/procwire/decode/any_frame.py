"""Decodes a frame of any kind, and the packets in its tunnels.

link.py reduces every link type to an ethertype and what follows it; network.py and transport.py
take it from there, and what they find to be a tunnel is decoded in turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture import batch as links
from procwire.capture.batch import PacketBatch
from procwire.capture.fields import u8, u16
from procwire.compiled.jit import fused
from procwire.decode.checksum import verify
from procwire.decode.columns import NO_SPAN, Verified, forget
from procwire.decode.encapsulation import (
    CUT,
    unwrap_backbone,
    unwrap_llc,
    unwrap_mpls,
    unwrap_nsh,
    unwrap_pppoe,
)
from procwire.decode.link import (
    ETHERTYPE_ARP,
    ETHERTYPE_BACKBONE,
    ETHERTYPE_ETHERNET,
    ETHERTYPE_FABRIC_PATH,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_NSH,
    ETHERTYPE_PPPOE,
    ETHERTYPES_MPLS,
    VLAN_TAG,
    is_loopback,
    link_ethertype,
    link_header_size,
    tag_size,
)
from procwire.decode.network import decode_arp, decode_ipv4, decode_ipv6
from procwire.decode.output import (
    LENGTH_FRAME,
    LINK_TRUNCATED,
    NO_TUNNEL,
    NOT_SKIPPED,
    SNAPPED,
    TOO_MANY_LAYERS,
    TOO_MANY_TAGS,
    UNKNOWN_ETHERTYPE,
    Extent,
    Output,
    after,
    carry,
    emit,
    first,
)

_TAG_LIMIT = 4
_TUNNEL_LIMIT = 3
MOST_SPANS = (_TAG_LIMIT + 4) * (_TUNNEL_LIMIT + 1) + 1
"""Of a packet: Ethernet, four tags, a network, a transport and an application layer, each time; a
malformed network layer in a tunnel has two spans and nothing behind; one more for a packet that was
cut."""
_IPV4_HEADER, _IPV6_HEADER = 20, 40

# IEEE 802.3 clause 3.2.6: smaller values are lengths.
_SMALLEST_ETHERTYPE = 1536


@fused
def decode_any(
    batch: PacketBatch,
    frame: Extent,
    row: int,
    found: NDArray[np.int32],
    output: Output,
    verified: Verified,
) -> int:
    """Decode packet `row`, in `frame`, and note whether its checksums are right; returns why not
    further. found: Decoded.span."""
    output.cut[0], before = batch.cut[row], int(output.used[0])
    forget(output.packets, row)
    reason = _decode_nested(batch.data, frame, int(np.int64(batch.link[row])), row, output)
    found[row] = _span_of(output, row, before)
    verify(batch.data, output.spans, before, int(output.used[0]), verified)
    return reason


@fused
def _span_of(output: Output, row: int, first: int) -> int:
    """The last, which is the innermost, of the packet's spans from `first` on that is of its
    transport layer or of ARP."""
    layer, transport = output.spans.layer, output.packets.transport[row]
    for span in range(output.used[0] - 1, first - 1, -1):
        if layer[span] == transport or layer[span] == layers.ARP:
            return span
    return NO_SPAN


@fused
def _decode_nested(
    data: NDArray[np.uint8], frame: Extent, link: int, row: int, output: Output
) -> int:
    """Decode a frame, and what its tunnels carry; returns why not further."""
    depth, inner, carrier = 0, output.inner, -1
    while True:
        inner[0] = NO_TUNNEL
        reason = _decode_frame(data, frame, link, row, depth > 0, carrier, output)
        if inner[0] == NO_TUNNEL:
            return reason
        if depth == _TUNNEL_LIMIT:
            return TOO_MANY_LAYERS
        depth += 1
        carrier = _carrier(output, row)
        link = int(inner[0])
        frame = Extent(int(inner[1]), int(inner[2]), int(inner[3]))


@fused
def _carrier(output: Output, row: int) -> int:
    """The packet's span decoded last, if it is a header that says which IP it carries, else -1."""
    last = int(output.used[0]) - 1
    if last < 0 or output.spans.packet[last] != row:
        return -1
    layer = output.spans.layer[last]
    return last if layer in (layers.IPV4, layers.IPV6, layers.GRE) else -1


@fused
def _decode_frame(
    data: NDArray[np.uint8],
    frame: Extent,
    link: int,
    row: int,
    inside: bool,
    carrier: int,
    output: Output,
) -> int:
    """carrier: of a frame inside a tunnel, as _carrier() returns it."""
    outer = -1
    if link == links.ETHERNET:
        outer = emit(data, output, row, layers.ETHERNET, frame, -1)
    size = link_header_size(data, frame, link)
    if frame.length < size:
        return NOT_SKIPPED if link == links.ETHERNET else LINK_TRUNCATED
    if frame.captured < size or (size == 0 and frame.captured == 0 < frame.length):
        return SNAPPED
    ethertype = link_ethertype(data, frame, link)
    rest = after(frame, size)
    if is_loopback(data, frame, link):
        outer = emit(data, output, row, layers.LOOPBACK, first(frame, size), -1)
    tags = 0
    while tag_size(ethertype) > 0:
        if tags == _TAG_LIMIT:
            return TOO_MANY_TAGS
        tags += 1
        tag = tag_size(ethertype)
        if tag == VLAN_TAG:
            emit(data, output, row, layers.VLAN, rest, outer)
        if rest.length < tag:
            return NOT_SKIPPED if tag == VLAN_TAG else LINK_TRUNCATED
        if rest.captured < tag:
            return SNAPPED
        ethertype = u16(data, rest.start + tag - 2, True)
        rest = after(rest, tag)
    if ethertype == ETHERTYPE_NSH:
        ethertype, rest = unwrap_nsh(data, rest)
    if ethertype < _SMALLEST_ETHERTYPE:
        ethertype, rest = unwrap_llc(data, ethertype, rest)
    elif ethertype == ETHERTYPE_PPPOE:
        ethertype, rest = unwrap_pppoe(data, rest)
    elif ethertype in ETHERTYPES_MPLS:
        ethertype, rest = unwrap_mpls(data, rest)
    elif ethertype in (ETHERTYPE_FABRIC_PATH, ETHERTYPE_BACKBONE):
        ethertype, rest = unwrap_backbone(ethertype, rest)
    if ethertype == CUT:
        return SNAPPED if rest.captured < rest.length else LINK_TRUNCATED
    if ethertype == ETHERTYPE_ETHERNET:
        return carry(output, links.ETHERNET, rest)
    in_tunnel = inside and ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6)
    # A pseudowire may have no packet around it.
    outermost = output.packets.network[row] == 0
    if in_tunnel and not outermost and not _begins_ip(data, rest, ethertype):
        over_ipv4 = ethertype == ETHERTYPE_IPV4
        header = layers.IPV4_MALFORMED if over_ipv4 else layers.IPV6_MALFORMED
        emit(data, output, row, header, rest, -1)
        emit(data, output, row, layers.INNER_IP_MALFORMED, rest, carrier)
        return NOT_SKIPPED
    if in_tunnel or ethertype == ETHERTYPE_ARP:
        forget(output.packets, row)
    if output.cut[0] and outermost:
        _emit_cut(data, output, row, ethertype, rest, outer)
    network = int(output.used[0])
    reason = _decode_network(data, rest, row, ethertype, outer, output)
    if in_tunnel and output.spans.layer[network] > layers.MALFORMED:
        emit(data, output, row, layers.INNER_IP_MALFORMED, rest, carrier)
    return reason


@fused
def _emit_cut(
    data: NDArray[np.uint8], output: Output, row: int, ethertype: int, rest: Extent, outer: int
) -> None:
    """Packets are cut on the way to the capture, too. Such a one is decoded as far as it goes, and
    its span is in the malformed layer besides."""
    if ethertype == ETHERTYPE_IPV4:
        emit(data, output, row, layers.IPV4_MALFORMED, rest, outer)
    elif ethertype == ETHERTYPE_IPV6:
        emit(data, output, row, layers.IPV6_MALFORMED, rest, outer)


@fused
def _begins_ip(data: NDArray[np.uint8], packet: Extent, ethertype: int) -> bool:
    """Whether an inner packet is long enough for its header and names its version. If not, its row
    keeps the columns of the outer packet."""
    over_ipv4 = ethertype == ETHERTYPE_IPV4
    if packet.length < (_IPV4_HEADER if over_ipv4 else _IPV6_HEADER):
        return False
    return packet.captured == 0 or u8(data, packet.start) >> 4 == (4 if over_ipv4 else 6)


@fused
def _decode_network(
    data: NDArray[np.uint8], rest: Extent, row: int, ethertype: int, outer: int, output: Output
) -> int:
    if ethertype == ETHERTYPE_IPV4:
        return decode_ipv4(data, rest, row, outer, output)
    if ethertype == ETHERTYPE_IPV6:
        return decode_ipv6(data, rest, row, outer, output)
    if ethertype == ETHERTYPE_ARP:
        return decode_arp(data, rest, row, outer, output)
    return LENGTH_FRAME if ethertype < _SMALLEST_ETHERTYPE else UNKNOWN_ETHERTYPE
