"""Verifies the checksums of IPv4, TCP, UDP and ICMP, inside tunnels too, and keeps count by source.

Sums are taken in 64 bits and divided once (RFC 1071 section 2). A sender whose network card fills
checksums in shows wrong ones where it is captured, so a wrong one means something only where its
source is otherwise right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.fields import u8, u16, u32
from procwire.compiled.byte_sum import sum_of
from procwire.compiled.jit import fused, kernel
from procwire.decode.columns import Decoded, Spans, Verified
from procwire.decode.mix import mix64, mix_address

NAMES = {
    layers.IPV4: "ipv4",
    layers.TCP: "tcp",
    layers.UDP: "udp",
    layers.ICMP4: "icmp4",
    layers.ICMP6: "icmp6",
}
"""Layers that have a checksum, as the counters call them."""

# States of a span. ALONE: wrong, from a source that is right nearly always.
UNCHECKED, RIGHT, WRONG, ALONE = range(4)

SOURCES = 4096
SOURCE = np.dtype([("key", "u8"), ("right", "u4"), ("wrong", "u4")])
"""Checksums of one layer from one source address; the key is the hash of both."""
_SAMPLE = 1 << 16
_ENOUGH, _RIGHT_PER_WRONG = 1024, 1024

_SMALLEST_HEADER = 20
_ROUTING, _DESTINATION = 43, 60
_EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
_PROTOCOL_TCP, _PROTOCOL_UDP, _PROTOCOL_ICMP6 = 6, 17, 58
_MAPPED = np.uint64(0xFFFF << 32)
_HALF = np.uint64(32)
_MINUS_ZERO = np.uint64(0xFFFF)


class Checksums:
    """Weighs the checksums of one capture by their sources."""

    def __init__(self) -> None:
        self._sources = np.zeros(SOURCES, SOURCE)
        self._checked = np.zeros(layers.MALFORMED, np.int64)

    def update(self, decoded: Decoded, wrong: NDArray[np.int64]) -> int:
        """How many of a batch stand alone; their states are made ALONE. wrong: int64
        (layers.MALFORMED,), raised by those that are wrong, by layer."""
        return _weigh(decoded.spans.layer, decoded.verified, self._sources, self._checked, wrong)

    def counters(self) -> dict[str, int]:
        """Checksums verified so far, by protocol."""
        return {f"{name}_checked": int(self._checked[layer]) for layer, name in NAMES.items()}


@fused
def verify(data: NDArray[np.uint8], spans: Spans, first: int, end: int, verified: Verified) -> None:
    """Note of the spans from `first` up to `end` whether their checksums are right. Unchecked:
    layers without one, UDP that sends none, fragments, what the snap length cut, and IPv6 whose
    extension headers change the address that was summed (RFC 8200 section 8.1)."""
    latest, source = -1, np.uint64(0)
    for span in range(first, end):
        layer, network, state = spans.layer[span], span, UNCHECKED
        if layer == layers.IPV4:
            state = _header_state(data, spans, span)
        elif layer in (layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6):
            network = int(spans.outer[span])
            state = _transport_state(data, spans, span, network)
        verified.states[span] = state
        if state == UNCHECKED:
            continue
        if network != latest:
            latest, source = network, _source(data, spans, network)
        verified.keys[span] = source_key(source, layer)


@fused
def state_of(total: np.uint64) -> int:
    """Of the sum over a header with its checksum: one that is right is -0. Only bytes that are all
    zero give +0."""
    return RIGHT if total > 0 and total % _MINUS_ZERO == 0 else WRONG


@fused
def in_sum(number: int) -> np.uint64:
    """A number of the pseudo header as sum_of() would add it (RFC 1071 section 2B)."""
    return np.uint64(((number & 0xFF) << 8) + (number >> 8))


@fused
def source_key(source: np.uint64, layer: int) -> np.uint64:
    """Of a layer's checksums from the address with the hash `source`."""
    return mix64(source ^ np.uint64(layer))


