"""The scenarios: attacks, each to be named with its process, and what only looks like one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = str(Path(__file__).with_name("programs.py"))
# By the name of its file: a link's is what is known of a process that ends before it is looked at.
INTERPRETER = str(Path(sys.executable).resolve())
FOLDER = "{folder}"
"""In a command: the folder with the keys and the packages of the stage."""


@dataclass(frozen=True)
class Scenario:
    """command: what plays at the near end; named: part of the command line of the process that has
    to be named, empty for what has to raise nothing; every_s: event time that is put between two
    rounds, 0 for a run as it was; few: whether `make test` plays it; check: a check that has to be
    among what is told, empty for any; blind: packets are not captured; learned: the check as which
    what only looks like an attack is told while it is learned; unlearned: the same where it comes
    for the first time when learning is over."""

    name: str
    command: tuple[str, ...]
    named: str = ""
    every_s: float = 0
    few: bool = False
    check: str = ""
    blind: bool = False
    learned: str = ""
    unlearned: str = ""


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """The command of a program of programs.py."""
    return (sys.executable, "-I", "-S", PROGRAMS, name, *arguments)


def scan(
    network: str, count: int, ports: str = "445-445", order: str = "rising", way: str = "itself"
) -> tuple[str, ...]:
    """The command of the script that scans."""
    return program("scan", network, str(count), ports, order, way)


def nmap(*arguments: str) -> tuple[str, ...]:
    """nmap at its usual pace, without looking names up."""
    return ("nmap", "-n", "--max-retries", "1", *arguments)


SLOW_S = 30
FEW, MANY = "10.97.1.0/26", "10.97.0.0/22"
ROUTER = "02:00:00:00:98:02"
MASSCAN = ("masscan", "--rate=2000", "--wait=0", "-e", "veth0", "--router-mac", ROUTER)
SSH = f"ssh -F none -i {FOLDER}/key -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -q"
APT = (
    f"apt-get -qq -o Dir::Etc::SourceList={FOLDER}/sources.list -o Dir::Etc::SourceParts=- "
    f"-o Dir::State={FOLDER}/apt -o Dir::Cache={FOLDER}/apt -o APT::Sandbox::User=root"
)

ATTACKS = (
    Scenario("nmap -sT, a network", nmap("-sT", "-Pn", "-p445", FEW), "nmap", few=True),
    Scenario("nmap -sT, a host's ports", nmap("-sT", "-Pn", "-p1-200", "10.97.1.1"), "nmap"),
    Scenario("nmap -sT, everybody answers", nmap("-sT", "-Pn", "-p80", FEW), "nmap"),
    Scenario("nmap -sn, everybody answers", nmap("-sn", "-PE", FEW), "nmap"),
    Scenario(
        "nmap -sn, everybody answers, no packets captured",
        nmap("-sn", "-PE", FEW),
        "nmap",
        blind=True,
    ),
    Scenario("nmap -sS, a network", nmap("-sS", "-Pn", "-p445", FEW), "nmap"),
    Scenario(
        "nmap -sS, a host's ports", nmap("-sS", "-Pn", "-p1-200", "10.97.1.1"), "nmap", few=True
    ),
    Scenario("nmap -sS, many ports of many hosts", nmap("-sS", "-Pn", "-F", FEW), "nmap"),
    Scenario("nmap -sU", nmap("-sU", "-Pn", "-T4", "-p200-260", "10.97.1.1"), "nmap"),
    Scenario("nmap -sY, a network", nmap("-sY", "-Pn", "-p2905", FEW), "nmap"),
    Scenario("nmap -sY, a host's ports", nmap("-sY", "-Pn", "-p1-200", "10.97.1.1"), "nmap"),
    Scenario("nmap -sn, the own network", nmap("-sn", "10.98.0.0/26"), "nmap"),
    Scenario("nmap -sn, behind a router", nmap("-sn", "-PE", "10.99.1.0/26"), "nmap"),
    Scenario(
        "nmap -6 -sT", nmap("-6", "-sT", "-Pn", "-p445", "2001:db8:97::/122"), "nmap", few=True
    ),
    Scenario("nmap -6 -sS", nmap("-6", "-sS", "-Pn", "-p1-100", "2001:db8:97::1"), "nmap"),
    Scenario(
        "nmap -sT, half a minute apart",
        nmap("-sT", "-Pn", "--max-hostgroup", "1", "-p445", "10.97.1.0/27"),
        "nmap",
        SLOW_S,
    ),
    Scenario("masscan, a network", (*MASSCAN, "10.97.1.0/25", "-p80"), "masscan"),
    Scenario("masscan, ports", (*MASSCAN, "10.97.1.0/29", "-p1-100"), "masscan"),
    Scenario("script, fast", scan(FEW, 60), "programs.py scan"),
    Scenario("script, IPv6", scan("2001:db8:97::/64", 60), "programs.py scan"),
    Scenario("script, random order", scan(MANY, 60, order="random"), "programs.py scan"),
    Scenario(
        "script, a port for each host",
        scan(FEW, 60, "1000-1099", "port-each"),
        "programs.py scan",
    ),
    Scenario(
        "script, half a minute apart",
        scan(FEW, 40),
        "programs.py scan",
        SLOW_S,
        few=True,
    ),
    Scenario(
        "script, half a minute apart, nobody answers",
        scan("10.99.1.0/24", 40),
        "programs.py scan",
        SLOW_S,
    ),
    Scenario(
        "script, half a minute apart, random order",
        scan(MANY, 60, order="random"),
        "programs.py scan",
        SLOW_S,
    ),
    Scenario(
        "script, half a minute apart, a host's ports",
        scan("10.97.1.1/32", 1, "1-60", "random"),
        "programs.py scan",
        SLOW_S,
    ),
    Scenario(
        "script, half a minute apart, a port for each host",
        scan(FEW, 60, "1000-1099", "port-each"),
        "programs.py scan",
        SLOW_S,
    ),
    Scenario(
        "script, half a minute apart, IPv6",
        scan("2001:db8:97::/64", 40),
        "programs.py scan",
        SLOW_S,
    ),
    Scenario("a child for each probe", scan(FEW, 60, way="child"), "programs.py scan", few=True),
    Scenario(
        "a child for each probe, half a minute apart",
        scan(FEW, 40, way="child"),
        "programs.py scan",
        SLOW_S,
    ),
    Scenario("ten users in turn", scan(FEW, 60, way="users"), "programs.py scan"),
    Scenario(
        "ten users in turn, half a minute apart",
        scan(FEW, 40, way="users"),
        "programs.py scan",
        SLOW_S,
    ),
    Scenario(
        "through a proxy",
        program("scan_through_proxy", "10.97.1.0/24", "60", "445"),
        "programs.py proxy",
        few=True,
    ),
    Scenario(
        "SSH into a control zone",
        scan("10.97.50.0/28", 4, "22-22"),
        "programs.py scan",
        check="ics.enterprise_protocol",
    ),
    Scenario(
        "web pages of a control zone, half a minute apart",
        program("visits", "10.97.50.0/28", "4"),
        "programs.py visits",
        SLOW_S,
        few=True,
        check="ics.enterprise_protocol",
    ),
    Scenario(
        "nmap -sn, a control zone beside it",
        nmap("-sn", "10.98.0.160/28"),
        "nmap",
        few=True,
        check="ics.neighbour_sweep",
    ),
    Scenario(
        "nmap -6 -sn, a control zone beside it",
        nmap("-6", "-sn", "2001:db8:98::a0/124"),
        "nmap",
        check="ics.neighbour_sweep",
    ),
)

BENIGN = (
    Scenario(
        "package update: apt, and thirty downloads",
        (
            "sh",
            "-ec",
            f"mkdir -p {FOLDER}/apt/lists/partial {FOLDER}/apt/archives/partial; cd {FOLDER}/apt; "
            f"{APT} update; {APT} download $(seq -f pkg%.0f 30); for n in $(seq 30); do "
            "wget -qO- http://10.97.80.$((n % 3 + 1))/pkg$n.deb >/dev/null; done",
        ),
        few=True,
    ),
    Scenario("browser-like client, no route for IPv6", program("browser"), few=True),
    Scenario("IPv6 first, no route for it, sixty hosts", program("ipv6_first"), few=True),
    Scenario("recursive resolver", program("resolver")),
    Scenario("monitoring poller, a round", program("poller", "1"), few=True),
    Scenario("monitoring poller, each minute", program("poller", "12"), every_s=60),
    # A script's habits are its own only where nothing stands before its name.
    Scenario(
        "monitor that pings sixty hosts in order",
        (INTERPRETER, PROGRAMS, "pinger", "60"),
        learned="first_seen.fan_out",
        unlearned="scan.icmp_sweep",
    ),
    Scenario(
        "monitor that pings sixty hosts in order, no packets captured",
        (INTERPRETER, PROGRAMS, "pinger", "60"),
        few=True,
        blind=True,
        learned="first_seen.fan_out",
        unlearned="scan.icmp_sweep",
    ),
    Scenario("peer-to-peer, six in ten peers gone", program("peers", "6")),
    Scenario("peer-to-peer, nine in ten peers gone", program("peers", "9"), few=True),
    Scenario(
        "backups of eight hosts by ssh",
        (
            "sh",
            "-ec",
            f"for n in $(seq 8); do {SSH} root@10.97.22.$n tar -cf- -C /etc/apt . >/dev/null; done",
        ),
    ),
    Scenario(
        "backups in order, half a minute apart", program("visits", FEW, "60"), every_s=30, few=True
    ),
    Scenario("busy proxy", program("busy_proxy")),
    Scenario(
        "Modbus polling of six units of a control zone",
        program("modbus", "120"),
        every_s=0.5,
        few=True,
    ),
    Scenario(
        "an SSH session",
        ("sh", "-ec", f"{SSH} root@10.97.22.1 'uptime; ls -l /usr/bin'"),
    ),
    Scenario("NTP, four servers for an hour", program("clock", "56"), every_s=64),
)
