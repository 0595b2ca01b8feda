"""Alerts for people: a few lines each, the most important first. Colour only where it is wanted.

Every captured string passes through printable(): a scanner chooses its own name and arguments.
"""

from __future__ import annotations

from operator import attrgetter
from socket import IPPROTO_TCP, IPPROTO_UDP

import click

from procwire.alert import FORGED_SOURCES, MOST_SOURCES, RECEIVER, Alert
from procwire.detect.figures import SENT_THROUGH
from procwire.detect.observation import Job
from procwire.event import SAMPLE_TARGETS
from procwire.output.address import PROTOCOL_NAMES, address_text
from procwire.output.eve import ICMP
from procwire.output.printable import printable
from procwire.output.terminal import folded
from procwire.output.timestamp import duration, timestamp
from procwire.owners.attribution import INFERRED
from procwire.record import Endpoint, Process

# Severity -> word and colour.
SEVERITIES = {
    1: ("HIGH", "red"),
    2: ("MEDIUM", "yellow"),
    3: ("LOW", "cyan"),
    4: ("INFO", "white"),
}
# What has no severity, as the capture may be at fault.
ANOMALY = ("ANOMALY", "white")
# Evidence that speaks for itself.
_FACTS = ("service", "zones", "asset", "blocked", "first_seen")
# What can be done about what comes for the first time, by its state.
_DECIDE = {
    "pending": "it waits: procwire baseline pending",
    "denied": "it was denied: procwire baseline show --state denied",
}
_INDENT = " " * 8
# ns; no packet's time is finer.
_MICROSECOND = 1000
_COMMAND_LINE_LIMIT = 200
# Share of a job's attempts from which on the one process that made them is told first.
_MOST = 0.75
# Scan -> which figure it is about and what that counts.
_FIGURES = {
    "scan.host_sweep": ("hosts", "hosts"),
    "scan.port_vertical": ("host_ports", "ports"),
    "scan.block": ("host_ports", "host and port pairs"),
    "ics.enterprise_protocol": ("hosts", "hosts of control zones"),
    "ics.neighbour_sweep": ("missing_neighbours", "neighbours that do not exist"),
    "process.new_fan_out": ("failed_hosts", "hosts"),
    "scan.ip_protocols": ("host_protocols", "IP protocols"),
    "scan.backscatter": ("answered_hosts", "hosts that asked nothing"),
    "scan.service_sweep": ("hosts", "hosts"),
    "scan.slow_ports": ("unanswered_ports", "ports"),
    "scan.slow_trw": ("failed_hosts", "hosts"),
    "scan.icmp_sweep": ("hosts", "hosts by echo requests"),
    "scan.arp_nd_sweep": ("hosts", "neighbours"),
    "scan.udp_icmp_unreach": ("host_ports", "host and port pairs by datagrams"),
    "scan.null": ("host_ports", "host and port pairs by segments without flags"),
    "scan.fin": ("host_ports", "host and port pairs by lone FIN segments"),
    "scan.xmas": ("host_ports", "host and port pairs by FIN, PSH and URG"),
    "scan.maimon": ("host_ports", "host and port pairs by FIN and ACK"),
    "scan.ack": ("host_ports", "host and port pairs by lone ACK segments"),
}
# Figures whose host is named where it is one.
_OF_A_HOST = ("host_ports", "host_protocols")
# What any other scan's attempts are, by protocol.
_ATTEMPTS = {IPPROTO_TCP: "connections", IPPROTO_UDP: "datagrams"}


def text(alert: Alert, colour: bool = False, width: int | None = None) -> str:
    """Up to four lines: verdict, who did it, why it is thought so, how to refer to it. width: of
    the terminal, by which they are folded; None: not at all."""
    word, shade = ANOMALY if alert.is_anomaly else SEVERITIES[alert.severity]
    label = f"{word:<{len(_INDENT)}}"
    body = _scan(alert) if alert.packet is None else _finding(alert)
    first, *more = [line for line in (*body, _reference(alert)) if line]
    lines = f"{label}{' '.join(alert.check.analytics)}  {first}", *(_INDENT + one for one in more)
    headline, *others = (folded(line, width, len(_INDENT)) for line in lines)
    if colour:
        headline = click.style(label, fg=shade, bold=True) + headline[len(label) :]
    return "\n".join((headline, *others)) + "\n"


