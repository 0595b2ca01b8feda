"""What was not seen, and what cannot be, by name and reason: part of every answer to "was there a
scan?".

A blind spot is data. Those that depend on a hook are listed only where the kernel lacks it; whoever
loads the programs adds its own (Programs.gaps). What a run lost is in its counters, which also say
by whom it was loaded and without which hooks, so that its statistics alone tell its coverage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from procwire.sensor.counters import EXPLANATIONS


@dataclass(frozen=True)
class BlindSpot:
    """reason: why, and what is seen instead; without: the hooks, or the loader, whose absence, of
    all of them, makes it; empty where it is always there."""

    name: str
    reason: str
    without: tuple[str, ...] = ()


BLIND_SPOTS = (
    BlindSpot(
        "AF_XDP",
        "frames go from the program's memory to the driver, past every hook; nothing is seen",
    ),
    BlindSpot(
        "PACKET_QDISC_BYPASS",
        "frames skip the queueing discipline, where destinations are read; the process is named "
        "and its sends are counted as lost_raw_destination",
        without=("fentry/__dev_direct_xmit",),
    ),
    BlindSpot(
        "senders with PACKET_QDISC_BYPASS",
        "before Linux 6.3 no hook tells of the send either",
        without=("tp_btf/sock_send_length", "fentry/__dev_direct_xmit"),
    ),
    BlindSpot(
        "raw sockets handed to another process",
        "before Linux 6.3 their packets name the process that made the socket",
        without=("tp_btf/sock_send_length",),
    ),
    BlindSpot(
        "VLAN tags written by the sender",
        "AF_PACKET frames with a tag of their own are counted as skipped_raw_packets",
    ),
    BlindSpot(
        "answers to datagrams and raw packets",
        "the kernel hands them to no hook of ours; raw packets are judged by width and order, "
        "datagrams by refusals of a connected socket's peer; -i sees the answers",
    ),
    BlindSpot(
        "refusals of datagrams",
        "before Linux 5.14 no hook tells of a socket's error",
        without=("tp_btf/inet_sk_error_report",),
    ),
    BlindSpot(
        "datagrams to a peer after the first",
        "of a connected datagram socket the first packet to its peer is counted, as one attempt",
    ),
    BlindSpot(
        "targets behind a proxy or a tunnel",
        "the client is seen to ask the proxy; the targets are tried by the process at the far end, "
        "and seen where that runs",
    ),
    BlindSpot(
        "connects that a security module refuses",
        "AppArmor and SELinux are asked before the hook; their own records tell",
        without=("fexit/security_socket_connect",),
    ),
    BlindSpot(
        "datagrams that a security module refuses",
        "it is asked before the hook; its own records tell",
    ),
    BlindSpot(
        "why a connect sent no packet",
        "no route, a prohibiting route and an address that cannot be used are all unreachable, "
        "when the socket ends; a refusal by a cgroup program is told apart from Linux 5.18 on",
        without=("fexit/__sys_connect_file",),
    ),
    BlindSpot(
        "why a connect failed that nobody waits for",
        "before Linux 5.14 bcc's programs see a refusal, and what a blocking connect returns; the "
        "rest ends as aborted",
        without=("tracepoint/sock:inet_sk_error_report",),
    ),
    BlindSpot(
        "firewalls",
        "a rule that drops is a timeout and one that rejects a refusal, as for the program",
    ),
    BlindSpot(
        "software switches on AF_PACKET",
        "they look like the sender of what they forward",
    ),
    BlindSpot(
        "whose a packet of the kernel's own is",
        "resets, ICMP errors, echo replies and ARP of ordinary sockets are nobody's",
    ),
    BlindSpot(
        "flows of containers",
        "they are named by their addresses, as inferred; an address that was changed within the "
        "last ten seconds is not known yet, nor a flow that is translated since before the run, or "
        "by anything but this namespace's connection tracking",
    ),
    BlindSpot(
        "who accepted a connection",
        "the process that listens is named, as inferred; it may have handed the connection on; one "
        "that listens without bind is not, as its port is chosen behind the hook",
    ),
    BlindSpot(
        "probes by processes that leave their session",
        "what processes try is added up for their cgroup, or in the root cgroup for their session; "
        "there, processes that each start a session for their probe are counted alone: whoever "
        "starts sessions for others, as sshd and cron do, would be blamed for all of them",
    ),
)
"""Of the sensor, in the order in which they are shown."""

WIRE_SPOTS = (
    BlindSpot(
        "what encrypted connections carry",
        "of TLS and SSH what comes before the keys is judged, of QUIC, VPNs and encrypted tunnels "
        "the headers around them; who talks to whom is seen",
    ),
    BlindSpot(
        "traffic that passes no captured interface",
        "frames between two interfaces of a switch in hardware, or inside another namespace",
    ),
)
"""Of captured packets."""

_WITHOUT_LIBBPF = ("libbpf",)
BCC_GAPS: tuple[BlindSpot, ...] = (
    BlindSpot(
        "AF_PACKET frames that no send call takes",
        "the programs for bcc see neither write, io_uring and PACKET_TX_RING nor what is sent "
        "through a socket that was handed over",
        without=_WITHOUT_LIBBPF,
    ),
    BlindSpot(
        "whether AF_PACKET frames left as they were",
        "the programs for bcc count them as sent as they are handed to the kernel; of a sendmmsg, "
        "sixteen",
        without=_WITHOUT_LIBBPF,
    ),
    BlindSpot(
        "what /proc says of processes that end at once",
        "the network that they just entered, unless they connect; a login user who was set just "
        "before; their number in a container, if they execute nothing; the interpreter of a script "
        "with a relative name",
        without=_WITHOUT_LIBBPF,
    ),
    BlindSpot(
        "whether a process that a signal ended wrote a core",
        "no tracepoint tells it to the programs for bcc",
        without=_WITHOUT_LIBBPF,
    ),
    BlindSpot(
        "connects that are older than the sensor",
        "the programs for bcc learn whose a connect is as it begins",
        without=_WITHOUT_LIBBPF,
    ),
)
"""What libbpf's programs see and those for bcc do not."""

