"""What one fan-out row says, in Python's own types, and what a detector answers to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import Detector
from procwire.detect.observation import Evidence, Job, JobProgram, Observation
from procwire.detect.scattered import are_scattered
from procwire.detect.unanswered import is_untold, unanswered
from procwire.event import SAMPLE_TARGETS, Origin, Subject
from procwire.record import FIRST_DYNAMIC_PORT, Attempt, Endpoint, ProcessId
from procwire.settings import Settings

SENT_THROUGH = "sent_through"
"""Evidence of attempts of which only that they were sent is known."""

_NOBODY = bytes(16)
# In the order of Figures.
_FIELDS = ["attempt", "attempts", "hosts", "host_ports", "window_ns", "origin", "established"]
_FIELDS += ["refused", "failures", "sequential_run", "by_children", "unrouted"]


class Figures(msgspec.Struct, frozen=True):
    """One window of one subject. Counts as in event.FANOUT_EVENT, but attempts are those for which
    there was a way: of the others, unrouted, no packet left. unanswered, is_untold: as the
    functions of that name say; sampled: addresses of targets, 16 bytes each, and their ports
    sampled_ports; window_s in seconds;
    raw: packets of raw sockets, of whose answers the kernel tells nothing; by_scanner: made by a
    program known for scanning."""

    kind: Attempt
    attempts: int
    unanswered: float
    is_untold: bool
    sampled: bytes
    sampled_ports: tuple[int, ...]
    hosts: int
    host_ports: int
    window_s: float
    raw: bool
    established: int
    refused: int
    failures: int
    sequential_run: int
    by_children: int
    unrouted: int
    by_scanner: bool = False

    @classmethod
    def of(cls, rows: NDArray[np.void]) -> list[Figures]:
        """The figures of rows of event.FANOUT_EVENT."""
        figures = []
        # All rows at once: a field of one row costs as much as a row.
        samples = zip(_sampled(rows), _sampled_ports(rows), strict=True)
        for sampled, row in zip(samples, rows[_FIELDS].tolist(), strict=True):
            kind, tried, hosts, host_ports, window_ns, origin, *others = row
            established, _refused, failures, _run, _by_children, unrouted = others
            attempts = max(tried - unrouted, 0)
            # Estimates err to both sides; there are never more targets than attempts.
            targets = min(hosts, attempts), min(host_ports, attempts)
            known = window_ns / 1e9, origin == Origin.RAW
            share = unanswered(attempts, established, failures, kind, origin)
            silent = is_untold(attempts, established, failures, origin)
            counted = attempts, share, silent, *sampled
            figures.append(cls(Attempt(kind), *counted, *targets, *known, *others))
        return figures

    @property
    def ports_per_host(self) -> float:
        """Mean number of ports tried on a host."""
        return self.host_ports / max(self.hosts, 1)

    @property
    def is_scattered(self) -> bool:
        """Whether its hosts lie in networks of their own, as far as they are sampled."""
        starts = range(0, len(self.sampled), len(_NOBODY))
        return are_scattered(self.sampled[at : at + len(_NOBODY)] for at in starts)

    @property
    def has_port_each(self) -> bool:
        """Whether each of its hosts has a client's port of its own, as far as they are sampled: who
        is answered has one, and no service that is looked for."""
        return self.has_another_port_each and min(self.sampled_ports) >= FIRST_DYNAMIC_PORT

    @property
    def has_another_port_each(self) -> bool:
        """The same of a port of any number, which an address translation may give to a client."""
        return len(set(self.sampled_ports)) == SAMPLE_TARGETS and self.ports_per_host < 2

    def fails(self, least: float) -> bool:
        """Whether so great a share came to nothing as makes a scan. What is known for scanning
        scans whoever answers, too."""
        return self.by_scanner or self.unanswered >= least

    def plain(self, *names: str) -> tuple[Evidence, ...]:
        """Evidence of figures that decide nothing."""
        return tuple(Evidence(name, getattr(self, name)) for name in names)

    def outcomes(self) -> tuple[Evidence, ...]:
        """How the attempts ended, and whose they were, which every alert shows."""
        if self.raw:
            return (*self.plain("attempts"), Evidence(SENT_THROUGH, "raw socket"))
        others = [name for name in ("by_children", "unrouted") if getattr(self, name)]
        return self.plain("attempts", "established", "refused", "failures", *others)


@dataclass(frozen=True)
class Verdict:
    """What a detector found in Figures. figure, severity, evidence: as in Observation."""

    detector: Detector
    figure: int
    severity: int
    evidence: tuple[Evidence, ...]


Judge = Callable[[Figures, Settings], Verdict | None]


def _sampled(rows: NDArray[np.void]) -> list[bytes]:
    """The addresses of the samples of each row of event.FANOUT_EVENT."""
    addresses = rows["sample"]["address"].tobytes()
    room = len(addresses) // max(len(rows), 1)
    sizes = np.minimum(rows["samples"].astype(np.int64) * len(_NOBODY), room).tolist()
    return [addresses[n * room : n * room + size] for n, size in enumerate(sizes)]


def _sampled_ports(rows: NDArray[np.void]) -> list[tuple[int, ...]]:
    """The ports of the samples of each row of event.FANOUT_EVENT."""
    ports, sizes = rows["sample"]["port"].tolist(), rows["samples"].tolist()
    return [tuple(row[:size]) for row, size in zip(ports, sizes, strict=True)]


def reaches(figure: float, threshold: float) -> bool:
    """Whether a figure reaches a threshold of which 0 means off."""
    return 0 < threshold <= figure


def share(figures: Figures, least: float, setting: str) -> tuple[Evidence, ...]:
    """The unanswered share as evidence, which decides nothing of a known scanner's. Of a raw socket
    it is what is assumed and nothing that was seen."""
    if figures.raw:
        return ()
    if figures.by_scanner:
        return (Evidence("unanswered", round(figures.unanswered, 3)),)
    return (Evidence("unanswered", round(figures.unanswered, 3), least, setting),)


def observation(row: np.void, verdict: Verdict, kind: Attempt) -> Observation:
    """What is handed on of a verdict on a row of event.FANOUT_EVENT."""
    source = row["source"].tobytes()
    is_job = row["subject"] != Subject.PROCESS
    is_part = row["job_kind"] and not is_job
    return Observation(
        detector=verdict.detector,
        time=_signed(row["time_ns"]),
        first=_signed(row["first_ns"]),
        subject=_key(row["process"]) if row["process"]["pid"] else None,
        source=Endpoint(source) if source != _NOBODY else None,
        protocol=int(row["last"]["protocol"]),
        kind=kind,
        figure=verdict.figure,
        attempts=int(row["attempts"]),
        severity=verdict.severity,
        evidence=verdict.evidence,
        last_target=_endpoint(row["last"], kind),
        targets=tuple(_endpoint(one, kind) for one in row["sample"][: int(row["samples"])]),
        final=is_job and not row["measure"],
        job=_job(row) if is_job else None,
        within=(int(row["job_kind"]), int(row["job"])) if is_part else None,
    )


def _signed(time: np.uint64) -> int:
    """Packets may be older than the epoch, which the kernel's events never are."""
    return int(time.view(np.int64))


def _key(key: np.void) -> ProcessId:
    return int(key["started_ns"]), int(key["pid"]), int(key["exec_count"])


def _job(row: np.void) -> Job:
    programs = [
        JobProgram(_key(one["process"]), int(one["processes"]), int(one["attempts"]))
        for one in row["program"]
        if one["processes"]
    ]
    leading = sorted(programs, key=attrgetter("attempts"), reverse=True)
    return Job(Subject(row["subject"]), int(row["job"]), tuple(leading))


def _endpoint(target: np.void, kind: Attempt) -> Endpoint:
    port = None if kind in (Attempt.ECHO, Attempt.NEIGHBOUR) else int(target["port"])
    return Endpoint(target["address"].tobytes(), port)
