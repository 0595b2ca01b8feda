"""Wrong checksums as findings: the counterpart of evaluate.py for decode/checksum.py.

The evidence is the checksum itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.decode.checksum import ALONE, WRONG, Checksums
from procwire.decode.columns import Decoded
from procwire.record import FINDING
from procwire.rules import checksums, index_of

# Layer -> its check, and where in its header the checksum lies.
_CHECKS = {
    layers.IPV4: (checksums.IPV4, 10),
    layers.ICMP4: (checksums.ICMP4, 2),
    layers.ICMP6: (checksums.ICMP6, 2),
    layers.TCP: (checksums.TCP, 16),
    layers.UDP: (checksums.UDP, 6),
}
_SIZE = 2


def _table() -> NDArray[np.int64]:
    table = np.zeros((layers.MALFORMED, 2), np.int64)
    for layer, (check, offset) in _CHECKS.items():
        table[layer] = index_of(check), offset
    return table


_TABLE = _table()
_ALONE = index_of(checksums.ALONE)


class Verifier:
    """Verifies the checksums of one capture."""

    def __init__(self) -> None:
        self._checksums = Checksums()

    def update(self, batch: PacketBatch, decoded: Decoded) -> NDArray[np.void]:
        """FINDING (n,) of the wrong checksums, in packet order; those from a source that is right
        nearly always come a second time, as ip.checksum_alone in context."""
        states, spans = self._checksums.update(batch, decoded), decoded.spans
        wrong = np.flatnonzero(states >= WRONG)
        alone = np.flatnonzero(states == ALONE)
        rows = np.sort(np.concatenate([wrong, alone]), kind="stable")
        again = np.append(False, rows[1:] == rows[:-1])
        findings = np.zeros(rows.size, FINDING)
        findings["row"] = spans.packet[rows]
        findings["packet"] = findings["row"] + batch.first
        rule, offset = _TABLE[spans.layer[rows]].T
        findings["rule"] = np.where(again, _ALONE, rule)
        findings["in_context"] = again
        findings["start"] = spans.start[rows] - batch.start[findings["row"]] + offset
        findings["size"] = _SIZE
        return findings

    def counters(self) -> dict[str, int]:
        """Checksums verified so far, by protocol."""
        return self._checksums.counters()
