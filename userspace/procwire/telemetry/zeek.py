"""Zeek's conn.log, as its own columns or as JSON lines, with or without dots in names.

A record is a whole connection, written when it ended, at the time at which it began. Who began is
taken from conn_state and history (Zeek's documentation, base/protocols/conn): what was seen from
its middle, or from the answer on, is nobody's attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

import msgspec

from procwire.event import Outcome
from procwire.record import Attempt
from procwire.telemetry.event import Attempted
from procwire.telemetry.lines import Lines
from procwire.telemetry.value import PORTS, PROTOCOLS, address, epoch, moment, number, shown

_STATES = {
    "S0": Outcome.TIMED_OUT,
    "SH": Outcome.TIMED_OUT,
    "RSTOS0": Outcome.TIMED_OUT,
    "REJ": Outcome.REFUSED,
    "S1": Outcome.ESTABLISHED,
    "S2": Outcome.ESTABLISHED,
    "S3": Outcome.ESTABLISHED,
    "SF": Outcome.ESTABLISHED,
    "RSTO": Outcome.ESTABLISHED,
    "RSTR": Outcome.ESTABLISHED,
}
_NOBODY_S = frozenset(("OTH", "SHR", "RSTRH"))
# In history: the originator acknowledged, or sent data.
_WAS_ANSWERED = frozenset("AD")
_ECHO, _ECHO_6 = 8, 128
_TCP, _UDP, _ICMP = PROTOCOLS["tcp"], PROTOCOLS["udp"], PROTOCOLS["icmp"]
_ICMP_6 = PROTOCOLS["icmp6"]


class Connection(NamedTuple):
    """The fields of a record that are of use here, as text; "" for one that is unset."""

    ts: str
    orig_h: str
    orig_p: str
    resp_h: str
    resp_p: str
    proto: str
    conn_state: str
    history: str
    resp_pkts: str


_NAMES = (
    "ts",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "conn_state",
    "history",
    "resp_pkts",
)
_NEEDED = 7


def interpret(record: Connection) -> Attempted | None:
    """The attempt that a record tells of, if any. Raises ValueError for fields that are none."""
    protocol = PROTOCOLS.get(record.proto.lower(), 0)
    port = number(record.resp_p, PORTS)
    source_port = number(record.orig_p, PORTS)
    if protocol == _ICMP:
        # Zeek has one name for ICMP of both versions of IP.
        protocol, echo = (_ICMP_6, _ECHO_6) if ":" in record.orig_h else (_ICMP, _ECHO)
        if source_port != echo:
            return None
        # The answer belongs to the same record, whose state says nothing.
        answered = record.resp_pkts not in ("", "0")
        outcome = Outcome.ESTABLISHED if answered else Outcome.TIMED_OUT
        kind, port, source_port = Attempt.ECHO, source_port, 0
    elif protocol in (_TCP, _UDP):
        state = record.conn_state
        if state in _NOBODY_S:
            return None
        if state not in _STATES:
            raise ValueError(f"found conn_state {shown(state)}, expected one of Zeek's")
        outcome = _STATES[state]
        if outcome == Outcome.TIMED_OUT and not _WAS_ANSWERED.isdisjoint(record.history):
            outcome = Outcome.ESTABLISHED if protocol == _TCP else outcome
        kind = Attempt.CONNECT if protocol == _TCP else Attempt.DATAGRAM
    else:
        return None
    return Attempted(
        time=_time(record.ts),
        host="",
        actor=None,
        source=address(record.orig_h),
        source_port=source_port,
        destination=address(record.resp_h),
        destination_port=port,
        protocol=protocol,
        outcome=outcome,
        kind=kind,
    )


def _time(text: str) -> int:
    return moment(text) if "T" in text else epoch(text)


class _Columns(NamedTuple):
    """What the header lines say. pick: takes Connection's fields out of the values of a line with
    an empty one behind them; width: values that a line must have."""

    separator: str = "\t"
    unset: str = "-"
    is_conn: bool = True
    pick: Callable[[list[str]], tuple[str, ...]] | None = None
    width: int = 0


def read_columns(lines: Lines) -> Iterator[Attempted]:
    """Attempts of a conn.log in columns; logs of other kinds that follow in one input are left
    out."""
    columns = _Columns()
    for place, line in lines:
        try:
            if line.startswith(b"#"):
                columns = _header(columns, line.decode("utf-8", "replace").rstrip("\r"))
                continue
            if not columns.is_conn:
                continue
            event = interpret(_split(columns, line))
        except ValueError as problem:
            lines.malformed(place, str(problem))
            continue
        if event is not None:
            yield event


def _header(columns: _Columns, line: str) -> _Columns:
    name, _, rest = line.partition(" " if line.startswith("#separator") else columns.separator)
    if name == "#separator":
        # Every file begins with it.
        separator = rest.encode("latin-1", "replace").decode("unicode_escape")
        return _Columns(separator=separator or "\t")
    if name == "#unset_field":
        return columns._replace(unset=rest)
    if name == "#path":
        return columns._replace(is_conn=rest.partition(".")[0] == "conn")
    if name != "#fields" or not columns.is_conn:
        return columns
    fields = [field.replace("id_", "id.") for field in rest.split(columns.separator)]
    missing = [field for field in _NAMES[:_NEEDED] if field not in fields]
    if missing:
        raise ValueError(f"found no field {', '.join(missing)}, expected those of conn.log")
    places = [fields.index(field) if field in fields else -1 for field in _NAMES]
    return columns._replace(pick=itemgetter(*places), width=max(places) + 1)


def _split(columns: _Columns, line: bytes) -> Connection:
    if columns.pick is None:
        raise ValueError("found no #fields before it, expected the header of conn.log")
    values = line.decode("utf-8", "replace").rstrip("\r").split(columns.separator)
    if len(values) < columns.width:
        raise ValueError(f"found {len(values)} columns, expected {columns.width}")
    values.append("")
    found = columns.pick(values)
    if columns.unset in found:
        found = tuple("" if value == columns.unset else value for value in found)
    return Connection._make(found)


Scalar = str | int | float | None


class _Json(msgspec.Struct):
    """A record with either spelling; stream: what programs that mix logs call them."""

    ts: Scalar = None
    orig_h: Scalar = msgspec.field(default=None, name="id.orig_h")
    orig_p: Scalar = msgspec.field(default=None, name="id.orig_p")
    resp_h: Scalar = msgspec.field(default=None, name="id.resp_h")
    resp_p: Scalar = msgspec.field(default=None, name="id.resp_p")
    orig_h_: Scalar = msgspec.field(default=None, name="id_orig_h")
    orig_p_: Scalar = msgspec.field(default=None, name="id_orig_p")
    resp_h_: Scalar = msgspec.field(default=None, name="id_resp_h")
    resp_p_: Scalar = msgspec.field(default=None, name="id_resp_p")
    proto: Scalar = None
    conn_state: Scalar = None
    history: Scalar = None
    resp_pkts: Scalar = None
    stream: Scalar = msgspec.field(default=None, name="@stream")
    path: Scalar = msgspec.field(default=None, name="_path")


_JSON = msgspec.json.Decoder(_Json)


def read_json(lines: Lines) -> Iterator[Attempted]:
    """Attempts of a conn.log as JSON lines; records of other logs are left out."""
    for place, line in lines:
        try:
            record = _JSON.decode(line)
            if not _is_conn(record):
                continue
            event = interpret(_of_json(record))
        except (ValueError, RecursionError) as problem:
            lines.malformed(place, str(problem))
            continue
        if event is not None:
            yield event


def _is_conn(record: _Json) -> bool:
    named = record.stream or record.path
    return named == "conn" if named is not None else record.conn_state is not None


def _of_json(record: _Json) -> Connection:
    return Connection(
        _seconds(record.ts),
        *(
            "" if value is None else str(value)
            for value in (
                record.orig_h_ if record.orig_h is None else record.orig_h,
                record.orig_p_ if record.orig_p is None else record.orig_p,
                record.resp_h_ if record.resp_h is None else record.resp_h,
                record.resp_p_ if record.resp_p is None else record.resp_p,
                record.proto,
                record.conn_state,
                record.history,
                record.resp_pkts,
            )
        ),
    )


def _seconds(ts: Scalar) -> str:
    """Six digits are what Zeek writes, and what a double can hold."""
    return f"{ts:.6f}" if isinstance(ts, float) else "" if ts is None else str(ts)
