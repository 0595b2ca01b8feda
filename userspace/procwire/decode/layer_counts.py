"""How many packets hold each layer: what a capture is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import kernel
from procwire.decode.columns import Spans
from procwire.layers import LAYER_NAMES

LAYERS = max(LAYER_NAMES) + 1


class LayerCounts:
    """Counts the spans of any number of batches by layer."""

    def __init__(self) -> None:
        self._counts = np.zeros(LAYERS, np.int64)

    def update(self, spans: Spans) -> None:
        """Count the spans of one batch."""
        _count(spans.layer, self._counts)

    def counters(self) -> dict[str, int]:
        """Layers by name; a packet in a tunnel has some twice."""
        return {name: int(self._counts[number]) for number, name in LAYER_NAMES.items()}


@kernel
def _count(layer: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    for span in range(layer.size):
        counts[layer[span]] += 1
