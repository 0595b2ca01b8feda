"""What an alert is: one state of one episode, with the check, the evidence, the process and the
packet it rests on. All time is event time, so a replay makes the same alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from procwire.detect.finding_groups import Found
from procwire.detect.observation import Evidence, Job, Observation
from procwire.record import Endpoint, Lookup, Process

RAISED, GROWN, CLOSED = "raised", "grown", "closed"
LEAST = 4
"""The least grave severity; 1 is the gravest."""
SENDER, RECEIVER = "sender", "receiver"
SOURCE_PROVEN = "source_proven"
"""Evidence of a scan on the wire whose source is not forged."""
FORGED_SOURCES, MOST_SOURCES = "forged_sources", 100
"""Evidence of packets with sources that no host has: from how many, which are counted so far."""
_OF_PROCESS = SCANNER, PID = "known_scanner", "pid"

# Crockford's base 32: no letter that reads like a digit.
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGIT_PAIRS = [low + high for high in _DIGITS for low in _DIGITS]


class Check(Protocol):
    """What an alert tells of its rule: a rule.Rule or a detector.Detector."""

    @property
    def id(self) -> str: ...
    @property
    def sid(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def analytics(self) -> tuple[str, ...]: ...
    @property
    def severity(self) -> int: ...
    @property
    def tier(self) -> str: ...
    @property
    def suricata(self) -> tuple[str, ...]: ...
    @property
    def zeek(self) -> tuple[str, ...]: ...


class Share(msgspec.Struct, frozen=True, gc=False):
    """What one of several processes did of a scan. attempts: about how many it made."""

    process: Process
    attempts: int


class Alert(msgspec.Struct, frozen=True, gc=False):
    """One state of one episode.

    state: raised, grown or closed; time: ns since the epoch at which it got into this state; first,
    last: of the findings, or reports of a scan, that it folds; count: findings, or attempts of a
    scan; source, destination, protocol: of the packet or the last target, None and 0 where unknown
    (or where many sources are folded into one episode); packet: its number in its source, offset
    and size: the evidence in it, None for detectors; in_context: whether what a tier B check
    depends on was seen to hold; role: whether the process sent the packets, or received them from
    another host; related: episodes in which the same process's scan is told from elsewhere; job:
    whose scan it is, where that is no single process's; process is then one of its own; findings:
    of a scan that ends, how many of its packets broke which check; shares: of a scan that packets
    show, the processes that make it, where they are several.
    """

    episode: str
    state: str
    check: Check
    severity: int
    time: int
    first: int
    last: int
    count: int
    source: Endpoint | None
    destination: Endpoint | None
    protocol: int
    evidence: tuple[Evidence, ...]
    targets: tuple[Endpoint, ...] = ()
    process: Process | None = None
    ancestors: tuple[Process, ...] = ()
    packet: int | None = None
    offset: int | None = None
    size: int | None = None
    in_context: bool = False
    role: str = SENDER
    related: tuple[str, ...] = ()
    job: Job | None = None
    findings: tuple[tuple[str, int], ...] = ()
    shares: tuple[Share, ...] = ()

    @property
    def is_anomaly(self) -> bool:
        """Whether it may be the capture's fault: tier B, and its context was not seen to hold."""
        return self.check.tier == "B" and not self.in_context

    @property
    def gravity(self) -> int:
        """Its severity; an anomaly's is the least."""
        return LEAST if self.is_anomaly else self.severity


def episode_id(sid: int, one: object, other: object, first: int) -> str:
    """A readable name, the same in every replay: F- and 30 bits in base 32. one, other: whose it
    is."""
    text = f"{sid}|{one}|{other}|{first}"
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    low, middle, high = number & 1023, number >> 10 & 1023, number >> 20 & 1023
    return f"F-{_DIGIT_PAIRS[low]}{_DIGIT_PAIRS[middle]}{_DIGIT_PAIRS[high]}"


def scan_alert(
    scan: Observation,
    known: tuple[Process, Sequence[Process]] | None,
    scanners: Collection[str],
) -> Alert:
    """The alert that a first observation raises.

    known: the subject's process and its ancestors, parent first, where they are known; scanners:
    names of scanning programs in lower case, which make it graver.
    """
    process, ancestors = known if known is not None else (None, ())
    evidence, severity = scan.evidence, scan.severity
    if process is not None and process.program in scanners:
        named = Evidence(SCANNER, process.exe, None, "sweep.known_scanners")
        evidence = (*evidence, named)
        # That it runs is no scan yet.
        severity = max(1, severity - (scan.attempts > 0))
    if process is None and scan.subject is not None:
        evidence = (*evidence, Evidence(PID, scan.subject[1]))
    subject = scan.subject if scan.job is None else scan.job.name
    return Alert(
        episode=episode_id(scan.detector.sid, subject, scan.source, scan.time),
        state=RAISED,
        check=scan.detector,
        severity=severity,
        time=scan.time,
        first=scan.first,
        last=scan.time,
        count=scan.attempts,
        source=scan.source,
        destination=scan.last_target,
        protocol=scan.protocol,
        evidence=evidence,
        targets=scan.targets,
        process=process,
        ancestors=tuple(ancestors),
        job=scan.job,
    )


def grown(before: Alert, scan: Observation, check: Check, says_more: bool) -> Alert:
    """The alert of an episode after a further observation. check: what the episode is now;
    says_more: whether the observation's evidence takes the place of what was told."""
    of_process = (one for one in before.evidence if one.name in _OF_PROCESS)
    return replace(
        before,
        state=GROWN,
        check=check,
        severity=min(before.severity, scan.severity),
        time=scan.time,
        first=min(before.first, scan.first),
        last=max(before.last, scan.time),
        count=max(before.count, scan.attempts),
        destination=scan.last_target,
        evidence=(*scan.evidence, *of_process) if says_more else before.evidence,
        targets=scan.targets or before.targets,
        job=scan.job or before.job,
    )


def named(job: Job, lookup: Lookup) -> Job:
    """The job with the last process of each of its programs, as far as it is known."""
    found = [(one, lookup(one.last)) for one in job.programs]
    programs = [replace(one, process=known[0] if known else None) for one, known in found]
    return replace(job, programs=tuple(programs))


def finding_alert(check: Check, finding: Found, shared: bool) -> Alert:
    """The alert that a finding raises.

    shared: many sources are folded into one episode, so it belongs to no pair of addresses.
    """
    source, destination = (None, None) if shared else finding.endpoints()
    subject = source and source.address, destination and destination.address
    return Alert(
        episode=episode_id(check.sid, *subject, finding.time),
        state=RAISED,
        check=check,
        severity=check.severity,
        time=finding.time,
        first=finding.time,
        last=finding.time,
        count=1,
        source=source,
        destination=destination,
        protocol=finding.protocol,
        evidence=(),
        packet=finding.packet,
        offset=finding.start,
        size=finding.size,
        in_context=bool(finding.in_context),
    )
