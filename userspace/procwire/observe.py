"""From observations over several packets to findings: the counterpart of evaluate.py.

The evidence of an observation is the header of the packet in which it was made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.decode.columns import Spans
from procwire.decode.flow import FlowColumns
from procwire.decode.tcp_state import OBSERVATIONS
from procwire.jit import kernel
from procwire.record import FINDING
from procwire.rules import all_rules

_EVIDENCE = 20  # bytes of a TCP header


def _indices(names: list[str]) -> NDArray[np.int64]:
    place = {check.id: index for index, check in enumerate(all_rules())}
    return np.array([place[name] for name in names], np.int64)


_STREAM = _indices([f"stream.{name}" for name in OBSERVATIONS])


def stream_findings(batch: PacketBatch, spans: Spans, flows: FlowColumns) -> NDArray[np.void]:
    """FINDING (n,) of every observation of TCP's state, in packet order."""
    findings = np.zeros(int(np.bitwise_count(flows.observed).sum()), FINDING)
    if len(findings):
        _list(flows, spans, batch.start, _STREAM, findings)
        findings["packet"] = findings["row"] + batch.first
    return findings


def in_packet_order(*parts: NDArray[np.void]) -> NDArray[np.void]:
    """Findings of several sources in one FINDING array, those of one packet in the order given."""
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else parts[0]
    joined = np.concatenate(filled)
    ordered: NDArray[np.void] = joined[np.argsort(joined["row"], kind="stable")]
    return ordered


@kernel
def _list(
    flows: FlowColumns,
    spans: Spans,
    starts: NDArray[np.int64],
    rules: NDArray[np.int64],
    findings: NDArray[np.void],
) -> None:
    written = 0
    for row in range(flows.observed.size):
        seen, span = int(flows.observed[row]), flows.span[row]
        bit = 0
        while seen:
            if seen & 1:
                findings[written].row = row
                findings[written].rule = rules[bit]
                findings[written].in_context = flows.trusted[row] >> bit & 1
                if span >= 0:
                    findings[written].start = spans.start[span] - starts[row]
                    findings[written].size = min(_EVIDENCE, int(spans.captured[span]))
                written += 1
            seen >>= 1
            bit += 1
