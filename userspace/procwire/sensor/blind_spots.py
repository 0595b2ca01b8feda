"""What cannot be seen, by name and reason: blind spots, as data.

Those that depend on a hook are shown only where the kernel lacks it; whoever loads the programs
adds its own (Programs.gaps).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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


def of_programs(loader: str, left_out: Iterable[str]) -> tuple[BlindSpot, ...]:
    """What programs loaded so, without the hooks left out, do not see."""
    own = BCC_GAPS if loader == "bcc" else ()
    return (*own, *blind_spots(left_out))


def blind_spots(left_out: Iterable[str]) -> tuple[BlindSpot, ...]:
    """Those of a machine. left_out: the hooks that its kernel lacks, as Programs.left_out."""
    missing = set(left_out)
    return tuple(spot for spot in BLIND_SPOTS if missing.issuperset(spot.without))
