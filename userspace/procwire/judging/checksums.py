"""Wrong checksums as findings: the counterpart of evaluate.py for decode/checksum.py.

A wrong one is of tier C and only counted: where a network card fills them in, half of all packets
have one. One that stands alone is a finding, and the evidence is the checksum itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.decode.checksum import ALONE, Checksums
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


_LAYERS = np.array(list(_CHECKS))
_RULES = np.array([index_of(check) for check, _ in _CHECKS.values()])
_OFFSETS = np.zeros(layers.MALFORMED, np.int64)
_OFFSETS[_LAYERS] = [offset for _, offset in _CHECKS.values()]
_ALONE = index_of(checksums.ALONE)


class Verifier:
    """Weighs the checksums of one capture."""

    def __init__(self) -> None:
        self._checksums = Checksums()

    def update(
        self,
        batch: PacketBatch,
        decoded: Decoded,
        counted: NDArray[np.int64],
    ) -> NDArray[np.void]:
        """FINDING (n,) of the wrong checksums from sources that are right nearly always, in packet
        order, in context. counted: int64, by rule, raised by every wrong one."""
        wrong, spans = np.zeros(layers.MALFORMED, np.int64), decoded.spans
        alone = self._checksums.update(decoded, wrong)
        counted[_RULES] += wrong[_LAYERS]
        if not alone:
            return np.empty(0, FINDING)
        rows = np.flatnonzero(decoded.verified.states == ALONE)
        findings = np.zeros(rows.size, FINDING)
        findings["row"] = spans.packet[rows]
        findings["packet"] = findings["row"] + batch.first
        findings["rule"] = _ALONE
        findings["in_context"] = 1
        offsets = _OFFSETS[spans.layer[rows]]
        findings["start"] = spans.start[rows] - batch.start[findings["row"]] + offsets
        findings["size"] = _SIZE
        return findings

    def counters(self) -> dict[str, int]:
        """Checksums verified so far, by protocol."""
        return self._checksums.counters()