@kernel
def _weigh(
    layer: NDArray[np.uint8],
    verified: Verified,
    sources: NDArray[np.void],
    checked: NDArray[np.int64],
    wrong: NDArray[np.int64],
) -> int:
    alone = 0
    for span in range(layer.size):
        state = verified.states[span]
        if state != UNCHECKED:
            checked[layer[span]] += 1
            state = _entered(sources, verified.keys[span], state == RIGHT)
            verified.states[span] = state
            wrong[layer[span]] += state != RIGHT
            alone += state == ALONE
    return alone


@fused
def _entered(sources: NDArray[np.void], key: np.uint64, right: bool) -> int:
    """Count a checksum of a source; its state."""
    entry = sources[np.int64(key & np.uint64(SOURCES - 1))]
    if entry.key != key:
        entry.key = key
        entry.right = 0
        entry.wrong = 0
    if right:
        entry.right += 1
        if entry.right >= _SAMPLE:
            entry.right //= 2
            entry.wrong //= 2
        return RIGHT
    entry.wrong += 1
    few = entry.right >= _ENOUGH and entry.right >= _RIGHT_PER_WRONG * entry.wrong
    return ALONE if few else WRONG


@fused
def _source(data: NDArray[np.uint8], spans: Spans, network: int) -> np.uint64:
    """The hash of the address that sent the packet."""
    at = int(spans.start[network])
    if spans.layer[network] == layers.IPV4:
        return mix_address(np.uint64(0), _MAPPED | np.uint64(u32(data, at + 12, True)))
    high = np.uint64(u32(data, at + 8, True)) << _HALF | np.uint64(u32(data, at + 12, True))
    low = np.uint64(u32(data, at + 16, True)) << _HALF | np.uint64(u32(data, at + 20, True))
    return mix_address(high, low)


@fused
def _header_state(data: NDArray[np.uint8], spans: Spans, span: int) -> int:
    """Of an IPv4 header; it may not have been captured whole."""
    start, captured = int(spans.start[span]), np.int64(spans.captured[span])
    if captured < _SMALLEST_HEADER:
        return UNCHECKED
    size = (u8(data, start) & 15) * 4
    if not _SMALLEST_HEADER <= size <= captured:
        return UNCHECKED
    return state_of(sum_of(data, start, size))


@fused
def _transport_state(data: NDArray[np.uint8], spans: Spans, span: int, network: int) -> int:
    """Of a transport header, what it carries and its pseudo header."""
    layer = spans.layer[span]
    start, size = int(spans.start[span]), int(spans.length[span])
    packet, over_ipv4 = int(spans.start[network]), spans.layer[network] == layers.IPV4
    if np.int64(spans.captured[span]) < size:
        return UNCHECKED
    protocol = _PROTOCOL_TCP
    if layer == layers.UDP:
        protocol = _PROTOCOL_UDP
        if u16(data, start + 6, True) == 0:
            return UNCHECKED
        size = u16(data, start + 4, True) or size
    elif layer == layers.ICMP6:
        protocol = _PROTOCOL_ICMP6
    elif layer == layers.ICMP4:
        return state_of(sum_of(data, start, size))
    if not over_ipv4 and _readdressed(data, packet, start):
        return UNCHECKED
    first, both = (packet + 12, 8) if over_ipv4 else (packet + 8, 32)
    if first + both == start:
        total = sum_of(data, first, both + size)
    else:
        total = sum_of(data, first, both) + sum_of(data, start, size)
    return state_of(total + in_sum(protocol + (size >> 16) + (size & 0xFFFF)))


@fused
def _readdressed(data: NDArray[np.uint8], packet: int, transport: int) -> bool:
    """Whether an IPv6 packet has a routing or a destination options header: the one may name
    another last destination, the other another source (RFC 6275 section 6.3)."""
    kind, at = u8(data, packet + 6), packet + 40
    while at < transport:
        if kind in (_ROUTING, _DESTINATION) or kind not in _EXTENSIONS:
            return True
        size = (u8(data, at + 1) + 1) * 8
        if kind == 51:
            size = (u8(data, at + 1) + 2) * 4
        if kind == 44:
            size = 8
        kind = u8(data, at)
        at += size
    return False
