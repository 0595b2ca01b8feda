"""Every way in which a process tries others, a row each, and what the sensor must say of it.

Nothing here needs pytest, because virtual machines run it too.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from identity import is_whole
from procwire.event import Attempt, Origin
from senders import (
    ASYNCIO,
    CONNECT_MAPPED,
    EXECUTES_ITSELF,
    FAST_OPEN,
    PACKET,
    PROCESS_PER_PROBE,
    RAW_IP,
    SEND_TO_PEERS,
    SENDMMSG,
    SENDMSG_MAPPED,
    SENDTO,
    THREADS,
    TIMESTAMPS,
    python,
)
from sensing import RUN_S, Sensing


@dataclass(frozen=True)
class Way:
    """attempts: exactly so many, or at least where `tool` makes its own choice; becomes: the
    command line it ends with, where it executes itself; lingers: it has to be ended, since it waits
    for answers. stock: run on other kernels, too, in virtual machines, whose processor may be
    interpreted: not what takes minutes there; hook: without which a kernel does not show it."""

    name: str
    command: tuple[str, ...]
    attempts: int = 40
    kind: Attempt = Attempt.CONNECT
    origin: Origin = Origin.CONNECT
    hosts: int = 40
    by_children: int = 0
    tool: bool = False
    becomes: tuple[str, ...] = ()
    lingers: bool = False
    stock: bool = True
    hook: str = ""


TARGETS = "10.99.0.0/26"
DIRECT_SENDS = "fentry/__dev_direct_xmit"
# It has a stack of its own, to which no ARP and no route tell anything.
MASSCAN_HOST = (
    *("--adapter-ip=10.97.0.9", "--adapter-port=40000"),
    "--router-mac=02-00-00-00-00-77",
)
WAYS = (
    Way("sendto", python(SENDTO), kind=Attempt.DATAGRAM, origin=Origin.SENDMSG),
    Way(
        "datagrams to peers",
        python(SEND_TO_PEERS),
        kind=Attempt.DATAGRAM,
        origin=Origin.SENDMSG,
    ),
    Way(
        "sendmsg, IPv4 mapped",
        python(SENDMSG_MAPPED),
        kind=Attempt.DATAGRAM,
        origin=Origin.SENDMSG,
    ),
    Way("sendmmsg", python(SENDMMSG), kind=Attempt.DATAGRAM, origin=Origin.SENDMSG),
    Way("TCP fast open", python(FAST_OPEN)),
    Way("IPv4 mapped into IPv6", python(CONNECT_MAPPED)),
    Way("a thousand connects of asyncio", python(ASYNCIO), 1000, hosts=200),
    Way("threads", python(THREADS), 160, hosts=160),
    Way(
        "a program that executes itself",
        python(EXECUTES_ITSELF, "0"),
        25,
        hosts=25,
        becomes=python(EXECUTES_ITSELF, "24"),
        stock=False,
    ),
    Way("a process for each probe", ("bash", "-c", PROCESS_PER_PROBE), by_children=40),
    Way("a raw IP socket", python(RAW_IP), origin=Origin.RAW),
    Way("ICMP timestamps", python(TIMESTAMPS), kind=Attempt.ECHO, origin=Origin.RAW),
    Way("AF_PACKET", python(PACKET), origin=Origin.RAW),
    Way("AF_PACKET, bound to another protocol", python(PACKET, "bound"), origin=Origin.RAW),
    Way("AF_PACKET, frames with a VLAN tag", python(PACKET, "tagged"), origin=Origin.RAW),
    Way("AF_PACKET, both", python(PACKET, "bound", "tagged"), origin=Origin.RAW),
    Way(
        "AF_PACKET with PACKET_QDISC_BYPASS",
        python(PACKET, "bypass"),
        origin=Origin.RAW,
        hook=DIRECT_SENDS,
    ),
    Way("nmap -sT", ("nmap", "-sT", "-Pn", "-n", "-p", "7002", TARGETS), 64, hosts=64, tool=True),
    Way(
        "nmap -sS",
        ("nmap", "-sS", "-Pn", "-n", "-p", "1-60", "10.99.0.1"),
        60,
        origin=Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -sS, in fragments",
        ("nmap", "-sS", "-f", "-Pn", "-n", "-p", "1-60", "10.99.0.1"),
        60,
        origin=Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -6 -sS",
        ("nmap", "-6", "-sS", "-Pn", "-n", "-p", "1-60", "::1"),
        60,
        origin=Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -sX",
        ("nmap", "-sX", "-Pn", "-n", "-p", "1-60", "10.99.0.1"),
        60,
        Attempt.XMAS,
        Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -sU",
        ("nmap", "-sU", "-Pn", "-n", "--max-retries", "0", "-p", "1-60", "10.99.0.1"),
        50,
        Attempt.DATAGRAM,
        Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -sn",
        ("nmap", "-sn", "-n", "--max-retries", "0", "10.97.0.0/26"),
        62,
        Attempt.NEIGHBOUR,
        Origin.RAW,
        hosts=62,
        tool=True,
    ),
    Way(
        "masscan",
        ("masscan", TARGETS, "-p80", "--rate=2000", "--wait=0", "-e", "hole", *MASSCAN_HOST),
        64,
        origin=Origin.RAW,
        hosts=64,
        tool=True,
        lingers=True,
    ),
    Way(
        "hping3",
        ("hping3", "-q", "-S", "-p", "++1", "-c", "60", "-i", "u1000", "10.99.0.1"),
        60,
        origin=Origin.RAW,
        hosts=1,
        tool=True,
    ),
)


def frames_sent(live: Sensing) -> int:
    """Through the device that only senders of frames use."""
    counter = "/sys/class/net/hole/statistics/tx_packets"
    command = ["ip", "netns", "exec", live.namespace, "cat", counter]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def sends_and_is_ended(live: Sensing, way: Way) -> int:
    """Its pid, after it has sent what it had to."""
    before, deadline = frames_sent(live), time.monotonic() + RUN_S
    with live.start(*way.command) as process:
        while frames_sent(live) - before < way.attempts and time.monotonic() < deadline:
            live.poll()
        process.terminate()
    return process.pid


def holds(live: Sensing, way: Way) -> None:
    """Runs it, and asserts who did it, how often and by what."""
    pid = sends_and_is_ended(live, way) if way.lingers else live.run(*way.command)[0]
    rows = live.wait("fanout", pid, lambda rows: 0 in rows["measure"])
    rows = rows[(rows["attempt"] == way.kind) & (rows["origin"] == way.origin)]
    assert 0 in rows["measure"], f"no totals of {way.kind.name} from {way.origin.name}"
    totals = rows[rows["measure"] == 0][-1]
    if way.tool:
        assert totals["attempts"] >= way.attempts
    else:
        assert totals["attempts"] == way.attempts
    assert totals["by_children"] == way.by_children
    # Sketches of small sets are off by a few.
    assert abs(int(totals["hosts"]) - way.hosts) <= 2 + way.hosts // 10
    is_whole(live, totals, way.becomes or way.command)