def _scan(alert: Alert) -> tuple[str, ...]:
    figures = {one.name: one.value for one in alert.evidence}
    attempts = "attempts", _ATTEMPTS.get(alert.protocol, "targets")
    name, things = _FIGURES.get(alert.check.id, attempts)
    if alert.count == 0:
        return f"{_who(alert)} was started", _ancestry(alert), _reasons(alert)
    does = "answered" if name == "answered_hosts" else "tried"
    if "thing" in figures:
        verdict = f"{_who(alert)}  {alert.check.title}: {printable(str(figures['thing']))}"
        return verdict, _ancestry(alert), _DECIDE[str(figures["state"])]
    verdict, last = f"{_who(alert)} {does} {figures.get(name, alert.count):,} {things}", ""
    if name == "hosts" and alert.destination is not None and alert.destination.port is not None:
        last = f", last on {_protocol(alert.protocol)}/{alert.destination.port}"
    elif name == "host_ports" and alert.protocol == IPPROTO_UDP and " by " not in things:
        verdict += " by datagrams"
    elif name == "host_protocols" and figures["hosts"] != 1:
        verdict += f" of {figures['hosts']} hosts"
    elif name in _OF_A_HOST and figures.get("hosts") == 1 and alert.destination is not None:
        verdict += f" of {address_text(alert.destination.address)}"
    return f"{verdict}{_in(alert)}{last}", _ancestry(alert), _reasons(alert), _shares(alert)


def _finding(alert: Alert) -> tuple[str, ...]:
    # Frames without addresses, or many sources that are folded into one episode.
    source, target = "unknown source" if alert.count == 1 else "unknown sources", ""
    if alert.source is not None:
        source = _forged(alert) or _peer(alert.source, alert.protocol)
    if alert.destination is not None:
        target = f" -> {_peer(alert.destination, alert.protocol)}"
    protocol = f" {_protocol(alert.protocol)}" if alert.protocol else ""
    unit = "byte" if alert.size == 1 else "bytes"
    place = f"packet {alert.packet}, offset {alert.offset}, {alert.size} {unit}"
    hosts = f" on {_hosts(alert)}" if alert.targets else ""
    many = f" · {alert.count:,} findings{hosts}{_in(alert)}" if alert.count > 1 else ""
    return (
        f"{source}{target}{protocol}  {alert.check.title}",
        f"{alert.check.reference} · {place}{many}",
        _by(alert),
    )


def _hosts(alert: Alert) -> str:
    """How many hosts were probed, of which an alert lists some."""
    number = len(alert.targets)
    return f"{number}{' or more' if number == SAMPLE_TARGETS else ''} hosts"


def _forged(alert: Alert) -> str:
    """The sources of packets that no host can have sent, where they are several."""
    number = next((one.value for one in alert.evidence if one.name == FORGED_SOURCES), 0)
    if not isinstance(number, int) or number < 2:
        return ""
    return f"{number}{' or more' if number == MOST_SOURCES else ''} forged sources"


def _by(alert: Alert) -> str:
    """Whose a packet is: who sent it or, where it came from another host, received it."""
    if alert.process is None:
        return ""
    likely = "likely " if alert.process.attribution == INFERRED else ""
    does = "received" if alert.role == RECEIVER else "sent"
    return f"{likely}{does} by {_named(alert.process)}   {_command(alert.process)}"


