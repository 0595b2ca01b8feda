"""What the fields of Windows' event log mean, whichever way the log was written down: Sysmon's
events 1, 3, 5 and 22, and the Security log's 4688, 4689, 5156 and 5157. Sysmon for Linux uses the
same names.

Sysmon records a TCP connection once it is established, and nothing of those that fail. The
filtering platform records what it permits (5156) or blocks (5157), and not what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import msgspec

from procwire.event import Outcome
from procwire.record import Attempt
from procwire.telemetry.event import Actor, Attempted, Ended, Event, Resolved, Started
from procwire.telemetry.value import PORTS, PROTOCOLS, address, moment, number

SYSMON, SECURITY = "sysmon", "security"
# Of one name, as many as an answer in one datagram of 4096 bytes has (RFC 6891 6.2.5).
_ADDRESSES = 256

Field = str | int | float | bool | None


class Data(msgspec.Struct, rename="pascal"):
    """The fields of an event that are of use here. Their names are those of the log."""

    utc_time: Field = None
    process_guid: Field = None
    process_id: Field = None
    image: Field = None
    command_line: Field = None
    current_directory: Field = None
    user: Field = None
    original_file_name: Field = None
    parent_process_guid: Field = None
    parent_process_id: Field = None
    parent_image: Field = None
    parent_command_line: Field = None
    parent_user: Field = None
    protocol: Field = None
    initiated: Field = None
    source_ip: Field = None
    source_port: Field = None
    destination_ip: Field = None
    destination_port: Field = None
    query_results: Field = None
    new_process_id: Field = None
    new_process_name: Field = None
    parent_process_name: Field = None
    process_name: Field = None
    subject_user_name: Field = None
    subject_domain_name: Field = None
    target_user_name: Field = None
    target_domain_name: Field = None
    filtered_process_id: Field = msgspec.field(default=None, name="ProcessID")
    application: Field = None
    direction: Field = None
    source_address: Field = None
    dest_address: Field = None
    dest_port: Field = None


class Entry(NamedTuple):
    """One event of a log. channel: the log's name, or the provider's; host: the machine's; written:
    ns since the epoch at which it was logged, of no account where the event has its own time."""

    channel: str
    event_id: int
    host: str
    written: int
    data: Data


def interpret(entry: Entry) -> Event | None:
    """What an event says, None where that is nothing of use. Raises ValueError where a field that
    it must have is not what it should be."""
    meaning = _MEANINGS.get((_log(entry.channel), entry.event_id))
    return None if meaning is None else meaning(entry)


def is_of_use(channel: str, event_id: int) -> bool:
    """Whether interpret() knows such events."""
    return (_log(channel), event_id) in _MEANINGS


def _log(channel: str) -> str:
    low = channel.lower()
    return SYSMON if "sysmon" in low else SECURITY if low.startswith("security") else low


def text(value: Field) -> str:
    """A field's text; a dash stands for nothing."""
    if value is None or value == "-":
        return ""
    return value if isinstance(value, str) else str(value)


def _guid(value: Field) -> str:
    """The part of a GUID that counts; all zeros name nothing."""
    guid = text(value).strip("{}").lower()
    return guid if guid.strip("0-") else ""


def _guid_start(guid: str) -> int:
    """Sysmon writes the second at which a process started into its name, as words 5 and 6."""
    try:
        return int(guid[14:18] + guid[9:13], 16) * 1_000_000_000
    except ValueError:
        return 0


def _happened(entry: Entry) -> int:
    """Sysmon's own time, which is the kernel's; that of the log where it is missing."""
    return moment(entry.data.utc_time) if entry.data.utc_time else entry.written


def _sysmon_actor(data: Data) -> Actor:
    guid = _guid(data.process_guid)
    return Actor(
        # A collector may have lost it; the name is enough.
        pid=0 if guid and data.process_id is None else number(data.process_id),
        guid=guid,
        exe=text(data.image),
        user=text(data.user),
        started=_guid_start(guid),
    )


