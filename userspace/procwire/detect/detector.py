"""The detectors' table and what a detector hands on: observations with their evidence.

Detectors share one name space and one range of signature ids with the packet rules and carry the
same fields, so lists, alerts and outputs treat both alike.
"""

from __future__ import annotations

from dataclasses import dataclass

ProcessId = tuple[int, int, int]
"""A process key as record.Process has it: started ns since boot, pid, exec count."""


@dataclass(frozen=True)
class Detector:
    """A check over many connections. Fields as in rule.Rule."""

    id: str
    sid: int
    title: str
    reference: str
    analytics: tuple[str, ...]
    severity: int
    tier: str = "A"
    suricata: tuple[str, ...] = ()
    zeek: tuple[str, ...] = ()


HOST_SWEEP = Detector(
    "scan.host_sweep",
    9100901,
    "One source tries many hosts",
    "MITRE ATT&CK T1595.001, T1046; Jung et al. 2004",
    ("AN1949", "AN1057", "AN2050"),
    3,
    zeek=("Scan::Address_Scan",),
)
PORT_VERTICAL = Detector(
    "scan.port_vertical",
    9100902,
    "One source tries many ports of a few hosts",
    "MITRE ATT&CK T1046, T0846.001",
    ("AN1949", "AN1057", "AN2050"),
    3,
    zeek=("Scan::Port_Scan",),
)
BLOCK = Detector(
    "scan.block",
    9100903,
    "One source tries many ports of many hosts",
    "MITRE ATT&CK T1595.001, T1046",
    ("AN1949", "AN1057", "AN2050"),
    2,
)

DETECTORS = (HOST_SWEEP, PORT_VERTICAL, BLOCK)
"""Every detector, by sid."""


@dataclass(frozen=True)
class Endpoint:
    """A peer. address: 16 bytes in network order, IPv4 mapped; port: None where unknown or absent
    (for ICMP the type or the code)."""

    address: bytes
    port: int | None = None


@dataclass(frozen=True)
class Evidence:
    """One figure an alert rests on. threshold: what it had to reach, None for a figure that decides
    nothing; setting: the name under which the threshold can be changed."""

    name: str
    value: int | float | str
    threshold: int | float | None = None
    setting: str | None = None


@dataclass(frozen=True)
class Observation:
    """A detector's verdict on one window of one subject.

    time, first: ns since the epoch, of the verdict and of the window's first attempt; subject: the
    process, or None where the source address is the subject; source: None where only the process is
    known; figure: the count whose growth makes the episode grow; protocol: IP protocol of the
    attempts.
    """

    detector: Detector
    time: int
    first: int
    subject: ProcessId | None
    source: Endpoint | None
    protocol: int
    figure: int
    attempts: int
    severity: int
    evidence: tuple[Evidence, ...]
    last_target: Endpoint
    targets: tuple[Endpoint, ...]