def _who(alert: Alert) -> str:
    if alert.job is not None:
        return _who_of(alert.job)
    if alert.process is not None:
        return _named(alert.process)
    if alert.source is not None:
        return address_text(alert.source.address)
    pids = [one.value for one in alert.evidence if one.name == "pid"]
    return f"an unknown program (pid {pids[0]})" if pids else "an unknown source"


def _who_of(job: Job) -> str:
    """The processes of a job; where one of them tried most, that one first."""
    many, attempts = (
        sum(map(attrgetter(name), job.programs)) for name in ("processes", "attempts")
    )
    where = f"{job.kind.name.lower()} {job.number}"
    for lead in job.programs[:1]:
        is_most = lead.attempts >= _MOST * attempts
        if lead.process is not None and lead.processes == 1 and is_most:
            others = f"with {many - 1} more " if many > 1 else ""
            return f"{_named(lead.process)} {others}of {where}"
    programs = (one.process for one in job.programs if one.process is not None)
    names = ", ".join(printable(one.identity or one.comm) for one in programs) or "unknown"
    return f"{many} processes of {where} ({names})"


def _named(process: Process) -> str:
    name = printable(process.identity or process.comm)
    known = (f"pid {process.key[1]}", printable(process.user), printable(process.host or ""))
    return f"{name} ({', '.join(one for one in known if one)})"


def _ancestry(alert: Alert) -> str:
    if alert.process is None:
        return ""
    parents = " ← ".join(printable(one.comm) for one in alert.ancestors) or "unknown"
    return f"parent: {parents}   {_command(alert.process)}"


def _shares(alert: Alert) -> str:
    """Who shares in a scan, and about how much of what was seen of all of them is whose."""
    total = sum(one.attempts for one in alert.shares)
    shares = (f"{_named(one.process)} {one.attempts / total:.0%}" for one in alert.shares)
    return f"by {', '.join(shares)}" if total else ""


def _command(process: Process) -> str:
    line = printable(process.command)
    if len(line) > _COMMAND_LINE_LIMIT:
        line = f"{line[:_COMMAND_LINE_LIMIT]}…"
    return f"cmd: {line}"


def _reasons(alert: Alert) -> str:
    figures = {one.name: one for one in alert.evidence}
    reasons = []
    if "unanswered" in figures:
        reasons.append(f"{float(figures['unanswered'].value):.0%} not established")
    if SENT_THROUGH in figures:
        reasons.append(f"by {figures[SENT_THROUGH].value}, whose answers are not seen")
    run = figures.get("sequential_run")
    if run is not None and run.threshold is not None and float(run.value) >= run.threshold:
        reasons.append(f"{run.value} in unbroken order")
    if "known_scanner" in figures:
        reasons.append("a known scanning program")
    if "services" in figures:
        reasons.append(str(figures["services"].value))
    if "process_age_s" in figures:
        reasons.append(f"process {figures['process_age_s'].value} s old")
    if "first_run_of" in figures:
        reasons.append("its program was not seen before")
    reasons += [str(figures[name].value) for name in _FACTS if name in figures]
    reasons += [f"{count} {check}" for check, count in alert.findings]
    leading = alert.evidence[0] if alert.evidence else None
    if leading is not None and leading.threshold is not None:
        reasons.append(f"{leading.setting} is {leading.threshold}")
    return " · ".join(reasons)


def _reference(alert: Alert) -> str:
    return f"{alert.episode} {alert.state} {timestamp(alert.time)} · {alert.check.id}"


def _in(alert: Alert) -> str:
    """The time between the first and the last of it, where any passed."""
    passed = alert.last - alert.first
    return f" in {duration(passed / 1e9)}" if passed >= _MICROSECOND else ""


def _protocol(number: int) -> str:
    return PROTOCOL_NAMES.get(number, f"protocol {number}").lower()


def _peer(peer: Endpoint, protocol: int) -> str:
    where = address_text(peer.address)
    if peer.port is None or protocol in ICMP:
        return where
    return f"[{where}]:{peer.port}" if ":" in where else f"{where}:{peer.port}"
