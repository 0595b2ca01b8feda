"""From which address a process of this host connects: what the kernel counts by process has none.

Strategy: the latest source by process and by destination, because a process may be told of for what
its children did; both are bounded, and known by their bytes, which take a third of a tuple. Of a
batch no Python runs per row, but per process and destination.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.event import PROCESS_KEY, FlowRole
from procwire.record import Endpoint
from procwire.sensor.loader import SensorEvents

REMEMBERED = 1024
_MAPPED = 0xFFFF << 32


class Sources:
    """Follows connections and flows."""

    def __init__(self) -> None:
        self._of_process: OrderedDict[bytes, bytes] = OrderedDict()
        self._towards: OrderedDict[bytes, bytes] = OrderedDict()

    def events(self, events: SensorEvents) -> None:
        """Take the kernel's events."""
        role = events.flow["role"]
        writes, ends = role == FlowRole.WRITES, role == FlowRole.ENDS
        # A raw socket writes whatever source it likes: that counts where there is no other.
        self._note(events.flow, writes, is_certain=False)
        self._note(events.connection, np.True_)
        # What a socket's end was, its beginning has told.
        self._note(events.flow, ~(writes | ends))

    def _note(
        self, rows: NDArray[np.void], chosen: NDArray[np.bool_] | np.bool_, is_certain: bool = True
    ) -> None:
        # NumPy copies such rows field by field, so they stay where they are.
        at = np.flatnonzero(chosen & _is_known(rows["source"]))
        if not len(at):
            return
        process, destination, source = (
            _bytes(rows[name][at]) for name in ("process", "destination", "source")
        )
        _enter(self._of_process, process, source, is_certain)
        _enter(self._towards, destination, source, is_certain)

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


def _is_known(sources: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which addresses (n, 16) are none of the unspecified ones."""
    halves = np.ascontiguousarray(sources).view(">u8")
    known: NDArray[np.bool_] = (halves[:, 0] != 0) | ~np.isin(halves[:, 1], (0, _MAPPED))
    return known


def _enter(
    known: OrderedDict[bytes, bytes], keys: list[bytes], sources: list[bytes], is_certain: bool
) -> None:
    """Note the last source of each key; what is not certain, where nothing is known."""
    for key, source in dict(zip(keys, sources, strict=True)).items():
        if is_certain or key not in known:
            known[key] = source
            known.move_to_end(key)
    while len(known) > REMEMBERED:
        known.popitem(last=False)
