"""The detectors' table.

Detectors share one name space and one range of signature ids with the packet rules and carry the
same fields, so lists, alerts and outputs treat both alike.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Detector:
    """A check over many connections. Fields as in rule.Rule. width: of two that see the same
    episode, the one of greater width names it; family: only those of one family do see the same."""

    id: str
    sid: int
    title: str
    reference: str
    analytics: tuple[str, ...]
    severity: int
    tier: str = "A"
    suricata: tuple[str, ...] = ()
    zeek: tuple[str, ...] = ()
    width: int = 0
    family: str = "scan"


_SCANNING = ("AN1949", "AN1057", "AN1058", "AN2050")
_PROBING = ("AN1949", "AN1962")

HOST_SWEEP = Detector(
    "scan.host_sweep",
    9100901,
    "One source tries many hosts",
    "MITRE ATT&CK T1595.001, T1046; Jung et al. 2004",
    _SCANNING,
    3,
    zeek=("Scan::Address_Scan",),
    width=3,
)
PORT_VERTICAL = Detector(
    "scan.port_vertical",
    9100902,
    "One source tries many ports of a few hosts",
    "MITRE ATT&CK T1046, T0846.001",
    _SCANNING,
    3,
    zeek=("Scan::Port_Scan",),
    width=3,
)
BLOCK = Detector(
    "scan.block",
    9100903,
    "One source tries many ports of many hosts",
    "MITRE ATT&CK T1595.001, T1046",
    _SCANNING,
    2,
    width=4,
)
SEQUENTIAL = Detector(
    "scan.sequential",
    9100904,
    "One source tries targets in order, or most of a small network",
    "MITRE ATT&CK T1595.001, T1046",
    _SCANNING,
    2,
    width=2,
)
SLOW_WALK = Detector(
    "scan.slow_trw",
    9100905,
    "One source's first contacts fail more often than chance allows",
    "Jung, Paxson, Berger and Balakrishnan 2004",
    _SCANNING,
    3,
    zeek=("TRW::TRWScanner",),
    width=1,
)
UDP_UNREACHABLE = Detector(
    "scan.udp_icmp_unreach",
    9100906,
    "One source sends datagrams to many closed ports",
    "RFC 1122 4.1.3.1; MITRE ATT&CK T1046",
    _SCANNING,
    2,
    width=3,
)
NEIGHBOUR_SWEEP = Detector(
    "scan.arp_nd_sweep",
    9100907,
    "One source asks for many neighbours that do not exist",
    "RFC 826; RFC 4861 7.2; MITRE ATT&CK T1018",
    _SCANNING,
    3,
)
REPEATED_ATTEMPTS = Detector(
    "scan.repeated_attempts",
    9100908,
    "One source tries the same target again and again without success",
    "MITRE ATT&CK T1595",
    ("AN1949",),
    3,
)
ICMP_SWEEP = Detector(
    "scan.icmp_sweep",
    9100909,
    "One source asks many hosts for an echo, few answer",
    "RFC 792; RFC 4443 4.1; MITRE ATT&CK T1018",
    _SCANNING,
    3,
)
NULL_PROBES = Detector(
    "scan.null",
    9100910,
    "One source probes with TCP segments without flags",
    "RFC 9293 3.10.7.1; MITRE ATT&CK T1046",
    _PROBING,
    2,
)
FIN_PROBES = Detector(
    "scan.fin",
    9100911,
    "One source probes with lone FIN segments",
    "RFC 9293 3.10.7.1; MITRE ATT&CK T1046",
    _PROBING,
    2,
)
XMAS_PROBES = Detector(
    "scan.xmas",
    9100912,
    "One source probes with FIN, PSH and URG",
    "RFC 9293 3.10.7.1; MITRE ATT&CK T1046",
    _PROBING,
    2,
)
MAIMON_PROBES = Detector(
    "scan.maimon",
    9100913,
    "One source probes with FIN and ACK outside of connections",
    "RFC 9293 3.10.7.1; MITRE ATT&CK T1046",
    _PROBING,
    2,
)
ACK_PROBES = Detector(
    "scan.ack",
    9100914,
    "One source probes with ACK outside of connections",
    "RFC 9293 3.10.7.1; MITRE ATT&CK T1046",
    _PROBING,
    2,
)
PROTOCOL_SCAN = Detector(
    "scan.ip_protocols",
    9100919,
    "One source tries many IP protocols of a host",
    "RFC 791 3.1, Protocol; MITRE ATT&CK T1046",
    _PROBING,
    2,
    family="scan.ip_protocols",
)
BACKSCATTER = Detector(
    "scan.backscatter",
    9100915,
    "One host answers many hosts that asked it nothing: its callers' addresses were forged",
    "Moore, Voelker and Savage 2001; RFC 9293 3.10.7.1",
    _PROBING,
    3,
    tier="B",
    family="backscatter",
)
ICS_ENTERPRISE = Detector(
    "ics.enterprise_protocol",
    9100931,
    "One source asks hosts of a control zone for a protocol of offices",
    "MITRE ATT&CK T0846, T0846.001, T0888",
    ("AN2050",),
    2,
    family="ics.enterprise_protocol",
)
ICS_NEIGHBOURS = Detector(
    "ics.neighbour_sweep",
    9100932,
    "One source asks a control zone for neighbours that do not exist",
    "RFC 826; RFC 4861 7.2; MITRE ATT&CK T0846",
    ("AN2050",),
    2,
    width=1,
)
NEW_PROCESS = Detector(
    "process.new_fan_out",
    9100933,
    "A process that has just begun fails to reach many hosts",
    "MITRE ATT&CK T1046, T0846; DET0376, DET0907",
    ("AN1057", "AN1058", "AN2050"),
    3,
    width=1,
)

SLOW_PORTS = Detector(
    "scan.slow_ports",
    9100916,
    "One source tries many ports of one host in vain, however slowly",
    "MITRE ATT&CK T1046, T1595.002",
    _SCANNING,
    3,
    zeek=("Scan::Port_Scan",),
    width=1,
)
SERVICE_SWEEP = Detector(
    "scan.service_sweep",
    9100917,
    "One source tries a service of administration on several hosts at once",
    "MITRE ATT&CK T1046, T1135, T1021",
    ("AN1057", "AN1058", "AN2050"),
    3,
    width=1,
)
KNOWN_SCANNER = Detector(
    "process.known_scanner",
    9100918,
    "A program known for scanning was started",
    "MITRE ATT&CK T1046; DET0376, KnownScannerExeList",
    ("AN1057", "AN1058"),
    4,
    family="known_scanner",
)
FIRST_PROGRAM = Detector(
    "first_seen.program",
    9100934,
    "A program is on the network for the first time",
    "MITRE ATT&CK T1046, T0846; DET0376, DET0907",
    _SCANNING,
    4,
)
FIRST_SERVICE = Detector(
    "first_seen.service",
    9100935,
    "A program speaks a protocol that it never spoke",
    "MITRE ATT&CK T1595, T1071",
    ("AN1962", "AN1999"),
    3,
)
FIRST_USE = Detector(
    "first_seen.use",
    9100936,
    "A program asks for a port or a zone that it never asked for",
    "MITRE ATT&CK T1595, T1571",
    _PROBING,
    4,
)
FIRST_FLOW = Detector(
    "first_seen.zone_flow",
    9100937,
    "Data flows between two zones as it never did",
    "MITRE ATT&CK T1595, T0846",
    ("AN1949", "AN2050"),
    3,
)
FIRST_FAN_OUT = Detector(
    "first_seen.fan_out",
    9100938,
    "A program asks many hosts in order for the first time, and nobody knows who answers",
    "MITRE ATT&CK T1018; RFC 792",
    _SCANNING,
    4,
)

DETECTORS = (
    HOST_SWEEP,
    PORT_VERTICAL,
    BLOCK,
    SEQUENTIAL,
    SLOW_WALK,
    UDP_UNREACHABLE,
    NEIGHBOUR_SWEEP,
    REPEATED_ATTEMPTS,
    ICMP_SWEEP,
    NULL_PROBES,
    FIN_PROBES,
    XMAS_PROBES,
    MAIMON_PROBES,
    ACK_PROBES,
    BACKSCATTER,
    SLOW_PORTS,
    SERVICE_SWEEP,
    KNOWN_SCANNER,
    PROTOCOL_SCAN,
    ICS_ENTERPRISE,
    ICS_NEIGHBOURS,
    NEW_PROCESS,
    FIRST_PROGRAM,
    FIRST_SERVICE,
    FIRST_USE,
    FIRST_FLOW,
    FIRST_FAN_OUT,
)
"""Every detector, by sid."""
