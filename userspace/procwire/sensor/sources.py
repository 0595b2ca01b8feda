"""From which address a process of this host connects: what the kernel counts by process has none.

Strategy: the latest source by process and by destination, because a process may be told of for what
its children did; both are bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeVar

import numpy as np
from msgspec.structs import replace

from procwire.alert import Alert
from procwire.detect.observation import Endpoint, ProcessId
from procwire.event import FlowRole
from procwire.sensor.loader import SensorEvents
from procwire.sensor.processes import key_of

REMEMBERED = 8192
_UNKNOWN = bytes(16), bytes(10) + b"\xff\xff" + bytes(4)

Key = TypeVar("Key", bound=Hashable)


class Sources:
    """Follows connections and flows."""

    def __init__(self) -> None:
        self._of_process: OrderedDict[ProcessId, bytes] = OrderedDict()
        self._towards: OrderedDict[bytes, bytes] = OrderedDict()

    def events(self, events: SensorEvents) -> None:
        """Take the kernel's events."""
        # A raw socket writes whatever source it likes: that counts where there is no other.
        written = events.flow["role"] == FlowRole.WRITES
        for row in events.flow[written]:
            if key_of(row["process"]) not in self._of_process:
                self._note(row)
        for rows in (events.connection, events.flow[~written]):
            for row in rows:
                self._note(row)

    def _note(self, row: np.void) -> None:
        source = row["source"].tobytes()
        if source not in _UNKNOWN:
            _note(self._of_process, key_of(row["process"]), source)
            _note(self._towards, row["destination"].tobytes(), source)

    def located(self, alert: Alert) -> Alert:
        """The alert with the source of its process, if it has none and one is known."""
        if alert.source is not None or alert.process is None:
            return alert
        source = self._of_process.get(alert.process.key)
        for target in (alert.destination, *alert.targets):
            if source is None and target is not None:
                source = self._towards.get(target.address)
        return replace(alert, source=Endpoint(source)) if source is not None else alert


def _note(known: OrderedDict[Key, bytes], key: Key, source: bytes) -> None:
    known[key] = source
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
