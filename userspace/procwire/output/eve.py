"""EVE JSON lines, the default output: alerts, anomalies and statistics in Suricata's own schema.

What Suricata has no field for goes where its schema leaves room: alert.metadata (arrays of
strings), alert.context (process, evidence), for our counters metadata.flowints, and for what an
anomaly has in common with an alert, metadata.flowvars.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from procwire.alert import Alert
from procwire.detect.observation import Endpoint, Evidence, Job
from procwire.event import Subject
from procwire.output.address import address_text, ip_version, protocol_name
from procwire.output.community_id import community_id
from procwire.output.printable import is_harmful
from procwire.output.timestamp import timestamp
from procwire.record import Process

Record = dict[str, Any]

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
    return b"".join(encode(record(alert, source)) for alert in alerts)


def encode(one: Any) -> bytes:
    """One line of JSON: a record, or what a command lists. Characters that a terminal would obey
    are written as \\u escapes."""
    try:
        line = msgspec.json.encode(one)
    except UnicodeEncodeError:
        line = msgspec.json.encode(_valid(one))
    # What JSON escapes by itself are the control characters below the space.
    if not line.isascii() or b"\x7f" in line:
        line = re.sub(r"[^ -~]", _json_escape, line.decode()).encode()
    return line + b"\n"


def record(alert: Alert, source: Source) -> Record:
    """The record of one alert: an anomaly for a check of tier B whose context was not seen to hold,
    else an alert. An anomaly's own object may hold no more than its kind; its episode, and what the
    alert would have been, is a variable of its flow."""
    head = _head(alert, source, "anomaly" if alert.is_anomaly else "alert")
    if source.pcap_filename is not None and alert.packet is not None:
        head["pcap_cnt"] = alert.packet
    if alert.is_anomaly:
        head["anomaly"] = _anomaly(alert)
        variable = {"key": "episode", "value": alert.episode, "alert": _alert(alert)}
        head["metadata"] = {"flowvars": [variable]}
    else:
        head["alert"] = _alert(alert)
    return head


def denied_record(contact: Alert, source: Source) -> Record:
    """A flow of a denied program, each of which an alert tells only at first; for those who act on
    it. What it was is a variable of the flow."""
    process = _context(contact).get("process", {})
    variable = {"key": DENIED_FLOW, "value": str(process.get("exe", "")), "process": process}
    return _head(contact, source, "flow") | {"metadata": {"flowvars": [variable]}}


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


def _head(alert: Alert, source: Source, kind: str) -> Record:
    flow_id, flow = _flow(alert.source, alert.destination, alert.protocol)
    head: Record = {"timestamp": timestamp(alert.time)}
    if flow_id is not None:
        head["flow_id"] = flow_id
    head |= source.fields
    if alert.process is not None and alert.process.host is not None:
        head["host"] = alert.process.host
    head["event_type"] = kind
    head |= flow
    return head


def _flow(
    source: Endpoint | None, destination: Endpoint | None, protocol: int
) -> tuple[int | None, Record]:
    """The flow's number and what a record tells of its ends. ICMP's type and code stand where the
    ports of others stand."""
    fields: Record = {}
    for side, peer in (("src", source), ("dest", destination)):
        if peer is not None:
            fields[f"{side}_ip"] = address_text(peer.address)
            if protocol not in ICMP and peer.port is not None:
                fields[f"{side}_port"] = peer.port
    if protocol:
        fields["proto"] = protocol_name(protocol)
    known = source or destination
    if known is not None:
        fields["ip_v"] = ip_version(known.address)
    if source is None or destination is None or source.port is None or destination.port is None:
        return None, fields
    if protocol in ICMP:
        fields |= {"icmp_type": source.port, "icmp_code": destination.port}
    if protocol in _WITH_COMMUNITY_ID:
        fields["community_id"] = community_id(source, destination, protocol)
    return _flow_id(source, destination, protocol), fields


def _flow_id(source: Endpoint, destination: Endpoint, protocol: int) -> int:
    """The same number for both directions and in every run, within what JavaScript can hold."""
    one = f"{source.address.hex()}:{source.port}"
    other = f"{destination.address.hex()}:{destination.port}"
    name = f"{min(one, other)}|{max(one, other)}|{protocol}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) >> 12


def _anomaly(alert: Alert) -> Record:
    family = alert.check.id.partition(".")[0]
    return {"type": _ANOMALY_TYPES.get(family, "decode"), "event": alert.check.id}


def _alert(alert: Alert) -> Record:
    check = alert.check
    metadata = {
        "rule": [check.id],
        "analytic": list(check.analytics),
        "episode": [alert.episode],
        "state": [alert.state],
        "related": list(alert.related),
        "reference": [check.reference],
        "suricata": list(check.suricata),
        "zeek": list(check.zeek),
        "offset": [str(alert.offset)] if alert.offset is not None else [],
        "size": [str(alert.size)] if alert.size is not None else [],
    }
    return {
        "action": "allowed",
        "gid": 1,
        "signature_id": check.sid,
        "rev": 1,
        "signature": check.title,
        "category": "",
        "severity": alert.severity,
        "metadata": {name: values for name, values in metadata.items() if values},
        "context": _context(alert),
    }


def _context(alert: Alert) -> Record:
    """Evidence flat, with the threshold of the first figure; every threshold beside it by name."""
    context: Record = {
        "count": alert.count,
        "first": timestamp(alert.first),
        "last": timestamp(alert.last),
        "evidence": _evidence(alert.evidence),
        "thresholds": {
            one.name: {"threshold": one.threshold, "setting": one.setting}
            for one in alert.evidence
            if one.setting is not None
        },
        "targets": [_target(one) for one in alert.targets],
    }
    if alert.process is not None:
        context["process"] = process_fields(alert.process, alert.ancestors)
        context["process"]["role"] = alert.role
    if alert.job is not None:
        context["job"] = _job(alert.job, alert.process)
    if alert.shares:
        context["shares"] = [
            {"attempts": one.attempts, "process": _process(one.process)} for one in alert.shares
        ]
    if alert.findings:
        context["findings"] = dict(alert.findings)
    return context


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
