"""Which host there is reason to block: the source of a scan, or what a denied process reached.

A source on the wire may be forged, to have somebody else blocked. It counts if it completed a
handshake, if the kernel saw a process of its host connect, or if it is this host's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

from procwire.alert import CLOSED, RECEIVER, SOURCE_PROVEN
from procwire.detect.detector import FIRST_PROGRAM, FIRST_SERVICE, FIRST_USE
from procwire.detect.habits import DENIED
from procwire.output.eve import DENIED_FLOW

Address = IPv4Address | IPv6Address

_OF_PROCESSES = frozenset(check.id for check in (FIRST_PROGRAM, FIRST_SERVICE, FIRST_USE))


class Offender(NamedTuple):
    """A host to block. why: for people; process: as in EVE records, if known; is_source: of a scan,
    else a destination; proven: whether the address is known to be no forged one."""

    address: Address
    why: str
    process: Mapping[str, Any] | None
    is_source: bool
    proven: bool


def offender(record: Mapping[str, Any], severity: int) -> Offender | None:
    """Whom an EVE record of procwire gives reason to block. severity: that of a scan at least."""
    if record.get("event_type") == "flow":
        return _denied(record, _of_denied_flow(record))
    alert = _table(record, "alert")
    rule, gravity = _first(alert, "rule"), alert.get("severity")
    if _first(alert, "state") == CLOSED:
        return None
    context = _table(alert, "context")
    evidence, process = _table(context, "evidence"), _table(context, "process") or None
    if rule.startswith("scan."):
        if not isinstance(gravity, int) or gravity > severity:
            return None
        address = _address(record, "src_ip")
        if address is None:
            return None
        if process is not None and process.get("role") == RECEIVER:
            process = None
        # What comes from a raw socket, or was seen on the wire, names the source that it likes.
        connected = process and "in_iface" not in record and "sent_through" not in evidence
        return Offender(address, rule, process, True, bool(connected or SOURCE_PROVEN in evidence))
    if rule in _OF_PROCESSES and evidence.get("state") == DENIED:
        return _denied(record, process)
    return None


def _denied(record: Mapping[str, Any], process: Mapping[str, Any] | None) -> Offender | None:
    """What a denied program has reached."""
    address = _address(record, "dest_ip")
    if process is None or address is None:
        return None
    program = process.get("script") or process.get("exe")
    return Offender(address, f"{program} reached it and is denied", process, False, True)


def _of_denied_flow(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    variables = _table(record, "metadata").get("flowvars")
    for one in variables if isinstance(variables, list) else []:
        if isinstance(one, dict) and one.get("key") == DENIED_FLOW:
            return _table(one, "process") or None
    return None


def _table(one: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = one.get(name)
    return found if isinstance(found, dict) else {}


def _first(alert: Mapping[str, Any], name: str) -> str:
    """The first of the values that an alert's metadata has of a name, empty where there is none."""
    values = _table(alert, "metadata").get(name)
    return str(values[0]) if isinstance(values, list) and values else ""


def _address(record: Mapping[str, Any], name: str) -> Address | None:
    try:
        return ip_address(str(record.get(name)))
    except ValueError:
        return None
