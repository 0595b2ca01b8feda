"""EVE JSON lines, the default output: alerts, anomalies and statistics in Suricata's own schema.

What Suricata has no field for goes where its schema leaves room: alert.metadata (arrays of
strings), alert.context (process, evidence) and, for our counters, metadata.flowints.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, BinaryIO

import communityid
import msgspec

from procwire.alert import Alert
from procwire.detect.detector import Endpoint, Evidence
from procwire.output.address import address, protocol_name
from procwire.output.printable import is_harmful
from procwire.record import Process

Record = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Where a packet has a type and a code in place of ports.
ICMP = frozenset((1, 58))
# IP protocol -> how a flow of it is named for the community id (its version 1).
_FLOW_TUPLES = {
    1: communityid.FlowTuple.make_icmp,
    6: communityid.FlowTuple.make_tcp,
    17: communityid.FlowTuple.make_udp,
    58: communityid.FlowTuple.make_icmp6,
    132: communityid.FlowTuple.make_sctp,
}
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


class EveWriter:
    """Writes records to a binary stream, one JSON object per line, flushed after every call."""

    def __init__(self, stream: BinaryIO, source: Source | None = None) -> None:
        self._stream, self._source = stream, source or Source()

    def write(self, alerts: Iterable[Alert]) -> None:
        """Append the alerts' records."""
        self._stream.writelines(encode(record(alert, self._source)) for alert in alerts)
        self._stream.flush()

    def stats(self, time: int, counters: Mapping[str, int]) -> None:
        """Append the statistics; see stats_record."""
        self._stream.write(encode(stats_record(time, counters, self._source)))
        self._stream.flush()


def encode(one: Record) -> bytes:
    """One line of JSON. Characters that a terminal would obey are written as \\u escapes."""
    text = msgspec.json.encode(_valid(one)).decode()
    if not text.isascii() or not text.isprintable():
        text = re.sub(r"[^ -~]", _json_escape, text)
    return text.encode() + b"\n"


def record(alert: Alert, source: Source) -> Record:
    """The record of one alert: an anomaly for a check of tier B whose context was not seen to hold,
    else an alert."""
    head = {
        "timestamp": timestamp(alert.time),
        "flow_id": _flow_id(alert),
        **_source_fields(source),
        "event_type": "anomaly" if alert.is_anomaly else "alert",
        **_peer_fields("src", alert.source, alert.protocol),
        **_peer_fields("dest", alert.destination, alert.protocol),
        **_protocol_fields(alert),
        "community_id": _community_id(alert.source, alert.destination, alert.protocol),
        "pcap_cnt": alert.packet if source.pcap_filename is not None else None,
    }
    body = {"anomaly": _anomaly(alert)} if alert.is_anomaly else {"alert": _alert(alert)}
    return {name: value for name, value in head.items() if value is not None} | body


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
        **{name: value for name, value in _source_fields(source).items() if value is not None},
        "stats": stats,
        "metadata": {"flowints": dict(counters)},
    }


def timestamp(time: int) -> str:
    """ns since the epoch -> 2026-11-20T10:00:00.000000+0000. What int64 cannot hold is cut."""
    moment = _EPOCH + timedelta(microseconds=max(-(2**63), min(time, 2**63 - 1)) // 1000)
    return moment.strftime(f"{moment.year:04d}-%m-%dT%H:%M:%S.%f+0000")


def _source_fields(source: Source) -> Record:
    return {"in_iface": source.in_iface, "pcap_filename": source.pcap_filename}


def _peer_fields(side: str, peer: Endpoint | None, protocol: int) -> Record:
    if peer is None:
        return {}
    port = None if protocol in ICMP else peer.port
    return {f"{side}_ip": str(address(peer.address)), f"{side}_port": port}


def _protocol_fields(alert: Alert) -> Record:
    """Protocol and IP version; ICMP's type and code stand where the ports of others stand."""
    known = alert.source or alert.destination
    fields: Record = {
        "proto": protocol_name(alert.protocol) if alert.protocol else None,
        "ip_v": address(known.address).version if known else None,
    }
    if alert.protocol in ICMP and alert.source and alert.destination:
        fields |= {"icmp_type": alert.source.port, "icmp_code": alert.destination.port}
    return fields


@lru_cache(maxsize=65536)
def _community_id(
    source: Endpoint | None, destination: Endpoint | None, protocol: int
) -> str | None:
    """The community id of a flow whose both ports are known, of the protocols that have one."""
    flow = _FLOW_TUPLES.get(protocol)
    if flow is None or source is None or destination is None:
        return None
    if source.port is None or destination.port is None:
        return None
    made = flow(
        str(address(source.address)),
        str(address(destination.address)),
        source.port,
        destination.port,
    )
    name: str | None = communityid.CommunityID().calc(made)
    return name


def _flow_id(alert: Alert) -> int | None:
    """The same number for both directions and in every run, within what JavaScript can hold."""
    ends = (alert.source, alert.destination)
    if any(end is None or end.port is None for end in ends):
        return None
    peers = sorted(f"{end.address.hex()}:{end.port}" for end in ends if end is not None)
    name = "|".join((*peers, str(alert.protocol))).encode()
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
        context["process"] = _process(alert.process) | {
            "parent": [_process(ancestor) for ancestor in alert.ancestors]
        }
    return context


def _evidence(evidence: tuple[Evidence, ...]) -> Record:
    figures: Record = {one.name: one.value for one in evidence}
    if evidence and evidence[0].threshold is not None:
        figures["threshold"] = evidence[0].threshold
    return figures


def _target(target: Endpoint) -> Record:
    return {"ip": str(address(target.address)), "port": target.port}


def _process(process: Process) -> Record:
    return {
        "pid": process.key[1],
        "exe": process.exe,
        "comm": process.comm,
        "cmdline": shlex.join(process.argv),
        "cwd": process.cwd,
        "user": process.user,
        "uid": process.uid,
        "started": timestamp(process.started),
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
