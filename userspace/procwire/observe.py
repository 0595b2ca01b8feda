"""Observations over several packets, and their findings: the counterpart of evaluate.py.

The evidence of an observation is the header of the packet in which it was made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.decode.columns import Decoded
from procwire.decode.flow import Flows
from procwire.decode.observations import OBSERVATIONS
from procwire.decode.requests import Requests
from procwire.decode.source import NO_SPAN, FlowColumns, Source, blank_columns, source
from procwire.jit import kernel
from procwire.record import FINDING
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings

_EVIDENCE = 28  # bytes: an ARP packet, a TCP header with a little of its options


def _indices() -> NDArray[np.int64]:
    place = {check.id: index for index, check in enumerate(all_rules())}
    return np.array([place[name] for name in OBSERVATIONS], np.int64)


_RULES = _indices()


class Observer:
    """Follows the conversations of one capture."""

    def __init__(self, settings: FlowSettings) -> None:
        self._flows = Flows(settings.capacity, settings.warm_up_ns)
        self._requests = Requests(settings.warm_up_ns)

    def update(self, batch: PacketBatch, decoded: Decoded) -> NDArray[np.void]:
        """FINDING (n,) of every observation, in packet order."""
        seen, columns = source(batch, decoded), blank_columns(len(batch.time))
        self._flows.update(seen, columns)
        self._requests.update(seen, columns)
        findings = np.zeros(int(np.bitwise_count(columns.observed).sum()), FINDING)
        # Also without findings: the warm-up compiles it so.
        _list(columns, seen, batch.start, _RULES, findings)
        findings["packet"] = findings["row"] + batch.first
        return findings

    def counters(self) -> dict[str, int]:
        """Counters of flows and requests by name."""
        return self._flows.counters() | self._requests.counters()


def in_packet_order(*parts: NDArray[np.void]) -> NDArray[np.void]:
    """Findings of several sources in one FINDING array, those of one packet in the order given."""
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else parts[0]
    # As rows of bytes: NumPy copies structures field by field.
    bytes_of = np.dtype((np.void, FINDING.itemsize))
    joined = np.concatenate([part.view(bytes_of) for part in filled])
    return joined.take(np.argsort(joined.view(FINDING)["row"], kind="stable")).view(FINDING)


@kernel
def _list(
    columns: FlowColumns,
    seen: Source,
    starts: NDArray[np.int64],
    rules: NDArray[np.int64],
    findings: NDArray[np.void],
) -> None:
    written = 0
    for row in range(columns.observed.size):
        mask, span, bit = int(columns.observed[row]), seen.span[row], 0
        while mask:
            if mask & 1:
                findings[written].row = row
                findings[written].rule = rules[bit]
                findings[written].in_context = columns.trusted[row] >> bit & 1
                if span != NO_SPAN:
                    findings[written].start = seen.spans.start[span] - starts[row]
                    findings[written].size = min(_EVIDENCE, int(seen.spans.captured[span]))
                written += 1
            mask >>= 1
            bit += 1
