"""laurel: one JSON object for each event of the Linux audit system.

What is not printable is percent-encoded (laurel's json-format.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import msgspec

from procwire.telemetry.audit import Audited, call_name, interpret
from procwire.telemetry.event import Event
from procwire.telemetry.lines import Lines
from procwire.telemetry.value import address, epoch, number

_Field = str | int | None
_UNSET = 2**32 - 1
# laddr and lport, too. From the first address on: nobody goes through the rest for each of them.
_CLEAR = re.compile(r"\A(?>.*?addr=([^\s=]+?)[ }]).*?port=(\d+)", re.DOTALL)


class _Call(msgspec.Struct):
    arch: _Field = None
    syscall: _Field = None
    success: _Field = None
    exit: _Field = None
    pid: _Field = None
    ppid: _Field = None
    uid: _Field = None
    comm: _Field = None
    exe: _Field = None
    name: _Field = msgspec.field(default=None, name="SYSCALL")
    user: _Field = msgspec.field(default=None, name="UID")


class _Arguments(msgspec.Struct):
    argv: list[Any] = msgspec.field(default_factory=list, name="ARGV")


class _Folder(msgspec.Struct):
    cwd: _Field = None


class _Record(msgspec.Struct):
    """SOCKADDR is a list of objects, in old versions one."""

    id: str = msgspec.field(name="ID")
    node: _Field = msgspec.field(default=None, name="NODE")
    call: _Call | None = msgspec.field(default=None, name="SYSCALL")
    execve: _Arguments | None = msgspec.field(default=None, name="EXECVE")
    title: _Arguments | None = msgspec.field(default=None, name="PROCTITLE")
    folder: _Folder | None = msgspec.field(default=None, name="CWD")
    sockaddr: list[dict[str, Any]] | dict[str, Any] | None = msgspec.field(
        default=None, name="SOCKADDR"
    )


_RECORD = msgspec.json.Decoder(_Record)


def read_laurel(lines: Lines) -> Iterator[Event]:
    """Events of laurel's log."""
    for place, line in lines:
        try:
            record = _RECORD.decode(line)
            event = interpret(_audited(record, record.call)) if record.call else None
        except (ValueError, RecursionError) as problem:
            lines.malformed(place, str(problem))
            continue
        if event is not None:
            yield event


def _audited(record: _Record, call: _Call) -> Audited:
    arguments = record.execve or record.title or _Arguments()
    uid = _UNSET if call.uid is None else number(call.uid)
    return Audited(
        time=epoch(record.id.partition(":")[0]),
        host=_text(record.node),
        call=call_name(call.arch, call.name or call.syscall),
        success=call.success == "yes",
        exit=call.exit if isinstance(call.exit, int) else 0,
        pid=number(call.pid),
        parent=number(call.ppid or 0),
        uid=None if uid == _UNSET else uid,
        user=_text(call.user),
        comm=_text(call.comm),
        exe=_text(call.exe),
        argv=tuple(_text(one) for one in arguments.argv if isinstance(one, str)),
        cwd=_text(record.folder.cwd) if record.folder else "",
        sockaddr=_sockaddr(record.sockaddr),
    )


def _text(value: _Field) -> str:
    return "" if value is None else unquote(str(value), errors="replace")


def _sockaddr(records: list[dict[str, Any]] | dict[str, Any] | None) -> bytes:
    """The kernel's bytes; made again where only the clear text is there."""
    for record in [records] if isinstance(records, dict) else records or []:
        for name in ("saddr", "SADDR"):
            value = record.get(name)
            if isinstance(value, dict):
                return _made(
                    value.get("laddr", value.get("addr")), value.get("lport", value.get("port"))
                )
            if isinstance(value, str):
                clear = _CLEAR.search(value)
                return _made(clear[1], clear[2]) if clear else unquote_to_bytes(value)
    return b""


def _made(host: object, port: object) -> bytes:
    """struct sockaddr_in6 of an address in clear text, IPv4 mapped."""
    if not isinstance(host, str):
        return b""
    high, low = address(host)
    whole = high.to_bytes(8) + low.to_bytes(8)
    return b"\x0a\0" + number(port, 65536).to_bytes(2) + bytes(4) + whole
