"""What connections show of habits: which of them count, and their ports; a habit for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.detect.fields import Fields
from procwire.detect.habits import FAN_OUT, FLOW, PROGRAM, SERVICE, USE, Habit
from procwire.event import Origin, Outcome
from procwire.record import FIRST_DYNAMIC_PORT


def is_carried(rows: Fields) -> NDArray[np.bool_]:
    """Which rows are data that passed: what is refused is no habit of anybody."""
    outcome = rows["outcome"]
    sent = (outcome == Outcome.SENT) & (rows["origin"] != Origin.WIRE)
    carried: NDArray[np.bool_] = (outcome == Outcome.ESTABLISHED) | sent
    return carried


def lasting_port(ports: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Ports that belong to a service, 0 for those that are handed out for a time."""
    return np.where(ports < FIRST_DYNAMIC_PORT, ports, 0).astype(np.int64)


def thing(habit: Habit) -> str:
    """A habit for people."""
    where = f"{habit.role} in zone {habit.zone}" if habit.role else f"zone {habit.zone}"
    names = {6: "tcp", 17: "udp"}
    protocol = names.get(habit.protocol, f"protocol {habit.protocol}")
    program = habit.program or "an unknown program"
    asked = f"{protocol}/{habit.port}" if habit.port else f"{protocol}, any port"
    return {
        PROGRAM: f"{program} in {where}",
        SERVICE: f"{program} speaks {habit.service} in {where}",
        USE: f"{program} asks zone {habit.peer} for {asked} in {where}",
        FAN_OUT: f"{program} as {habit.user} tries up to {habit.targets:,} targets of zone"
        f" {habit.peer} ({habit.service}) in {where}",
        FLOW: f"zone {habit.zone} asks zone {habit.peer} for {asked}",
    }[habit.kind]
