"""Windows events as XML, one to a line (wevtutil), and those of Sysmon for Linux, which lie in the
messages of syslog. Syslog cuts what is too long: of such an event the fields before are read.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import msgspec

from procwire.telemetry.event import Event
from procwire.telemetry.lines import Lines
from procwire.telemetry.syslog import messages
from procwire.telemetry.value import moment, number
from procwire.telemetry.windows import Data, Entry, interpret, is_of_use

# Whatever a line holds, no part of it is gone through for each beginning of a match before it.
_ID = re.compile(r"<EventID[^<>]*>(\d+)<")
_CHANNEL = re.compile(r"<Channel>([^<]*)<")
_COMPUTER = re.compile(r"<Computer>([^<]*)<")
_CREATED = re.compile(r"<TimeCreated SystemTime=[\"']([^\"']+)[\"']")
_DATA = re.compile(r"<Data Name=[\"'](\w+)[\"']>([^<]*)</Data>")


def read_xml(lines: Lines) -> Iterator[Event]:
    """Events of each line that holds one."""
    for place, host, text in messages(lines):
        if "<EventID" not in text:
            continue
        try:
            entry = _entry(text, host)
            event = entry and interpret(entry)
        except (ValueError, RecursionError) as problem:
            lines.malformed(place, str(problem))
            continue
        if event is not None:
            yield event


def _entry(text: str, host: str) -> Entry | None:
    found, created = _ID.search(text), _CREATED.search(text)
    event_id = number(found[1]) if found else 0
    named = _CHANNEL.search(text)
    channel = named[1] if named else ""
    if not is_of_use(channel, event_id):
        return None
    if created is None:
        raise ValueError("found no TimeCreated, expected it in each event")
    computer = _COMPUTER.search(text)
    fields = {name: html.unescape(value) for name, value in _DATA.findall(text)}
    data = msgspec.convert(fields, Data)
    return Entry(channel, event_id, computer[1] if computer else host, moment(created[1]), data)
