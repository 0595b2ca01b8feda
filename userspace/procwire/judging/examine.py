"""Decodes and judges packets, each by itself, and the datagrams that their fragments complete.

A completed datagram counts as part of the packet that completed it: that packet's row gets the
datagram's columns, and what the datagram breaks is found in that packet.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.decode.columns import NO_SPAN, Decoded, Joined
from procwire.decode.defrag import Defragmenter, Reassembled
from procwire.decode.frame import decode
from procwire.judging.evaluate import evaluate
from procwire.judging.packet_order import in_packet_order
from procwire.record import FINDING
from procwire.rules import fragments, index_of

_OVERLAPS = {
    layers.IPV4: index_of(fragments.OVERLAP_4),
    layers.IPV6: index_of(fragments.OVERLAP_6),
}


class Examined(NamedTuple):
    """A batch decoded, and FINDING (n,) of what its packets break, in packet order."""

    decoded: Decoded
    findings: NDArray[np.void]


def examine(batch: PacketBatch, decoded: Decoded | None = None) -> Examined:
    """Each packet of a batch by itself. What TCP segments carry is left to whoever reads their
    streams (observe.py). decoded: the batch so decoded, if it is."""
    decoded = decoded or decode(batch, segments=False)
    return Examined(decoded, evaluate(batch, decoded))


class Examiner:
    """Completes what was examined of one input. Fragments are remembered from batch to batch."""

    def __init__(self) -> None:
        self._defragmenter = Defragmenter()

    def complete(self, batch: PacketBatch, examined: Examined) -> Examined:
        """The same with the datagrams that fragments of the batch complete.

        Evidence in a reassembled datagram is counted from that datagram's first byte.
        """
        decoded, findings = examined
        reassembled = self._defragmenter.update(batch, decoded)
        if reassembled is None:
            return examined
        parts = []
        if reassembled.overlaps.size:
            parts.append(_overlap_findings(reassembled, decoded))
        if reassembled.rows.size:
            inner = decode(reassembled.datagrams, segments=False)
            parts.append(_datagram_findings(reassembled, inner))
            decoded = _with_datagrams(decoded, reassembled, inner)
        for part in parts:
            part["packet"] = part["row"] + batch.first
        return Examined(decoded, in_packet_order(findings, *parts))

    def counters(self) -> dict[str, int]:
        """What became of fragments; see defrag.COUNTERS."""
        return self._defragmenter.counters()


def _overlap_findings(reassembled: Reassembled, decoded: Decoded) -> NDArray[np.void]:
    findings = np.zeros(reassembled.overlaps.size, FINDING)
    over_ipv6 = decoded.packets.network[reassembled.overlaps] == layers.IPV6
    findings["row"] = reassembled.overlaps
    findings["rule"] = np.where(over_ipv6, _OVERLAPS[layers.IPV6], _OVERLAPS[layers.IPV4])
    return findings


def _datagram_findings(reassembled: Reassembled, inner: Decoded) -> NDArray[np.void]:
    # The fragments' own IP headers have been judged.
    inner.spans.layer[np.append(True, np.diff(inner.spans.packet) > 0)] = 0
    findings = evaluate(reassembled.datagrams, inner)
    if len(findings):
        findings["row"] = reassembled.rows[findings["row"]]
    return findings


def _with_datagrams(decoded: Decoded, reassembled: Reassembled, inner: Decoded) -> Decoded:
    rows = reassembled.rows
    for name, of_datagrams in inner.packets._asdict().items():
        getattr(decoded.packets, name)[rows] = of_datagrams
    decoded.flows[rows] = inner.flows
    decoded.span[rows] = NO_SPAN
    span = np.full(len(decoded.span), NO_SPAN, np.int32)
    span[rows] = inner.span
    return decoded._replace(joined=Joined(reassembled.datagrams.data, inner.spans, span, rows))
