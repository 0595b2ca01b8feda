"""What records of alerts hold, field by field in the order in which they are written. What is unset
is left out."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

Record = dict[str, Any]
"""A record, or a part of one, by names."""


class Metadata(msgspec.Struct, gc=False, kw_only=True):
    """alert.metadata, in which Suricata's schema allows nothing but lists of texts."""

    rule: tuple[str, ...]
    analytic: tuple[str, ...] | UnsetType
    episode: tuple[str, ...]
    state: tuple[str, ...]
    related: tuple[str, ...] | UnsetType
    reference: tuple[str, ...]
    suricata: tuple[str, ...] | UnsetType
    zeek: tuple[str, ...] | UnsetType
    offset: tuple[str, ...] | UnsetType
    size: tuple[str, ...] | UnsetType


class Context(msgspec.Struct, gc=False, kw_only=True):
    """alert.context. evidence: flat, with the threshold of the first figure; thresholds: of each
    figure that has one, by name."""

    count: int
    first: str
    last: str
    evidence: Record
    thresholds: Record
    targets: list[Record]
    process: Record | UnsetType = UNSET
    job: Record | UnsetType = UNSET
    shares: list[Record] | UnsetType = UNSET
    findings: Record | UnsetType = UNSET


class AlertObject(msgspec.Struct, gc=False, kw_only=True):
    """What makes a record one of an alert."""

    action: str = "allowed"
    gid: int = 1
    signature_id: int
    rev: int = 1
    signature: str
    category: str = ""
    severity: int
    metadata: Metadata
    context: Context


class FlowRecord(msgspec.Struct, gc=False, kw_only=True):
    """A record of an alert, an anomaly or a flow."""

    timestamp: str
    flow_id: int | UnsetType = UNSET
    in_iface: str | UnsetType = UNSET
    pcap_filename: str | UnsetType = UNSET
    host: str | UnsetType = UNSET
    event_type: str
    src_ip: str | UnsetType = UNSET
    src_port: int | UnsetType = UNSET
    dest_ip: str | UnsetType = UNSET
    dest_port: int | UnsetType = UNSET
    proto: str | UnsetType = UNSET
    ip_v: int | UnsetType = UNSET
    icmp_type: int | UnsetType = UNSET
    icmp_code: int | UnsetType = UNSET
    community_id: str | UnsetType = UNSET
    pcap_cnt: int | UnsetType = UNSET
    anomaly: Record | UnsetType = UNSET
    alert: AlertObject | UnsetType = UNSET
    metadata: Record | UnsetType = UNSET