LOSSES = (
    "lost",
    "dropped",
    "evicted",
    "overflow",
    "unsaved",
    "unwritten",
    "stopped",
    "malformed",
)
ON_PURPOSE = ("skipped",)
"""Words in the names of counters: what a run did not see, and what it left out on purpose."""

_FOUND_IN_PACKETS = ("decode.", "layers.", "episodes.rule.", "episodes.severity.")
_KERNEL, _LOADED_BY, _WITHOUT = "kernel.", "kernel.loaded_by.", "kernel.without."
_MEANINGS = {
    **{f"{_KERNEL}{counter.label}": meaning for counter, meaning in EXPLANATIONS.items()},
    "output.lost": "alerts for which there was no room where results are written",
    "capture.*.dropped": "packets that came faster than they were read",
    "capture.*.stopped": "times that the interface went down: its packets were not captured",
    "not_captured.*": "the interface is up, and its packets were not captured: add -i",
    "decode.*": "packets that were decoded no further",
    "layers.tls": "what TLS carries behind the handshake is encrypted",
    "layers.ssh": "what SSH carries behind the handshake is encrypted",
    "fragments.*": "datagrams whose fragments were not put together",
    "contacts.one_sided": "attempts of sources whose answers are not captured",
    "contacts.*": "attempts whose outcome was forgotten to bound memory",
    "flows.one_sided": "connections of which one direction was captured",
    "flows.midstream": "connections whose beginning was not captured",
    "flows.streams_evicted": "streams forgotten before their end to bound memory",
    "flows.gaps_skipped": "gaps in streams: their bytes were not captured",
    "flows.sync_lost": "places in streams where a message should begin and none does",
    "flows.messages_overflowing": "messages judged by their beginning: longer than is kept",
    "flows.forgotten": "questions forgotten before their answer to bound memory",
    "processes.evicted": "ended processes forgotten to bound memory",
    "correlate.evicted": "whose a flow is, forgotten to bound memory: the oldest connections",
    "correlate.translations_evicted": "translated flows forgotten to bound memory",
    "correlate.translations_lost": "times when more translated flows began than the kernel keeps",
    "correlate.originated_none": "flows that this host began and whose process is not known",
    "correlate.accepted_none": "connections that this host took and whose process is not known",
    "correlate.alerts_none": "alerts on flows of this host whose process is not known",
    "correlate.alerts_forgotten": "alerts on flows whose process was known and is forgotten",
    "context.learning": "roles and zones still learned: what is new there is not told",
    "context.pending": "first-seen things that nobody has approved or denied",
    "context.suppressed": "alerts that allowlist entries kept back",
    "context.habitual": "alerts of scans kept back, for which their programs are known here",
    "context.expired": "alerts told because the allowlist entry that expects them has expired",
    "context.unsaved": "writes of the context that failed",
    "record.stopped": "the record ends before the run: it could not be written",
    "history.unwritten": "lines of the history that could not be written",
    "records.malformed": "records that could not be read",
    "records.out_of_time": "records that counted at another time than their own",
    "*.overflow": "not counted for want of room",
    "*evicted": "forgotten to bound memory",
}
_NO_SENSOR = BlindSpot("processes", "the run had no sensor, packets alone name none")


