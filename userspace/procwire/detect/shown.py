"""What connections show of habits: which of them count, and by what; a habit for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.detect.habits import FAN_OUT, FLOW, PROGRAM, SERVICE, USE, Habit
from procwire.detect.key_map import combined
from procwire.detect.services import has_name
from procwire.detect.sightings import OF_PORT, Fields, Sightings, from_somewhere
from procwire.event import Origin, Outcome

# Linux hands these out to clients and to services without a port of their own (ip-sysctl).
_FIRST_DYNAMIC_PORT = 32768
_MAPPED_LOOPBACK = np.uint64(0xFFFF7F)
_LOOPBACK_SHIFT = np.uint64(24)
# Ports that show the same habits as all such ports.
_IS_ANY = ~has_name(np.arange(1 << 16))
_IS_ANY[:_FIRST_DYNAMIC_PORT] = False


def is_between_stations(rows: Fields) -> NDArray[np.bool_]:
    """Which rows name a source and leave the machine: not for 127.0.0.0/8, ::1 or itself."""
    lo = rows["dst_lo"]
    local = (lo >> _LOOPBACK_SHIFT == _MAPPED_LOOPBACK) | (lo == 1)
    mine = (rows["src_hi"] == rows["dst_hi"]) & (rows["src_lo"] == lo)
    stays: NDArray[np.bool_] = ((rows["dst_hi"] == 0) & local) | mine
    return from_somewhere(rows) & ~stays


def is_carried(rows: Fields) -> NDArray[np.bool_]:
    """Which rows are data that passed: what is refused is no habit of anybody."""
    outcome = rows["outcome"]
    sent = (outcome == Outcome.SENT) & (rows["origin"] != Origin.WIRE)
    carried: NDArray[np.bool_] = (outcome == Outcome.ESTABLISHED) | sent
    return carried


def lasting_port(ports: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Ports that belong to a service, 0 for those that are handed out for a time."""
    return np.where(ports < _FIRST_DYNAMIC_PORT, ports, 0).astype(np.int64)


def keys(seen: Sightings) -> NDArray[np.uint64]:
    """A key (n,) of all that decides which habits a row shows: whose it is, where from, and what
    for."""
    columns, asked = seen.columns, seen.columns.asked()
    ports = columns["dst_port"]
    if ports.max() >= _FIRST_DYNAMIC_PORT:
        asked[_IS_ANY[ports]] &= ~OF_PORT
    parts: list[NDArray[np.unsignedinteger]] = [seen.subject, asked]
    if seen.subject is not seen.source:
        parts += [columns["src_hi"], columns["src_lo"]]
    if len(seen.zones):
        parts.append(seen.zone)
    return combined(*parts)


def thing(habit: Habit) -> str:
    """A habit for people."""
    where = f"{habit.role} in zone {habit.zone}" if habit.role else f"zone {habit.zone}"
    names = {6: "tcp", 17: "udp"}
    protocol = names.get(habit.protocol, f"protocol {habit.protocol}")
    asked = f"{protocol}/{habit.port}" if habit.port else f"{protocol}, any port"
    return {
        PROGRAM: f"{habit.program} in {where}",
        SERVICE: f"{habit.program} speaks {habit.service} in {where}",
        USE: f"{habit.program} asks zone {habit.peer} for {asked} in {where}",
        FAN_OUT: f"{habit.program} as {habit.user} tries up to {habit.targets:,} targets of zone"
        f" {habit.peer} ({habit.service}) in {where}",
        FLOW: f"zone {habit.zone} asks zone {habit.peer} for {asked}",
    }[habit.kind]
