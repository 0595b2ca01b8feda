"""Which records an input holds, told by its content: the only place that knows all formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from procwire.capture.source import Source
from procwire.telemetry import (
    audit_text,
    event_log,
    laurel,
    suricata,
    windows_json,
    windows_xml,
    zeek,
)
from procwire.telemetry.event import Event, shorten
from procwire.telemetry.faults import Faults
from procwire.telemetry.lines import Lines
from procwire.telemetry.syslog import message_in

Reader = Callable[[Source, Faults], Iterator[Event]]
LineReader = Callable[[Lines], Iterator[Event]]

LOOKED_AT = 1 << 18
"""Bytes of an input, at most, by which its format is told."""
_LINES = 200


class Format(NamedTuple):
    """name: for people; read: the events of a source, as shorten() leaves them, its malformed
    records counted."""

    name: str
    read: Reader


def _format(name: str, read: Reader) -> Format:
    def events(source: Source, faults: Faults) -> Iterator[Event]:
        for event in read(source, faults):
            shorten(event)
            yield event

    return Format(name, events)


def _of_lines(name: str, read: LineReader) -> Format:
    return _format(name, lambda source, faults: read(Lines(source, faults)))


EVENT_LOG = _format("Windows event log", event_log.read_event_log)
_FLAT = _of_lines("Windows events, flat JSON", windows_json.read_flat)
_BEAT = _of_lines("Winlogbeat", windows_json.read_winlogbeat)
_STRUCTURED = _of_lines("Windows events, structured JSON", windows_json.read_structured)

_ZEEK_JSON = _of_lines("Zeek conn.log, JSON", zeek.read_json)
_ZEEK = _of_lines("Zeek conn.log", zeek.read_columns)

_EVE = _of_lines("Suricata EVE", suricata.read_eve)
_LAUREL = _of_lines("laurel", laurel.read_laurel)
_AUDIT = _of_lines("auditd", audit_text.read_audit)
_XML = _of_lines("Windows events, XML", windows_xml.read_xml)

# What a line holds -> its format.
_TEXT: tuple[tuple[re.Pattern[bytes], Format], ...] = (
    (re.compile(rb"#path\s+conn\b"), _ZEEK),
    # From the first event on: nobody goes through the rest for each of them.
    (re.compile(rb"\A(?>.*?<Event[ >]).*<EventID[ >]"), _XML),
    (re.compile(rb"\btype=\w+ (?:msg=)?audit\(\d+\.\d+:\d+\)"), _AUDIT),
)
# Keys that a record has -> its format; the first that fits.
_JSON: tuple[tuple[tuple[str, ...], Format], ...] = (
    (("ID", "SYSCALL"), _LAUREL),
    (("event_type", "timestamp"), _EVE),
    (("Event",), _STRUCTURED),
    (("winlog",), _BEAT),
    (("event_id", "event_data"), _BEAT),
    (("EventID", "Hostname"), _FLAT),
    (("EventID", "Computer"), _FLAT),
    (("EventID", "Channel"), _FLAT),
    (("id.orig_h", "conn_state"), _ZEEK_JSON),
    (("id_orig_h", "conn_state"), _ZEEK_JSON),
)


def recognise(source: Source) -> Format | None:
    """The format of an input's records, None for what is none that is known."""
    head = source.data[:LOOKED_AT].tobytes()
    if head.startswith(event_log.MAGIC):
        return EVENT_LOG
    looked_at = Source(source.path, source.data[:LOOKED_AT])
    for number, line in Lines(looked_at, Faults(source.path)):
        if number > _LINES:
            break
        found = _of_json(line) if line.lstrip().startswith(b"{") else _of_text(line)
        if found is not None:
            return found
    return None


def _of_text(line: bytes) -> Format | None:
    return next((one for pattern, one in _TEXT if pattern.search(line)), None)


def _of_json(line: bytes) -> Format | None:
    try:
        record = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return None
    found = next((one for keys, one in _JSON if all(key in record for key in keys)), None)
    # A collector's record is known by the message that it carries.
    return found or _of_text(message_in(line).encode())