@dataclass(frozen=True)
class Unseen:
    """A counter of a run that says what was not looked at. meaning: for people, empty where the
    name has to do."""

    name: str
    count: int
    meaning: str


@dataclass(frozen=True)
class Coverage:
    """loader: who loaded the programs, empty if nobody; missing_hooks: sections of those for which
    the kernel had no hook; lost: counters, of those that are not 0; left_out: the same, on purpose;
    not_seen: what could not be seen."""

    loader: str
    missing_hooks: tuple[str, ...]
    lost: tuple[Unseen, ...]
    left_out: tuple[Unseen, ...]
    not_seen: tuple[BlindSpot, ...]


def circumstances(loader: str, left_out: Iterable[str]) -> dict[str, int]:
    """Counters that say who loaded the programs and without which hooks."""
    return {f"{_LOADED_BY}{loader}": 1, **{f"{_WITHOUT}{section}": 1 for section in left_out}}


def of_run(counters: Mapping[str, int]) -> Coverage:
    """What the counters of a run, circumstances among them, say that it did not see."""
    loader = next(iter(_named(counters, _LOADED_BY)), "")
    missing = tuple(_named(counters, _WITHOUT))
    not_seen = of_programs(loader, missing) if loader else (_NO_SENSOR,)
    if counters.get("packets"):
        not_seen += WIRE_SPOTS
    lost, left_out = (
        tuple(Unseen(name, n, meaning_of(name)) for name, n in counting(counters, words).items())
        for words in (LOSSES, ON_PURPOSE)
    )
    return Coverage(loader, missing, lost, left_out, not_seen)


def of_programs(loader: str, left_out: Iterable[str]) -> tuple[BlindSpot, ...]:
    """What programs loaded so, without the hooks left out, do not see."""
    own = BCC_GAPS if loader == "bcc" else ()
    return (*own, *blind_spots(left_out))


def counting(counters: Mapping[str, int], words: Iterable[str]) -> dict[str, int]:
    """Counters that are not 0 and have one of the words in their names."""
    return {
        name: count
        for name, count in counters.items()
        if count
        and not name.startswith(_FOUND_IN_PACKETS)
        and any(word in name.partition(".")[2] for word in words)
    }


def _named(counters: Mapping[str, int], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in counters if name.startswith(prefix)]


def meaning_of(name: str) -> str:
    """What a counter of something not seen says, for people; empty where its name has to do."""
    return next((said for known, said in _MEANINGS.items() if fnmatchcase(name, known)), "")


def blind_spots(left_out: Iterable[str]) -> tuple[BlindSpot, ...]:
    """Those of a machine. left_out: the hooks that its kernel lacks, as Programs.left_out."""
    missing = set(left_out)
    return tuple(spot for spot in BLIND_SPOTS if missing.issuperset(spot.without))
