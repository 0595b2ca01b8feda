"""Which figures of a source are a scan, one section for each detector."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from procwire.settings.section import (
    NANOSECONDS,
    Capacity,
    Probability,
    Seconds,
    Section,
    Share,
    Threshold,
)


class SweepSettings(Section):
    """[sweep] Which fan-outs are scans. How wide they have to be is said in [fanout]."""

    ports_per_host: Annotated[
        float, Field(ge=1, description="mean ports per host that make a port scan")
    ] = 15.0
    unanswered: Annotated[
        Share, Field(description="share of attempts not established, below which it is no scan")
    ] = 0.5
    mostly_unanswered: Annotated[
        Share, Field(description="share of attempts not established that raises the severity")
    ] = 0.9
    known_scanners: Annotated[
        tuple[str, ...],
        Field(
            strict=False,
            description="names of scanning programs: graver, and scans whoever answers "
            "(KnownScannerExeList)",
        ),
    ] = (
        "advanced_ip_scanner",
        "advanced_port_scanner",
        "angryip",
        "arp-scan",
        "fscan",
        "ike-scan",
        "ipscan",
        "masscan",
        "naabu",
        "nbtscan",
        "netdiscover",
        "netscan",
        "nmap",
        "onesixtyone",
        "pnscan",
        "rustscan",
        "scanssh",
        "superscan",
        "unicornscan",
        "zenmap",
        "zgrab2",
        "zmap",
    )

    @property
    def scanner_names(self) -> frozenset[str]:
        """The known scanners as record.Process.program names programs."""
        return frozenset(name.lower().removesuffix(".exe") for name in self.known_scanners)


class DatagramSettings(Section):
    """[datagrams] When refused datagrams are a scan of UDP ports."""

    targets: Annotated[
        Threshold, Field(description="distinct host and port pairs that datagrams were sent to")
    ] = 25
    refused: Annotated[
        Threshold, Field(description="datagrams that came back as port unreachable")
    ] = 10
    unanswered: Annotated[
        Share, Field(description="share of datagrams without reply, below which it is no scan")
    ] = 0.8


class ProbeSettings(Section):
    """[probes] When packets that open nothing are a scan: TCP segments outside of connections, and
    those of IP protocols that hardly any host speaks."""

    targets: Annotated[
        Threshold,
        Field(description="distinct targets of NULL, FIN, XMAS, FIN+ACK or ACK segments; 0 = off"),
    ] = 10
    protocols: Annotated[
        Threshold,
        Field(description="mean IP protocols that each host is tried for, of rare ones; 0 = off"),
    ] = 10


class RepeatedSettings(Section):
    """[repeated] When failures are attempts repeated. How many is said by fanout.failures."""

    failures_per_target: Annotated[
        float, Field(ge=1, description="mean failures of each host and port that was tried")
    ] = 25.0


class RandomWalkSettings(Section):
    """[random_walk] The sequential hypothesis test on each source's first contacts (Jung 2004)."""

    benign_success: Annotated[
        float,
        Field(gt=0.5, lt=1, description="share of a benign host's first contacts that succeed"),
    ] = 0.8
    scanner_success: Annotated[
        float, Field(gt=0, lt=0.5, description="share of a scanner's first contacts that succeed")
    ] = 0.2
    scattered_benign_success: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="share of a benign host's first contacts that succeed, of hosts that each "
            "lie in a network of their own (/16, /32), as peers do",
        ),
    ] = 0.1
    scattered_scanner_success: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="share of a scanner's first contacts with such hosts that succeed",
        ),
    ] = 0.02
    false_alarm: Annotated[
        Probability, Field(description="accepted probability of calling a benign host a scanner")
    ] = 0.01
    missed: Annotated[
        Probability, Field(description="accepted probability of not calling a scanner one")
    ] = 0.01
    hosts: Annotated[
        Threshold, Field(description="hosts that have to fail, whatever the test says; 0 = off")
    ] = 5
    memory_s: Annotated[
        Seconds, Field(description="a source silent for so long is judged anew")
    ] = 86400.0
    sources: Annotated[Capacity, Field(description="sources judged at a time")] = 8192

    @model_validator(mode="after")
    def _scanners_fare_worse(self) -> RandomWalkSettings:
        if self.scattered_scanner_success >= self.scattered_benign_success:
            raise ValueError("give scattered_scanner_success less than scattered_benign_success")
        return self

    @property
    def memory_ns(self) -> int:
        """The memory in ns."""
        return round(self.memory_s * NANOSECONDS)


class CoverageSettings(Section):
    """[coverage] When failures to reach a network's addresses, in any order, are a scan of it."""

    hosts: Annotated[
        Threshold, Field(description="hosts of one /24 or /120 that failed; 0 = off")
    ] = 16
    memory_s: Annotated[
        Seconds, Field(description="a network left alone for so long is counted anew")
    ] = 3600.0
    networks: Annotated[
        Capacity, Field(description="pairs of source and network counted at a time")
    ] = 16384

    @property
    def memory_ns(self) -> int:
        """The memory in ns."""
        return round(self.memory_s * NANOSECONDS)


class PortCoverageSettings(Section):
    """[port_coverage] When ports of one host tried in vain, however slowly, are a scan of it."""

    ports: Annotated[
        Threshold, Field(description="ports of one host that did not answer; 0 = off")
    ] = 16
    memory_s: Annotated[
        Seconds, Field(description="a pair of hosts left alone for so long is counted anew")
    ] = 86400.0
    pairs: Annotated[Capacity, Field(description="pairs of hosts counted at a time")] = 8192

    @property
    def memory_ns(self) -> int:
        """The memory in ns."""
        return round(self.memory_s * NANOSECONDS)


class ServiceSweepSettings(Section):
    """[service_sweep] When services of administration (SSH, SMB, RDP, WinRM and the like) are
    looked for on several hosts."""

    hosts: Annotated[
        Annotated[int, Field(ge=0, le=32)],
        Field(
            description="hosts on which a new program tries one service, or any source two; 0 = off"
        ),
    ] = 3
    window_s: Annotated[
        Seconds, Field(description="time in which one service is looked for (TimeWindow)")
    ] = 60.0
    together_s: Annotated[
        Seconds, Field(description="time in which two services of a host are looked for")
    ] = 10.0
    sources: Annotated[Capacity, Field(description="sources judged at a time")] = 4096

    @property
    def window_ns(self) -> int:
        """The window in ns."""
        return round(self.window_s * NANOSECONDS)

    @property
    def together_ns(self) -> int:
        """The time for two services in ns."""
        return round(self.together_s * NANOSECONDS)
