"""EVE JSON lines, the default output: alerts, anomalies and statistics in Suricata's own schema.

What Suricata has no field for goes where its schema leaves room: alert.metadata (arrays of
strings), alert.context (process, evidence), for our counters metadata.flowints, and for what an
anomaly has in common with an alert, metadata.flowvars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET

from procwire.alert import Alert
from procwire.detect.observation import Evidence, Job
from procwire.event import Subject
from procwire.output.address import address_text, ip_version, protocol_name
from procwire.output.community_id import flow_digest, id_of
from procwire.output.eve_record import AlertObject, Context, FlowRecord, Metadata, Record
from procwire.output.printable import is_harmful
from procwire.output.timestamp import timestamp
from procwire.record import Endpoint, Process

DENIED_FLOW = "denied"
"""Key of the variable of a denied program's flow."""

# Where a packet has a type and a code in place of ports.
ICMP = frozenset((1, 58))
_WITH_COMMUNITY_ID = frozenset((1, 6, 17, 58, 132))
# Check family -> Suricata's anomaly type; the rest is found while decoding.
_ANOMALY_TYPES = {"stream": "stream", "tcp": "stream"}

# Our counter -> Suricata's place for the same number.
SURICATA_STATS = {
    "packets": ("decoder", "pkts"),
    "bytes": ("decoder", "bytes"),
    "episodes.alerts": ("detect", "alert"),
}


@dataclass(frozen=True)
class Source:
    """Where the packets came from: a file, by the path as it was given, or an interface."""

    pcap_filename: str | None = None
    in_iface: str | None = None

    @cached_property
    def fields(self) -> Record:
        """What every record tells of it."""
        named = {"in_iface": self.in_iface, "pcap_filename": self.pcap_filename}
        return {name: value for name, value in named.items() if value is not None}


def lines(alerts: Iterable[Alert], source: Source) -> bytes:
    """The alerts' records, one JSON object a line."""
    return b"".join([encode(_written(alert, source)) for alert in alerts])


def encode(one: Any) -> bytes:
    """One line of JSON: a record, or what a command lists. Characters that a terminal would obey
    are written as \\u escapes."""
    try:
        line = msgspec.json.encode(one)
    except UnicodeEncodeError:
        line = msgspec.json.encode(_valid(msgspec.to_builtins(one)))
    # What JSON escapes by itself are the control characters below the space.
    if not line.isascii() or b"\x7f" in line:
        line = re.sub(r"[^ -~]", _json_escape, line.decode()).encode()
    return line + b"\n"


def record(alert: Alert, source: Source) -> Record:
    """The record of one alert, by names, for whoever reads it here: an anomaly for a check of tier
    B whose context was not seen to hold, else an alert."""
    shown: Record = msgspec.json.decode(encode(_written(alert, source)))
    return shown


def denied_record(contact: Alert, source: Source) -> Record:
    """A flow of a denied program, each of which an alert tells only at first; for those who act on
    it. What it was is a variable of the flow."""
    process = _subject(contact)
    variable = {"key": DENIED_FLOW, "value": str(process.get("exe", "")), "process": process}
    made = _begun(contact, source, "flow")
    made.metadata = {"flowvars": [variable]}
    shown: Record = msgspec.to_builtins(made)
    return shown


def stats_record(time: int, counters: Mapping[str, int], source: Source) -> Record:
    """Every counter under its own name in metadata.flowints, those that Suricata counts too in
    stats as well. time: ns since the epoch, of the last packet."""
    stats: dict[str, dict[str, int]] = {"detect": {}}
    for name, (section, field) in SURICATA_STATS.items():
        if name in counters:
            stats.setdefault(section, {})[field] = counters[name]
    return {
        "timestamp": timestamp(time),
        "event_type": "stats",
        **source.fields,
        "stats": stats,
        "metadata": {"flowints": dict(counters)},
    }


def _written(alert: Alert, source: Source) -> FlowRecord:
    """As record(). An anomaly's own object may hold no more than its kind; its episode, and what
    the alert would have been, is a variable of its flow."""
    is_anomaly = alert.is_anomaly
    made = _begun(alert, source, "anomaly" if is_anomaly else "alert")
    if source.pcap_filename is not None and alert.packet is not None:
        made.pcap_cnt = alert.packet
    if is_anomaly:
        made.anomaly = _anomaly(alert)
        variable = {"key": "episode", "value": alert.episode, "alert": _alert(alert)}
        made.metadata = {"flowvars": [variable]}
    else:
        made.alert = _alert(alert)
    return made


