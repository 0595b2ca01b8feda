"""How surely it is known whose a flow is."""

from __future__ import annotations

from typing import NamedTuple

from procwire.record import ProcessId

KERNEL, SNAPSHOT, INFERRED, NONE = "kernel", "snapshot", "inferred", "none"
SURENESS = (KERNEL, SNAPSHOT, INFERRED)


class Owner(NamedTuple):
    """Who holds an end. attribution: kernel, snapshot or inferred."""

    process: ProcessId
    attribution: str
