"""How grave an alert is here: what the inventory adds to what a detector saw.

An asset that matters, a scan from one zone into another, and a program that is new here and waits
for approval move the severity by one grade each.
What nothing answered from outside the site was stopped by whatever stands between: it is low.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from procwire.alert import Alert
from procwire.context.inventory import CRITICALITIES, SERIOUS, Asset, Inventory
from procwire.detect.observation import Evidence
from procwire.detect.zones import EXTERNAL, UNKNOWN
from procwire.record import Endpoint

GRAVEST, LOW = 1, 3
# Evidence of attempts that somebody answered: a handshake's end, or a refusal.
_ANSWERS = ("established", "refused", "answering_hosts")


def weighed(
    alert: Alert, inventory: Inventory, home: Endpoint | None, is_new: bool = False
) -> Alert:
    """The alert with what is known of its ends as evidence, and its severity by it.

    home: an address of this host, for processes of which only the targets are known; is_new:
    whether its program waits for approval.
    """
    # What comes for the first time says so itself, and is no graver for it.
    if alert.check.id.startswith("first_seen."):
        is_new = False
    if inventory.is_empty and not is_new:
        return alert
    source = alert.source or (home if alert.process is not None else None)
    targets = [one for one in (alert.destination, *alert.targets) if one is not None]
    told: list[Evidence] = []
    severity = alert.severity
    asset = _gravest([source, *targets], inventory)
    if asset is not None:
        role = f", {asset.role}" if asset.role else ""
        told.append(Evidence("asset", f"{asset.name} ({asset.criticality}{role})"))
        severity -= asset.criticality in SERIOUS
    if alert.packet is None and source is not None:
        here, there = _zones([source], inventory), _zones(targets, inventory) - {UNKNOWN}
        crossed = sorted(there - here)
        if crossed and here != {UNKNOWN}:
            told.append(Evidence("zones", f"{', '.join(here)} -> {', '.join(crossed)}"))
            severity -= 1
        if _is_external(source, inventory) and _is_unanswered(alert):
            told.append(Evidence("blocked", "nothing answered"))
            severity = max(severity, LOW)
    if is_new:
        told.append(Evidence("first_seen", "its program waits for approval"))
        severity -= 1
    if not told:
        return alert
    severity = max(GRAVEST, severity)
    return replace(alert, evidence=(*alert.evidence, *told), severity=severity)


def _gravest(ends: Iterable[Endpoint | None], inventory: Inventory) -> Asset | None:
    """The asset among the ends that matters most."""
    found = (inventory.asset_of(end.address) for end in ends if end is not None)
    known = [asset for asset in found if asset is not None]
    return max(known, key=lambda one: CRITICALITIES.index(one.criticality), default=None)


def _zones(ends: Iterable[Endpoint], inventory: Inventory) -> set[str]:
    return {inventory.zones.names[inventory.zones.number_of(end.address)] for end in ends}


def _is_external(source: Endpoint, inventory: Inventory) -> bool:
    return inventory.zones.kinds[inventory.zones.number_of(source.address)] == EXTERNAL


def _is_unanswered(alert: Alert) -> bool:
    """Whether the alert counts answers and there was none."""
    answers = [float(one.value) for one in alert.evidence if one.name in _ANSWERS]
    return bool(answers) and not any(answers)
