"""Windows events as JSON lines, in the shapes that are met: flat, every field on one level (NXLog,
the Mordor recordings); Winlogbeat, below "winlog" or, before version 7, on top; and the log's own
structure (evtx_dump), which the EVTX reader hands out, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from procwire.telemetry.event import Event
from procwire.telemetry.lines import Lines
from procwire.telemetry.value import local_moment, moment, number, shown
from procwire.telemetry.windows import Data, Entry, Field, interpret, is_of_use, text


class _Flat(Data):
    """Header fields beside those of the event. Channel and provider name the same."""

    event_id: Field = msgspec.field(default=None, name="EventID")
    channel: Field = None
    source_name: Field = None
    hostname: Field = None
    computer: Field = None
    event_time: Field = None
    received: Field = msgspec.field(default=None, name="@timestamp")


class _Process(msgspec.Struct):
    """ECS: what Winlogbeat's modules move out of the event's own fields."""

    pid: Field = None
    entity_id: Field = None
    executable: Field = None
    command_line: Field = None
    working_directory: Field = None
    parent: _Process | None = None


class _Peer(msgspec.Struct):
    ip: Field = None
    port: Field = None


class _Network(msgspec.Struct):
    transport: Field = None
    direction: Field = None


class _User(msgspec.Struct):
    name: Field = None
    domain: Field = None


class _Winlog(msgspec.Struct):
    event_id: Field = None
    channel: Field = None
    provider_name: Field = None
    computer_name: Field = None
    event_data: Data | None = None


class _Beat(msgspec.Struct):
    """Winlogbeat 7 and later; the last fields are those of version 6."""

    timestamp: Field = msgspec.field(default=None, name="@timestamp")
    winlog: _Winlog | None = None
    process: _Process | None = None
    source: _Peer | None = None
    destination: _Peer | None = None
    network: _Network | None = None
    user: _User | None = None
    event_id: Field = None
    log_name: Field = None
    computer_name: Field = None
    event_data: Data | None = None


class _TimeCreated(msgspec.Struct):
    system_time: Field = msgspec.field(default=None, name="SystemTime")


class _Attributes(msgspec.Struct):
    attributes: _TimeCreated | None = msgspec.field(default=None, name="#attributes")


class _Qualified(msgspec.Struct):
    """An event's number with qualifiers beside it, as old providers have it."""

    value: int = msgspec.field(name="#text")


class _System(msgspec.Struct, rename="pascal"):
    event_id: _Qualified | int | str = msgspec.field(name="EventID")
    channel: Field = None
    computer: Field = None
    time_created: _Attributes | None = None


class _Logged(msgspec.Struct, rename="pascal"):
    system: _System
    event_data: msgspec.Raw = msgspec.Raw(b"null")


class _LogEvent(msgspec.Struct, rename="pascal"):
    event: _Logged


_FLAT = msgspec.json.Decoder(_Flat)
_BEAT = msgspec.json.Decoder(_Beat)
_LOG = msgspec.json.Decoder(_LogEvent)
_DATA = msgspec.json.Decoder(Data)


def read_flat(lines: Lines) -> Iterator[Event]:
    """Events of flat records."""
    return _read(lines, _flat)


def read_winlogbeat(lines: Lines) -> Iterator[Event]:
    """Events of Winlogbeat's records."""
    return _read(lines, _beat)


def read_structured(lines: Lines) -> Iterator[Event]:
    """Events in the log's own structure."""
    return _read(lines, structured)


def _read(lines: Lines, entry: object) -> Iterator[Event]:
    assert callable(entry)
    for place, line in lines:
        try:
            found = entry(line)
            event = found and interpret(found)
        except (ValueError, RecursionError) as problem:
            lines.malformed(place, str(problem))
            continue
        if event is not None:
            yield event


def _flat(line: bytes) -> Entry | None:
    record = _FLAT.decode(line)
    channel = text(record.channel) or text(record.source_name)
    event_id = number(record.event_id)
    if not is_of_use(channel, event_id):
        return None
    host = text(record.hostname) or text(record.computer)
    return Entry(channel, event_id, host, _flat_time(record), record)


def _flat_time(record: _Flat) -> int:
    """NXLog writes the time of the event in the local zone and does not say which; @timestamp is
    when the record arrived."""
    if record.utc_time is not None:
        return 0
    received = moment(record.received) if record.received else None
    if record.event_time is None:
        if received is None:
            raise ValueError("found neither EventTime nor @timestamp, expected a time")
        return received
    if received is None:
        return moment(record.event_time)
    return local_moment(record.event_time, received)


def _beat(line: bytes) -> Entry | None:
    record = _BEAT.decode(line)
    log = record.winlog or _Winlog(
        event_id=record.event_id,
        channel=record.log_name,
        computer_name=record.computer_name,
        event_data=record.event_data,
    )
    channel = text(log.channel) or text(log.provider_name)
    event_id = number(log.event_id)
    if not is_of_use(channel, event_id):
        return None
    data = log.event_data or Data()
    _from_ecs(data, record)
    return Entry(channel, event_id, text(log.computer_name), moment(record.timestamp), data)


def _from_ecs(data: Data, record: _Beat) -> None:
    """Fill in what a module has moved."""
    process = record.process or _Process()
    parent = process.parent or _Process()
    source, destination = record.source or _Peer(), record.destination or _Peer()
    network, user = record.network or _Network(), record.user or _User()
    outbound = text(network.direction) in ("outbound", "egress")
    name = "\\".join(part for part in (text(user.domain), text(user.name)) if part)
    moved: Iterable[tuple[str, Field]] = (
        ("process_id", process.pid),
        ("process_guid", process.entity_id),
        ("image", process.executable),
        ("application", process.executable),
        ("new_process_id", process.pid),
        ("new_process_name", process.executable),
        ("command_line", process.command_line),
        ("current_directory", process.working_directory),
        ("parent_process_id", parent.pid),
        ("parent_process_guid", parent.entity_id),
        ("parent_image", parent.executable),
        ("parent_process_name", parent.executable),
        ("parent_command_line", parent.command_line),
        ("source_ip", source.ip),
        ("source_address", source.ip),
        ("source_port", source.port),
        ("destination_ip", destination.ip),
        ("dest_address", destination.ip),
        ("destination_port", destination.port),
        ("dest_port", destination.port),
        ("protocol", network.transport),
        ("initiated", "true" if outbound else "false" if network.direction else None),
        ("direction", "Outbound" if outbound else None),
        ("user", name or None),
    )
    for field, value in moved:
        if value is not None and getattr(data, field) is None:
            setattr(data, field, value)


def structured(line: bytes | str) -> Entry | None:
    """An event in the log's own structure. Raises ValueError or RecursionError where it is none."""
    logged = _LOG.decode(line).event
    system = logged.system
    event_id = system.event_id
    known_as = event_id.value if isinstance(event_id, _Qualified) else number(event_id)
    channel = text(system.channel)
    if not is_of_use(channel, known_as):
        return None
    data = _DATA.decode(logged.event_data) if logged.event_data != b"null" else Data()
    return Entry(channel, known_as, text(system.computer), _created(system), data)


def _created(system: _System) -> int:
    created = system.time_created and system.time_created.attributes
    with suppress(AttributeError):
        return moment(created.system_time)  # type: ignore[union-attr]
    raise ValueError(f"found {shown(created)}, expected TimeCreated")
