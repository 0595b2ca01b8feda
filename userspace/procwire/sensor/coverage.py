"""What the sensor cannot see, by name and reason: part of every answer to "was there a scan?".

A blind spot is data. Those that depend on a hook are listed only where the kernel lacks it; whoever
loads the programs adds its own (Programs.gaps).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class BlindSpot:
    """reason: why, and what is seen instead; without: the hook whose absence makes it, empty where
    it is always there."""

    name: str
    reason: str
    without: str = ""


BLIND_SPOTS = (
    BlindSpot(
        "AF_XDP",
        "frames go from the program's memory to the driver, past every hook; nothing is seen",
    ),
    BlindSpot(
        "PACKET_QDISC_BYPASS",
        "frames skip the queueing discipline, where destinations are read; the process is named "
        "and its sends are counted as lost_raw_destination",
    ),
    BlindSpot(
        "senders with PACKET_QDISC_BYPASS",
        "before Linux 6.3 no hook tells of the send either",
        without="tp_btf/sock_send_length",
    ),
    BlindSpot(
        "raw sockets handed to another process",
        "before Linux 6.3 their packets name the process that made the socket",
        without="tp_btf/sock_send_length",
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
        without="tp_btf/inet_sk_error_report",
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
        "why a connect sent no packet",
        "no route, a prohibiting route and an address that cannot be used are all unreachable; a "
        "refusal by a cgroup program is told apart from Linux 5.18 on",
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
        "probes by processes that leave their session",
        "what short-lived processes try is added up by their parent in the same session or cgroup; "
        "in the root cgroup, one that starts a session for each probe is counted alone",
    ),
)
"""In the order in which they are shown."""


def blind_spots(left_out: Iterable[str]) -> tuple[BlindSpot, ...]:
    """Those of a machine. left_out: the hooks that its kernel lacks, as Programs.left_out."""
    missing = set(left_out)
    return tuple(spot for spot in BLIND_SPOTS if not spot.without or spot.without in missing)
