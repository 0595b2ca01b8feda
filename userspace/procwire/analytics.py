"""The ATT&CK analytics and what each needs, as tables: kinds of input, each with the counters that
show that a run had it and what it lost of it, and the blind spots that are its own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """A kind of thing that is looked at. had: patterns of counters, one of which is more than 0
    where a run had it; absent: why it is not seen then and what to do, empty where that is no gap;
    thins: patterns of counters that say how much of it was not seen; spots: names of its blind
    spots (sensor.blind_spots)."""

    name: str
    had: tuple[str, ...]
    absent: str
    thins: tuple[str, ...] = ()
    spots: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analytic:
    """carriers: inputs that it can be raised from, helpers: what makes it say more; by name."""

    id: str
    title: str
    technique: str
    carriers: tuple[str, ...]
    helpers: tuple[str, ...] = ()


_NO_SENSOR = "the run had no sensor: `procwire watch` as root"
_SENSOR = ("kernel.loaded_by.*",)
_NO_PACKETS = "no packets were captured: `procwire watch -i IFACE`"

_CONNECTS = Input(
    "TCP connections by process",
    _SENSOR,
    _NO_SENSOR,
    thins=(
        "kernel.lost_process_map_full",
        "kernel.lost_job_map_full",
        "kernel.lost_heir_map_full",
        "kernel.lost_connection_map_full",
        "kernel.lost_connection_ring_full",
        "kernel.lost_fanout_ring_full",
        "kernel.skipped_unknown_socket",
        "kernel.skipped_other_family",
        "kernel.skipped_connection_detail",
        "kernel.skipped_program",
        "new_process.evicted",
    ),
    spots=(
        "targets behind a proxy or a tunnel",
        "connects that a security module refuses",
        "why a connect sent no packet",
        "why a connect failed that nobody waits for",
        "firewalls",
        "probes by processes that leave their session",
        "connects that are older than the sensor",
    ),
)
_DATAGRAMS = Input(
    "datagrams by process",
    _SENSOR,
    _NO_SENSOR,
    thins=("kernel.lost_socket_map_full",),
    spots=(
        "answers to datagrams and raw packets",
        "refusals of datagrams",
        "datagrams that a security module refuses",
        "datagrams to a peer after the first",
    ),
)
_RAW = Input(
    "packets of raw sockets by process",
    _SENSOR,
    _NO_SENSOR,
    thins=(
        "kernel.lost_socket_ring_full",
        "kernel.lost_raw_destination",
        "kernel.skipped_raw_packets",
    ),
    spots=(
        "AF_XDP",
        "PACKET_QDISC_BYPASS",
        "senders with PACKET_QDISC_BYPASS",
        "raw sockets handed to another process",
        "software switches on AF_PACKET",
        "AF_PACKET frames that no send call takes",
        "whether AF_PACKET frames left as they were",
    ),
)
_PROGRAMS = Input(
    "programs that start",
    (*_SENSOR, "records.starts"),
    _NO_SENSOR,
    thins=(
        "kernel.lost_process_ring_full",
        "kernel.lost_argv_unreadable",
        "kernel.skipped_argv_truncated",
        "processes.evicted",
    ),
    spots=(
        "what /proc says of processes that end at once",
        "whether a process that a signal ended wrote a core",
    ),
)
_PACKETS = Input(
    "packets",
    ("packets",),
    _NO_PACKETS,
    thins=(
        "capture.*.dropped",
        "capture.*.stopped",
        "not_captured.*",
        "decode.*",
        "fragments.evicted",
        "fragments.dropped",
        "contacts.evicted",
        "contacts.overflow",
        "contacts.one_sided",
        "fanout.evicted",
        "protocol_scan.evicted",
        "random_walk.evicted",
        "coverage.evicted",
        "port_coverage.evicted",
        "service_sweep.evicted",
    ),
    spots=("traffic that passes no captured interface",),
)
_CONVERSATIONS = Input(
    "conversations on the wire",
    ("flows.flows",),
    _NO_PACKETS,
    thins=(
        "layers.tls",
        "layers.ssh",
        "flows.one_sided",
        "flows.midstream",
        "flows.evicted",
        "flows.streams_evicted",
        "flows.gaps_skipped",
        "flows.sync_lost",
        "flows.messages_overflowing",
        "flows.forgotten",
    ),
    spots=("what encrypted connections carry",),
)
_OWNERS = Input(
    "processes of captured flows",
    ("correlate.flows",),
    "no flow names its process: `procwire watch -i IFACE` as root",
    thins=(
        "kernel.lost_flow_ring_full",
        "correlate.evicted",
        "correlate.translations_evicted",
        "correlate.translations_lost",
        "correlate.originated_none",
        "correlate.accepted_none",
        "correlate.alerts_none",
        "correlate.alerts_forgotten",
    ),
    spots=(
        "whose a packet of the kernel's own is",
        "flows of containers",
        "who accepted a connection",
    ),
)
_ZONES = Input(
    "zones of the site",
    ("context.zones",),
    "the inventory names no zone: `procwire inventory load` (and, with `read`, --context)",
)
_BASELINE = Input(
    "what is usual here",
    ("context.learned", "context.approved", "context.pending", "context.denied"),
    "nothing is learned yet: `procwire watch` learns (and `read` asks --context)",
    thins=("context.learning", "context.pending", "context.overflow", "context.unsaved"),
)
_ALLOWED = Input(
    "what the allowlist lets through",
    ("context.suppressed", "context.habitual", "context.expired"),
    "",
    thins=("context.suppressed", "context.habitual", "context.expired"),
)
_RECORDS = Input(
    "records of other tools",
    ("records.events",),
    "",
    thins=("records.malformed", "records.out_of_time", "records.processes_evicted"),
)

INPUTS = (
    _CONNECTS,
    _DATAGRAMS,
    _RAW,
    _PROGRAMS,
    _PACKETS,
    _CONVERSATIONS,
    _OWNERS,
    _ZONES,
    _BASELINE,
    _ALLOWED,
    _RECORDS,
)
"""Every kind, in the order in which it is shown."""


def _named(*inputs: Input) -> tuple[str, ...]:
    return tuple(one.name for one in inputs)


_BY_PROCESS = (_CONNECTS, _DATAGRAMS, _RAW)
ANALYTICS = (
    Analytic(
        "AN1949",
        "scanning of IP blocks",
        "T1595.001",
        _named(*_BY_PROCESS, _PACKETS, _RECORDS),
        _named(_OWNERS, _ZONES, _BASELINE, _ALLOWED),
    ),
    Analytic(
        "AN1962",
        "active scanning: packets that break their protocol",
        "T1595",
        _named(_PACKETS, _CONVERSATIONS),
        _named(_OWNERS, _BASELINE, _ALLOWED),
    ),
    Analytic(
        "AN1999",
        "vulnerability scanning: packets that break their protocol",
        "T1595.002",
        _named(_PACKETS, _CONVERSATIONS),
        _named(_OWNERS, _BASELINE, _ALLOWED),
    ),
    Analytic(
        "AN1057",
        "network service discovery (Windows, and by process)",
        "T1046",
        _named(*_BY_PROCESS, _PACKETS, _RECORDS),
        _named(_PROGRAMS, _OWNERS, _BASELINE, _ALLOWED),
    ),
    Analytic(
        "AN2050",
        "port scan in control systems",
        "T0846.001",
        _named(*_BY_PROCESS, _PACKETS, _RECORDS),
        _named(_PROGRAMS, _OWNERS, _ZONES, _BASELINE, _ALLOWED),
    ),
    Analytic(
        "AN1058",
        "network service discovery (Linux)",
        "T1046",
        _named(*_BY_PROCESS, _PACKETS, _RECORDS),
        _named(_PROGRAMS, _OWNERS, _BASELINE, _ALLOWED),
    ),
)
"""What procwire implements."""
