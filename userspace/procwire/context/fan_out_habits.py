"""Which habits an alert of a scan shows: what a program does here again and again, as monitors do.

A habit is narrow, so that nobody hides behind another's: the same executable or script, run by the
same user, seen by the same detector, into the same zone, no larger than to the next power of ten.
What runs whatever it is told to (an interpreter without a script, a job of many programs), a known
scanner, and a process that was only inferred have none.
"""

from __future__ import annotations

from msgspec.structs import replace

from procwire.alert import SENDER, Alert
from procwire.context.inventory import Inventory
from procwire.detect.detector import DETECTORS, KNOWN_SCANNER, NEW_PROCESS
from procwire.detect.habits import FAN_OUT, LARGEST, SMALLEST, Habit
from procwire.detect.observation import Endpoint
from procwire.record import Process, interpreter

_SCANS = {one.id for one in DETECTORS if one.id.startswith("scan.")} | {NEW_PROCESS.id}
_CERTAIN = ("kernel", "snapshot", "recorded")
_SCANNER = KNOWN_SCANNER.id.partition(".")[2]


def fan_out_habits(alert: Alert, inventory: Inventory, home: Endpoint | None) -> list[Habit]:
    """The habits, one for each zone that the alert's targets lie in; none where it shows none.

    home: an address of this host, for processes of which only the targets are known.
    """
    process, figure = alert.process, alert.evidence[0].value if alert.evidence else None
    if process is None or not isinstance(figure, int) or not _may_have_habits(alert, process):
        return []
    source = alert.source or home
    size = SMALLEST
    while size < figure:
        size *= 10
    if size > LARGEST:
        return []
    habit = Habit(
        kind=FAN_OUT,
        role=inventory.role_of(source.address) if source is not None else "",
        zone=_zone(source, inventory),
        program=process.identity,
        service=alert.check.id,
        user=process.user,
        targets=size,
    )
    reached = {_zone(one, inventory) for one in (alert.destination, *alert.targets)}
    return [replace(habit, peer=peer) for peer in sorted(reached)]


def _may_have_habits(alert: Alert, process: Process) -> bool:
    if alert.check.id not in _SCANS or alert.role != SENDER or alert.job is not None:
        return False
    if interpreter(process.exe) is not None and process.script is None:
        return False
    scans = any(one.name == _SCANNER for one in alert.evidence)
    return process.attribution in _CERTAIN and not scans


def _zone(end: Endpoint | None, inventory: Inventory) -> str:
    number = inventory.zones.number_of(end.address) if end is not None else 0
    return inventory.zones.names[number]