def _begun(alert: Alert, source: Source, kind: str) -> FlowRecord:
    """A record with its time, its place and its flow. ICMP's type and code stand where the ports of
    others stand."""
    made = FlowRecord(timestamp=timestamp(alert.time), event_type=kind)
    if source.in_iface is not None:
        made.in_iface = source.in_iface
    if source.pcap_filename is not None:
        made.pcap_filename = source.pcap_filename
    if alert.process is not None and alert.process.host is not None:
        made.host = alert.process.host
    sender, receiver, protocol = alert.source, alert.destination, alert.protocol
    is_icmp = protocol in ICMP
    if sender is not None:
        made.src_ip = address_text(sender.address)
        if sender.port is not None and not is_icmp:
            made.src_port = sender.port
    if receiver is not None:
        made.dest_ip = address_text(receiver.address)
        if receiver.port is not None and not is_icmp:
            made.dest_port = receiver.port
    if protocol:
        made.proto = protocol_name(protocol)
    known = sender or receiver
    if known is not None:
        made.ip_v = ip_version(known.address)
    if sender is None or receiver is None or sender.port is None or receiver.port is None:
        return made
    if is_icmp:
        made.icmp_type, made.icmp_code = sender.port, receiver.port
    digest = flow_digest(sender, receiver, protocol)
    # The same in every run, and within what JavaScript can hold.
    made.flow_id = int.from_bytes(digest[:8]) >> 12
    if protocol in _WITH_COMMUNITY_ID:
        made.community_id = id_of(digest)
    return made


def _anomaly(alert: Alert) -> Record:
    family = alert.check.id.partition(".")[0]
    return {"type": _ANOMALY_TYPES.get(family, "decode"), "event": alert.check.id}


def _alert(alert: Alert) -> AlertObject:
    check = alert.check
    return AlertObject(
        signature_id=check.sid,
        signature=check.title,
        severity=alert.severity,
        metadata=Metadata(
            rule=(check.id,),
            analytic=check.analytics or UNSET,
            episode=(alert.episode,),
            state=(alert.state,),
            related=alert.related or UNSET,
            reference=(check.reference,),
            suricata=check.suricata or UNSET,
            zeek=check.zeek or UNSET,
            offset=(str(alert.offset),) if alert.offset is not None else UNSET,
            size=(str(alert.size),) if alert.size is not None else UNSET,
        ),
        context=_context(alert),
    )


def _context(alert: Alert) -> Context:
    context = Context(
        count=alert.count,
        first=timestamp(alert.first),
        last=timestamp(alert.last),
        evidence=_evidence(alert.evidence),
        thresholds={
            one.name: {"threshold": one.threshold, "setting": one.setting}
            for one in alert.evidence
            if one.setting is not None
        },
        targets=[_target(one) for one in alert.targets],
    )
    if alert.process is not None:
        context.process = _subject(alert)
    if alert.job is not None:
        context.job = _job(alert.job, alert.process)
    if alert.shares:
        context.shares = [
            {"attempts": one.attempts, "process": _process(one.process)} for one in alert.shares
        ]
    if alert.findings:
        context.findings = dict(alert.findings)
    return context


def _subject(alert: Alert) -> Record:
    """The alert's process and its part in it; nothing where none is known."""
    if alert.process is None:
        return {}
    return process_fields(alert.process, alert.ancestors) | {"role": alert.role}


def _job(job: Job, process: Process | None) -> Record:
    """What a record tells of a job, one of whose processes is given: its programs with the last
    process that ran each."""
    is_cgroup = job.kind is Subject.CGROUP
    return {
        "kind": job.kind.name.lower(),
        "id": job.number,
        "cgroup": process.cgroup if process is not None and is_cgroup else None,
        "programs": [
            {
                "processes": one.processes,
                "attempts": one.attempts,
                "pid": one.last[1],
                "exe": one.process.exe if one.process is not None else None,
                "cmdline": one.process.command if one.process is not None else None,
            }
            for one in job.programs
        ],
    }


def _evidence(evidence: tuple[Evidence, ...]) -> Record:
    figures: Record = {one.name: one.value for one in evidence}
    if evidence and evidence[0].threshold is not None:
        figures["threshold"] = evidence[0].threshold
    return figures


def _target(target: Endpoint) -> Record:
    return {"ip": address_text(target.address), "port": target.port}


def process_fields(process: Process, ancestors: Sequence[Process]) -> Record:
    """What a record tells of a process and its ancestors, parent first."""
    return _process(process) | {"parent": [_process(ancestor) for ancestor in ancestors]}


def _process(process: Process) -> Record:
    return {
        "pid": process.key[1],
        "exe": process.exe,
        "script": process.script,
        "comm": process.comm,
        "cmdline": process.command,
        "cwd": process.cwd,
        "user": process.user,
        "uid": process.uid,
        "started": None if process.started is None else timestamp(process.started),
        "container": process.container,
        "attribution": process.attribution,
    }


def _valid(value: Any) -> Any:
    """The record without lone surrogates, which a path or argument may hold and JSON may not."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: _valid(inner) for name, inner in value.items()}
    return [_valid(inner) for inner in value] if isinstance(value, list) else value


def _json_escape(match: re.Match[str]) -> str:
    character = match.group()
    if not is_harmful(character):
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
