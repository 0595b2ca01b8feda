"""What is found over several packets: observations, and the messages that streams carry, which a
second, small pass of the rules judges.

The evidence of an observation is the header of the packet in which it was made; that of a message
which crosses segments is counted from the message's first byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.capture.batch import PacketBatch
from procwire.compiled.jit import kernel
from procwire.decode.columns import NO_SPAN, Decoded
from procwire.decode.flow import Flows
from procwire.decode.message_spans import MessageSpans, message_rows, used_spans
from procwire.decode.observations import OBSERVATIONS
from procwire.decode.read_only import read_only
from procwire.decode.requests import Requests
from procwire.decode.source import NO_FLOW, FlowColumns, RowRange, Source, blank_columns, source
from procwire.detect.finding_groups import Hits
from procwire.judging.evaluate import Extents, judge
from procwire.judging.packet_order import in_packet_order
from procwire.record import FINDING
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings

_EVIDENCE = 28  # bytes: an ARP packet, a TCP header with a little of its options
_ROOM = 4096
_BYTES = np.dtype((np.void, FINDING.itemsize))


def _indices() -> NDArray[np.int64]:
    place = {check.id: index for index, check in enumerate(all_rules())}
    return np.array([place[name] for name in OBSERVATIONS], np.int64)


_RULES = _indices()


class Observer:
    """Follows the conversations of one capture."""

    def __init__(self, settings: FlowSettings) -> None:
        self._flows = Flows(settings.capacity, settings.warm_up_ns)
        self._requests = Requests(settings.warm_up_ns)
        # Kept, as each batch would pay for zeros anew.
        self._columns, self._found = blank_columns(0), np.zeros(_ROOM, FINDING)

    def touch(self) -> None:
        """See memory.touch."""
        self._flows.touch()
        self._requests.touch()

    def update(self, batch: PacketBatch, decoded: Decoded) -> NDArray[np.void]:
        """FINDING (n,) of every message and observation, in packet order."""
        seen, columns = source(batch, decoded), self._blank(len(batch.time))
        parts: list[NDArray[np.void]] = []

        def follow(spans: NDArray[np.void], rows: RowRange) -> None:
            parts.extend(_judge(spans[0], batch.data, (batch.start, batch.captured)))
            self._requests.update(seen, columns, spans, rows)

        self._flows.update(seen, columns, follow)
        findings = in_packet_order(*parts, self._observations(columns, seen, batch.start))
        findings["packet"] = findings["row"] + batch.first
        return findings

    def _blank(self, count: int) -> FlowColumns:
        if len(self._columns.flow) < count:
            self._columns = blank_columns(count)
        flow, sender, observed, trusted = self._columns
        flow[:count] = NO_FLOW
        return FlowColumns(flow[:count], sender[:count], observed[:count], trusted[:count])

    def _observations(
        self, columns: FlowColumns, seen: Source, starts: NDArray[np.int64]
    ) -> NDArray[np.void]:
        """FINDING (n,) of what was observed, without packet numbers. Columns are blank again."""
        parts, row = [], 0
        while row < len(starts):
            row, written = _list(columns, row, seen, starts, _RULES, self._found)
            if written:
                # NumPy copies structures field by field.
                parts.append(self._found[:written].view(_BYTES).copy().view(FINDING))
        return in_packet_order(*parts)

    def finish(self) -> Hits:
        """The end of the input: what messages break that have begun and not ended."""
        parts: list[NDArray[np.void]] = []
        ended = self._flows.flush(lambda spans: parts.append(_judge_copies(spans)))
        findings = in_packet_order(*parts)
        findings["packet"] = ended.number[findings["row"]]
        nothing = np.zeros(len(all_rules()), np.int64)
        return Hits(findings, ended.packets, ended.time, ended.time, nothing)

    def completed_handshake(self, address: bytes, time: int) -> bool:
        """As of Flows."""
        return self._flows.completed_handshake(address, time)

    def counters(self) -> dict[str, int]:
        """Counters of flows and requests by name."""
        return self._flows.counters() | self._requests.counters()


def _judge(
    spans: MessageSpans, data: NDArray[np.uint8], extents: Extents
) -> list[NDArray[np.void]]:
    """Findings in the messages of a part of a batch, which lies in `data`."""
    parts = []
    if spans["used"][0]:
        here = used_spans(spans["here"], spans["used"][0])
        parts.append(judge(data, here, message_rows(spans["used"][0]), extents))
    if spans["used"][1]:
        parts.append(_judge_copies(spans))
    return parts


def _judge_copies(spans: MessageSpans) -> NDArray[np.void]:
    """Findings in those of them that cross segments."""
    joined = used_spans(spans["joined"], spans["used"][1])
    copies = spans["copies"][: spans["used"][1] // 2]
    extents = copies["start"].copy(), copies["length"].copy()
    findings = judge(read_only(spans["kept"]), joined, message_rows(spans["used"][1]), extents)
    findings["row"] = copies["row"][findings["row"]]
    return findings


@kernel
def _list(
    columns: FlowColumns,
    first: int,
    seen: Source,
    starts: NDArray[np.int64],
    rules: NDArray[np.int64],
    findings: NDArray[np.void],
) -> tuple[int, int]:
    """List what was observed from row `first` on, and forget it. Up to which row there was room for
    all, and how many findings that makes."""
    written = 0
    for row in range(first, starts.size):
        mask = int(columns.observed[row])
        if not mask:
            continue
        if written + len(rules) > len(findings):
            return row, written
        trusted, span, bit = columns.trusted[row], seen.span[row], 0
        columns.observed[row] = columns.trusted[row] = 0
        while mask:
            if mask & 1:
                finding = findings[written]
                finding.row, finding.rule = row, rules[bit]
                finding.in_context = trusted >> bit & 1
                finding.start = finding.size = 0
                if span != NO_SPAN:
                    finding.start = seen.spans.start[span] - starts[row]
                    finding.size = min(_EVIDENCE, int(seen.spans.captured[span]))
                written += 1
            mask >>= 1
            bit += 1
    return starts.size, written
