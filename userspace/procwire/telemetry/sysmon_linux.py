"""Sysmon for Linux: the events of Sysmon for Windows as XML in the messages of syslog, which cuts
those that are too long. Of an event that is cut the fields before are read.
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
from procwire.telemetry.windows import SYSMON, Data, Entry, interpret, is_of_use

EVENT = "<EventID>"
_ID = re.compile(r"<EventID[^>]*>(\d+)<")
_COMPUTER = re.compile(r"<Computer>([^<]*)<")
_CREATED = re.compile(r"<TimeCreated SystemTime=[\"']([^\"']+)[\"']")
_DATA = re.compile(r"<Data Name=[\"'](\w+)[\"']>([^<]*)</Data>")


def read_sysmon_linux(lines: Lines) -> Iterator[Event]:
    """Events of Sysmon for Linux."""
    for place, host, text in messages(lines):
        if EVENT not in text and "<EventID " not in text:
            continue
        try:
            entry = _entry(text, host)
            event = entry and interpret(entry)
        except (ValueError, msgspec.MsgspecError) as problem:
            lines.malformed(place, str(problem))
            continue
        if event is not None:
            yield event


def _entry(text: str, host: str) -> Entry | None:
    found, created = _ID.search(text), _CREATED.search(text)
    event_id = number(found[1]) if found else 0
    if not is_of_use(SYSMON, event_id):
        return None
    if created is None:
        raise ValueError("found no TimeCreated, expected it in each event")
    computer = _COMPUTER.search(text)
    fields = {name: html.unescape(value) for name, value in _DATA.findall(text)}
    data = msgspec.convert(fields, Data)
    return Entry(SYSMON, event_id, computer[1] if computer else host, moment(created[1]), data)
