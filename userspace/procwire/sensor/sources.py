"""From which address a process of this host connects: what the kernel counts by process has none.

Strategy: the latest source by process and by destination, because a process may be told of for what
its children did; both are bounded, and known by their bytes, which take a third of a tuple.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.detect.observation import Endpoint
from procwire.event import PROCESS_KEY, FlowRole
from procwire.sensor.loader import SensorEvents

REMEMBERED = 1024
_UNKNOWN = bytes(16), bytes(10) + b"\xff\xff" + bytes(4)


class Sources:
    """Follows connections and flows."""

    def __init__(self) -> None:
        self._of_process: OrderedDict[bytes, bytes] = OrderedDict()
        self._towards: OrderedDict[bytes, bytes] = OrderedDict()

    def events(self, events: SensorEvents) -> None:
        """Take the kernel's events."""
        # A raw socket writes whatever source it likes: that counts where there is no other.
        written = events.flow["role"] == FlowRole.WRITES
        self._note(events.flow[written], is_certain=False)
        self._note(events.connection)
        self._note(events.flow[~written])

    def _note(self, rows: NDArray[np.void], is_certain: bool = True) -> None:
        ends = (_bytes(rows[name]) for name in ("process", "destination", "source"))
        same: dict[bytes, bytes] = {}
        for process, destination, source in zip(*ends, strict=True):
            if source not in _UNKNOWN and (is_certain or process not in self._of_process):
                _note(self._of_process, process, same.setdefault(source, source))
                _note(self._towards, destination, same[source])

    def located(self, alert: Alert) -> Alert:
        """The alert with the source of its process, if it has none and one is known."""
        if alert.source is not None or alert.process is None:
            return alert
        source = self._of_process.get(np.array(alert.process.key, PROCESS_KEY).tobytes())
        for target in (alert.destination, *alert.targets):
            if source is None and target is not None:
                source = self._towards.get(target.address)
        return replace(alert, source=Endpoint(source)) if source is not None else alert


def _bytes(column: NDArray[np.generic]) -> list[bytes]:
    """Each row of a column as its bytes."""
    whole, size = column.tobytes(), column.nbytes // max(1, len(column))
    return [whole[at : at + size] for at in range(0, len(whole), size or 1)]


def _note(known: OrderedDict[bytes, bytes], key: bytes, source: bytes) -> None:
    known[key] = source
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
