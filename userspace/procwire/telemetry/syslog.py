"""Messages of syslog: as plain lines with or without their header, or in JSON records of a
collector."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from procwire.telemetry.lines import Lines

# RFC 3164 4.1 and RFC 5424 6.2: priority, version, time, host.
_HEADER = re.compile(
    r"(?:<\d{1,3}>\d?)? ?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\S+) (\S+) "
)


class _Collected(msgspec.Struct):
    """Fields by which collectors call the message and the machine."""

    syslog_message: str | None = msgspec.field(default=None, name="SyslogMessage")
    message: str | None = None
    computer: str | None = msgspec.field(default=None, name="Computer")
    host_name: str | None = msgspec.field(default=None, name="HostName")
    hostname: str | None = None


_COLLECTED = msgspec.json.Decoder(_Collected)


def message_in(line: bytes) -> str:
    """The message in a collector's record, "" where there is none."""
    try:
        record = _COLLECTED.decode(line)
    except (ValueError, RecursionError):
        return ""
    return record.syslog_message or record.message or ""


def messages(lines: Lines) -> Iterator[tuple[int, str, str]]:
    """Line number, machine ("" where it is not told) and text of each message."""
    for place, line in lines:
        if not line.lstrip().startswith(b"{"):
            text = line.decode("utf-8", "replace").rstrip("\r")
            header = _HEADER.match(text)
            yield place, header[1] if header else "", text
            continue
        try:
            record = _COLLECTED.decode(line)
        except (ValueError, RecursionError) as problem:
            lines.malformed(place, str(problem))
            continue
        message = record.syslog_message or record.message
        if message:
            host = record.computer or record.host_name or record.hostname or ""
            yield place, host, message
