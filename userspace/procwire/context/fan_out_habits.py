"""Which habits an alert of a scan shows: what a program does here again and again, as monitors do.

A habit is narrow, so that nobody hides behind another's: the same executable or script, run by the
same user, seen by the same detector, into the same zone, no larger than to the next power of ten.
What runs whatever it is told to (an interpreter without a script, a job of many programs), a known
scanner, a process whose program is not known, and one that was only inferred have none.

What is told while they are learned depends on what is known of the answers. Attempts that failed
are a scan. Of echo requests by a raw socket the kernel says no more than that they were sent, which
a monitor's are as well: they are told as what they are, once, as seen for the first time.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto

from msgspec.structs import replace

from procwire.alert import SENDER, Alert
from procwire.context.inventory import Inventory
from procwire.detect.detector import DETECTORS, ICMP_SWEEP, NEW_PROCESS
from procwire.detect.figures import SENT_THROUGH
from procwire.detect.habits import FAN_OUT, LARGEST, SMALLEST, Habit, Standing
from procwire.record import Endpoint, Process, interpreter

_SCANS = {one.id for one in DETECTORS if one.id.startswith("scan.")} | {NEW_PROCESS.id}
_CERTAIN = ("kernel", "snapshot", "recorded")


class Telling(Enum):
    """What becomes of a scan's alert: told as it is, told as what a program does for the first
    time, or kept back."""

    AS_IT_IS = auto()
    AS_FIRST_SEEN = auto()
    NOT = auto()


def telling(alert: Alert, severity: int, standings: list[Standing]) -> Telling:
    """severity: by what is known of the site; standings: of the habits that the alert shows."""
    seen = set(standings)
    if not seen or Standing.STRANGE in seen:
        return Telling.AS_IT_IS
    if seen == {Standing.USUAL}:
        return Telling.NOT
    # A zone crossed, or an asset that matters, makes it more than a habit.
    is_untold = any(one.name == SENT_THROUGH for one in alert.evidence)
    if alert.check is not ICMP_SWEEP or not is_untold or severity < alert.check.severity:
        return Telling.AS_IT_IS
    return Telling.AS_FIRST_SEEN if Standing.LEARNED_NOW in seen else Telling.NOT


def fan_out_habits(
    alert: Alert, inventory: Inventory, home: Endpoint | None, scanners: Collection[str] = ()
) -> list[Habit]:
    """The habits, one for each zone that the alert's targets lie in; none where it shows none.

    home: an address of this host, for processes of which only the targets are known; scanners:
    names of scanning programs in lower case.
    """
    process, figure = alert.process, alert.evidence[0].value if alert.evidence else None
    if process is None or not isinstance(figure, int) or not _may_have_habits(alert, process):
        return []
    if process.program in scanners:
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
    # A program that nobody knows could be any.
    if not process.identity:
        return False
    if interpreter(process.exe) is not None and process.script is None:
        return False
    return process.attribution in _CERTAIN


def _zone(end: Endpoint | None, inventory: Inventory) -> str:
    number = inventory.zones.number_of(end.address) if end is not None else 0
    return inventory.zones.names[number]
