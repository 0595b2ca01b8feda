"""auditd's own log: lines of name=value, several of one serial number to an event, which other
events may come between. auoms writes an event on one line.

Texts that hold anything unusual are written in hexadecimal; what ausearch or auditd adds in clear
text follows, with or without a separator.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator

from procwire.telemetry.audit import Audited, call_name, interpret
from procwire.telemetry.event import TEXT_LIMIT, Event
from procwire.telemetry.lines import Lines
from procwire.telemetry.syslog import messages
from procwire.telemetry.value import epoch, number

# Whatever a line holds, no part of it is gone through for each beginning of a match before it.
RECORD = re.compile(
    r"(?:\bnode=(?P<node>[^\s=]+) )?\btype=(?P<type>\w+) "
    r"(?:msg=)?audit\((?P<time>[-\d.]+):(?P<serial>\d+)\):"
)
_FIELD = re.compile(r"(?<![\w\[\]])([\w\[\]]+)=(\"[^\"]*\"|[^\s\"\x1d]*)")
_SADDR = re.compile(r"\bsaddr=([0-9A-Fa-f]+)")
_ARGUMENT = re.compile(r"a(\d+)(?:\[(\d+)\])?")
_HEXADECIMAL = re.compile(r"(?:[0-9A-F]{2})+")
# Events of which some records are still to come.
_OPEN = 256
# Characters of arguments: one that is kept may be written as eight, in hexadecimal of UTF-8.
_ARGUMENTS = 8 * TEXT_LIMIT
_NO_TEXT = ("(null)", "(none)", "?")
_AUOMS = "AUOMS_"
_UNSET = 2**32 - 1

_Key = tuple[str, str, str]


class _Event:
    """What is known of an event so far. arguments: by place and part."""

    def __init__(self, place: int, audited: Audited) -> None:
        self.place, self.audited = place, audited
        self.arguments: dict[tuple[int, int], str] = {}
        self._room = _ARGUMENTS

    def add_argument(self, place: int, part: int, value: str) -> None:
        """Take an argument, or a part of one, unless there were more than anybody keeps."""
        if self._room > 0:
            self._room -= len(value) + 1
            self.arguments[place, part] = value

    def finished(self) -> Event | None:
        """What it says, with its arguments put together."""
        whole: dict[int, str] = {}
        for (place, _), part in sorted(self.arguments.items()):
            whole[place] = whole.get(place, "") + part
        if whole:
            self.audited.argv = tuple(_text(one) for one in whole.values())
        return interpret(self.audited)


def read_audit(lines: Lines) -> Iterator[Event]:
    """Events of auditd's log, also where syslog carries it."""
    open_events: OrderedDict[_Key, _Event] = OrderedDict()
    for place, host, line in messages(lines):
        record = RECORD.search(line)
        if record is None:
            if "audit(" in line:
                lines.malformed(place, "found no type and serial number, expected those of auditd")
            continue
        kind = record["type"]
        key = (record["node"] or host, record["time"], record["serial"])
        try:
            event = open_events.get(key)
            if event is None:
                event = open_events[key] = _Event(place, Audited(epoch(key[1]), key[0]))
            _enter(event, kind, line[record.end() :])
        except ValueError as problem:
            lines.malformed(place, str(problem))
            open_events.pop(key, None)
            continue
        if kind == "EOE" or kind.startswith(_AUOMS):
            yield from _finished(lines, open_events.pop(key))
        elif len(open_events) > _OPEN:
            yield from _finished(lines, open_events.popitem(last=False)[1])
    for event in open_events.values():
        yield from _finished(lines, event)


def _finished(lines: Lines, event: _Event) -> Iterator[Event]:
    try:
        found = event.finished()
    except ValueError as problem:
        lines.malformed(event.place, str(problem))
        return
    if found is not None:
        yield found


def _enter(event: _Event, kind: str, text: str) -> None:
    """Take what a record has to say."""
    audited = event.audited
    if kind == "SYSCALL" or kind.startswith(_AUOMS):
        _enter_call(audited, text)
    if kind == "SOCKADDR" or kind.startswith(_AUOMS):
        found = _SADDR.search(text)
        if found is not None:
            # An odd digit more belongs to what follows.
            digits = found[1]
            audited.sockaddr = bytes.fromhex(digits[: len(digits) // 2 * 2])
    elif kind == "EXECVE":
        for name, value in _FIELD.findall(text):
            argument = _ARGUMENT.fullmatch(name)
            if argument is not None:
                event.add_argument(int(argument[1]), int(argument[2] or 0), value)
    elif kind == "CWD":
        audited.cwd = _text(dict(_FIELD.findall(text)).get("cwd", ""))
    elif kind == "PROCTITLE" and not audited.argv:
        title = _text(dict(_FIELD.findall(text)).get("proctitle", ""))
        audited.argv = tuple(title.rstrip("\0").split("\0"))


def _enter_call(audited: Audited, text: str) -> None:
    fields: dict[str, str] = dict(_FIELD.findall(text))
    if "syscall" not in fields:
        raise ValueError("found no syscall, expected its number or name")
    audited.call = call_name(fields.get("arch", ""), fields.get("SYSCALL", fields["syscall"]))
    audited.success = fields.get("success", "").strip('"') == "yes"
    audited.exit = _signed(fields.get("exit", "0"))
    audited.pid = number(fields.get("pid", ""))
    audited.parent = number(fields.get("ppid", "0"))
    uid = number(fields.get("uid", str(_UNSET)))
    audited.uid = None if uid == _UNSET else uid
    audited.user = _text(fields.get("UID", fields.get("user", "")))
    audited.comm = _text(fields.get("comm", ""))
    audited.exe = _text(fields.get("exe", ""))
    audited.cwd = _text(fields.get("cwd", "")) or audited.cwd
    line, ended, _ = text.partition(" cmdline=")[2].partition(" redactors=")
    if ended:
        # auoms quotes it without escapes.
        audited.command_line = line.removeprefix('"').removesuffix('"')


def _signed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _text(value: str) -> str:
    """A text as it was: quoted, or in hexadecimal where it holds what a quoted one may not."""
    if value.startswith('"'):
        return value.strip('"')
    if value in _NO_TEXT:
        return ""
    if len(value) > 1 and _HEXADECIMAL.fullmatch(value):
        return bytes.fromhex(value).decode("utf-8", "replace")
    return value
