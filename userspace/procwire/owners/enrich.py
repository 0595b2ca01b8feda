"""Adds the process to EVE records of Suricata from the history: by community_id and time whoever
began the flow, or else whoever held an end of it.

A record that no process is known for, and a line that is no record, pass as they are, byte for
byte. Where the process goes is what Suricata's schema leaves room for.
"""

from __future__ import annotations

import socket
from collections import Counter, deque
from functools import lru_cache
from typing import Any

import msgspec

from procwire.output.address import PROTOCOL_NAMES
from procwire.output.community_id import community_id
from procwire.output.eve import encode
from procwire.output.timestamp import nanoseconds
from procwire.owners.past_owners import Flow, History, Owner
from procwire.record import Endpoint

SETTLE_S = 1.5
"""How long a record waits while it is followed: the sensor writes what it sees twice a second."""

_PROTOCOLS = {name.upper(): number for number, name in PROTOCOL_NAMES.items()}
_MAPPED = bytes(10) + b"\xff\xff"
_WITH_PORTS = frozenset((6, 17, 132))


class Enricher:
    """Adds processes of a history to records. first_other: offset of the first line that was no
    record, None as long as there was none."""

    def __init__(self, history: History) -> None:
        self._history = history
        # Whether ids of these records have our seed; None until one of them tells.
        self._same_seed: bool | None = None
        self.first_other: int | None = None
        self._offset = 0
        self._counts = Counter(records=0, enriched=0, not_records=0)

    def lines(self, lines: list[bytes]) -> list[bytes]:
        """The lines with the processes of their records, in their order."""
        return [self._line(line) for line in lines]

    def counters(self) -> dict[str, int]:
        """records: seen; enriched: with a process now; not_records: lines that were no JSON
        object."""
        return dict(self._counts)

    def _line(self, line: bytes) -> bytes:
        offset = self._offset
        self._offset += len(line)
        try:
            record = _DECODER.decode(line)
        except (ValueError, RecursionError):
            if line.strip():
                self._counts["not_records"] += 1
                self.first_other = offset if self.first_other is None else self.first_other
            return line
        self._counts["records"] += 1
        owner = self._owner(record)
        if owner is None:
            return line
        self._counts["enriched"] += 1
        _add(record, owner)
        return encode(record)

    def _owner(self, record: dict[str, Any]) -> Owner | None:
        start = record.get("flow")
        start = start.get("start") if isinstance(start, dict) else None
        moment = start if start is not None else record.get("timestamp")
        time = nanoseconds(moment)
        if time is None:
            return None
        named, began, port = record.get("community_id"), start is not None, record.get("src_port")
        if isinstance(named, str):
            owner = self._history.opener(named, time, began, port)
            if owner is not None:
                return owner
        flow = _flow(record, time, began)
        if flow is None:
            return None
        if not isinstance(named, str) or not self._same_seed:
            own = _id(flow.source, flow.destination, flow.protocol)
            if isinstance(named, str):
                self._same_seed = own == named
            owner = self._history.opener(own, time, began, port)
            if owner is not None:
                return owner
        return self._history.holder(flow)


class Settling:
    """Lines that wait until the history can know of them. Times are any clock's, in seconds."""

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self._settle_s = settle_s
        self._waiting: deque[tuple[float, list[bytes]]] = deque()

    def add(self, now: float, lines: list[bytes]) -> None:
        """Lines that came at `now`."""
        if lines:
            self._waiting.append((now, lines))

    def due(self, now: float) -> list[bytes]:
        """The lines that have waited long enough at `now`."""
        lines: list[bytes] = []
        while self._waiting and now - self._waiting[0][0] >= self._settle_s:
            lines += self._waiting.popleft()[1]
        return lines

    def rest(self) -> list[bytes]:
        """All lines that wait."""
        return self.due(float("inf"))


_DECODER = msgspec.json.Decoder(dict[str, Any])


def _add(record: dict[str, Any], owner: Owner) -> None:
    process = owner.process | {"attribution": owner.attribution, "role": owner.role}
    alert = record.get("alert")
    if isinstance(alert, dict):
        context = alert.get("context")
        alert["context"] = (context if isinstance(context, dict) else {}) | {"process": process}
        return
    metadata = record.setdefault("metadata", {})
    if isinstance(metadata, dict):
        known = metadata.get("flowvars")
        variable = {"key": "process", "value": str(process.get("exe", "")), "process": process}
        metadata["flowvars"] = [*(known if isinstance(known, list) else []), variable]


def _flow(record: dict[str, Any], time: int, began: bool) -> Flow | None:
    """The record's flow; None for one without ports."""
    protocol = _PROTOCOLS.get(str(record.get("proto")).upper())
    source = _endpoint(record.get("src_ip"), record.get("src_port"))
    destination = _endpoint(record.get("dest_ip"), record.get("dest_port"))
    if protocol is None or protocol not in _WITH_PORTS or source is None or destination is None:
        return None
    return Flow(source, destination, protocol, time, began)


@lru_cache(maxsize=1 << 16)
def _id(source: Endpoint, destination: Endpoint, protocol: int) -> str:
    return community_id(source, destination, protocol)


def _endpoint(address: object, port: object) -> Endpoint | None:
    if not isinstance(address, str) or not isinstance(port, int) or not 0 <= port <= 0xFFFF:
        return None
    try:
        if ":" in address:
            return Endpoint(socket.inet_pton(socket.AF_INET6, address), port)
        return Endpoint(_MAPPED + socket.inet_pton(socket.AF_INET, address), port)
    except (OSError, UnicodeEncodeError, ValueError):
        return None