def _sysmon_started(entry: Entry) -> Event:
    data, time = entry.data, _happened(entry)
    actor = _sysmon_actor(data)
    actor.started = time
    actor.command_line = text(data.command_line)
    actor.cwd = text(data.current_directory) or None
    actor.original = text(data.original_file_name)
    guid = _guid(data.parent_process_guid)
    parent = Actor(
        pid=number(data.parent_process_id or 0),
        guid=guid,
        exe=text(data.parent_image),
        user=text(data.parent_user),
        started=_guid_start(guid),
        command_line=text(data.parent_command_line) or None,
    )
    return Started(time, entry.host, actor, parent)


def _sysmon_ended(entry: Entry) -> Event:
    return Ended(_happened(entry), entry.host, _sysmon_actor(entry.data))


def _sysmon_attempted(entry: Entry) -> Event | None:
    data = entry.data
    # What this host accepts has the client, not a target, in Destination.
    if text(data.initiated).lower() != "true":
        return None
    protocol = PROTOCOLS.get(text(data.protocol).lower(), 0)
    return Attempted(
        time=_happened(entry),
        host=entry.host,
        actor=_sysmon_actor(data),
        source=address(text(data.source_ip)),
        source_port=number(data.source_port or 0, PORTS),
        destination=address(text(data.destination_ip)),
        destination_port=number(data.destination_port, PORTS),
        protocol=protocol,
        outcome=Outcome.ESTABLISHED if protocol == PROTOCOLS["tcp"] else Outcome.SENT,
        kind=Attempt.DATAGRAM if protocol == PROTOCOLS["udp"] else Attempt.CONNECT,
        recorder=SYSMON,
        silent=True,
    )


def _sysmon_resolved(entry: Entry) -> Event | None:
    found = tuple(islice(_addresses(text(entry.data.query_results)), _ADDRESSES))
    if not found:
        return None
    return Resolved(_happened(entry), entry.host, _sysmon_actor(entry.data), found)


def _addresses(results: str) -> Iterator[tuple[int, int]]:
    """Those of "type:  5 alias.example;::ffff:10.0.0.5;"."""
    for one in results.split(";"):
        if one and "type:" not in one:
            with suppress(ValueError):
                yield address(one)


def _account(domain: Field, name: Field) -> str:
    return "\\".join(part for part in (text(domain), text(name)) if part)


def _security_started(entry: Entry) -> Event:
    data = entry.data
    # Who the process runs as, where that is not who started it.
    target = _account(data.target_domain_name, data.target_user_name)
    actor = Actor(
        pid=number(data.new_process_id),
        exe=text(data.new_process_name),
        user=target or _account(data.subject_domain_name, data.subject_user_name),
        started=entry.written,
        command_line=text(data.command_line),
    )
    parent = Actor(pid=number(data.process_id or 0), exe=text(data.parent_process_name))
    return Started(entry.written, entry.host, actor, parent)


def _security_ended(entry: Entry) -> Event:
    data = entry.data
    actor = Actor(pid=number(data.process_id), exe=text(data.process_name))
    return Ended(entry.written, entry.host, actor)


_OUTBOUND = ("%%14593", "Outbound")


def _filtered(outcome: Outcome) -> Callable[[Entry], Event | None]:
    def attempted(entry: Entry) -> Event | None:
        data = entry.data
        if data.direction not in _OUTBOUND:
            return None
        protocol = number(data.protocol, 256)
        pid = data.filtered_process_id if data.process_id is None else data.process_id
        return Attempted(
            time=entry.written,
            host=entry.host,
            actor=Actor(pid=number(pid), exe=text(data.application)),
            source=address(text(data.source_address)),
            source_port=number(data.source_port or 0, PORTS),
            destination=address(text(data.dest_address)),
            destination_port=number(data.dest_port or 0, PORTS),
            protocol=protocol,
            outcome=outcome,
            kind=Attempt.CONNECT if protocol == PROTOCOLS["tcp"] else Attempt.DATAGRAM,
            recorder=SECURITY,
            silent=True,
        )

    return attempted


_MEANINGS: dict[tuple[str, int], Callable[[Entry], Event | None]] = {
    (SYSMON, 1): _sysmon_started,
    (SYSMON, 3): _sysmon_attempted,
    (SYSMON, 5): _sysmon_ended,
    (SYSMON, 22): _sysmon_resolved,
    (SECURITY, 4688): _security_started,
    (SECURITY, 4689): _security_ended,
    (SECURITY, 5156): _filtered(Outcome.SENT),
    (SECURITY, 5157): _filtered(Outcome.DENIED),
}
