"""Every setting, its default and its meaning. The only place where defaults are written down.

Settings come from a TOML file and from name=value pairs of the command line, later ones winning.
An unknown name or a wrong value stops the program, naming what was meant and what is accepted.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from procwire.errors import UsageError

Threshold = Annotated[int, Field(ge=0, le=2**32 - 1)]
Seconds = Annotated[float, Field(gt=0, le=86400 * 7)]
Capacity = Annotated[int, Field(ge=8, le=1 << 26)]


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("give a power of two")
    return value


PowerOfTwo = Annotated[Capacity, AfterValidator(_power_of_two)]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]

NANOSECONDS = 1_000_000_000


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FanOutSettings(_Section):
    """[fanout] The counters per process (in the kernel) and per source address (on the wire)."""

    windows_s: Annotated[
        tuple[Seconds, Seconds, Seconds],
        Field(strict=False, description="lengths of the windows (TimeWindow)"),
    ] = (10.0, 60.0, 600.0)
    hosts: Annotated[
        Threshold,
        Field(description="distinct hosts that make a host sweep (ScanRateThreshold); 0 = off"),
    ] = 25
    host_ports: Annotated[
        Threshold,
        Field(description="distinct host and port pairs that may make a port scan; 0 = off"),
    ] = 50
    failures: Annotated[
        Threshold, Field(description="failed attempts at which a window is looked at; 0 = off")
    ] = 100
    sequential_run: Annotated[
        Threshold,
        Field(description="attempts in unbroken order that make a scan, or a graver one; 0 = off"),
    ] = 20
    subjects: Annotated[
        Capacity, Field(description="source addresses counted at a time, 7 kB each")
    ] = 6144
    detail_limit: Annotated[
        Threshold, Field(description="connection events of one process per longest window")
    ] = 16
    skip_programs: Annotated[
        tuple[str, ...],
        Field(
            strict=False,
            description="paths of executables whose processes the kernel does not count",
        ),
    ] = ()
    skip_children: Annotated[
        bool, Field(description="nor does it count other programs that these start")
    ] = False

    @field_validator("windows_s")
    @classmethod
    def _rising(cls, windows: tuple[float, float, float]) -> tuple[float, float, float]:
        if not windows[0] < windows[1] < windows[2]:
            raise ValueError("give three lengths, each greater than the one before")
        return windows

    @property
    def windows_ns(self) -> tuple[int, int, int]:
        """The lengths in ns."""
        first, second, third = (round(length * NANOSECONDS) for length in self.windows_s)
        return first, second, third


class ContactSettings(_Section):
    """[contacts] Attempts to connect, as seen on the wire."""

    timeout_s: Annotated[
        Seconds, Field(description="a TCP connection unanswered for so long has failed")
    ] = 60.0
    reply_s: Annotated[
        Seconds, Field(description="the same for datagrams, echoes, neighbours and lone segments")
    ] = 5.0
    capacity: Annotated[
        PowerOfTwo, Field(description="attempts remembered, a power of two, 88 bytes each")
    ] = 1 << 18

    @property
    def timeout_ns(self) -> int:
        """The timeout in ns."""
        return round(self.timeout_s * NANOSECONDS)

    @property
    def reply_ns(self) -> int:
        """The time for a reply in ns."""
        return round(self.reply_s * NANOSECONDS)


class FlowSettings(_Section):
    """[flows] Conversations on the wire, and when what they show can be trusted."""

    capacity: Annotated[
        PowerOfTwo, Field(description="flows remembered, a power of two, 128 bytes each")
    ] = 1 << 18
    warm_up_s: Annotated[
        Seconds, Field(description="time from the first packet in which tier B raises no alert")
    ] = 60.0

    @property
    def warm_up_ns(self) -> int:
        """The warm-up in ns."""
        return round(self.warm_up_s * NANOSECONDS)


class SweepSettings(_Section):
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
            description="names of scanning programs; they raise the severity (KnownScannerExeList)",
        ),
    ] = (
        "advanced_ip_scanner",
        "advanced_port_scanner",
        "angryip",
        "arp-scan",
        "fscan",
        "ipscan",
        "masscan",
        "naabu",
        "nbtscan",
        "netscan",
        "nmap",
        "rustscan",
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


class DatagramSettings(_Section):
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


class ProbeSettings(_Section):
    """[probes] When TCP segments outside of connections are a scan."""

    targets: Annotated[
        Threshold,
        Field(description="distinct targets of NULL, FIN, XMAS, FIN+ACK or ACK segments; 0 = off"),
    ] = 10


class RepeatedSettings(_Section):
    """[repeated] When failures are attempts repeated. How many is said by fanout.failures."""

    failures_per_target: Annotated[
        float, Field(ge=1, description="mean failures of each host and port that was tried")
    ] = 25.0


class RandomWalkSettings(_Section):
    """[random_walk] The sequential hypothesis test on each source's first contacts (Jung 2004)."""

    benign_success: Annotated[
        float,
        Field(gt=0.5, lt=1, description="share of a benign host's first contacts that succeed"),
    ] = 0.8
    scanner_success: Annotated[
        float, Field(gt=0, lt=0.5, description="share of a scanner's first contacts that succeed")
    ] = 0.2
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

    @property
    def memory_ns(self) -> int:
        """The memory in ns."""
        return round(self.memory_s * NANOSECONDS)


class CoverageSettings(_Section):
    """[coverage] When failures to reach a network's addresses, in any order, are a scan of it."""

    hosts: Annotated[
        Threshold, Field(description="hosts of one /24 or /120 that failed; 0 = off")
    ] = 16
    memory_s: Annotated[
        Seconds, Field(description="a network left alone for so long is counted anew")
    ] = 3600.0
    networks: Annotated[
        Capacity, Field(description="pairs of source and network counted at a time")
    ] = 8192

    @property
    def memory_ns(self) -> int:
        """The memory in ns."""
        return round(self.memory_s * NANOSECONDS)


class PortCoverageSettings(_Section):
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


class ServiceSweepSettings(_Section):
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
    new_process_s: Annotated[
        Seconds, Field(description="age up to which a process is new (TimeWindow)")
    ] = 60.0
    sources: Annotated[Capacity, Field(description="sources judged at a time")] = 4096

    @property
    def window_ns(self) -> int:
        """The window in ns."""
        return round(self.window_s * NANOSECONDS)

    @property
    def together_ns(self) -> int:
        """The time for two services in ns."""
        return round(self.together_s * NANOSECONDS)

    @property
    def new_process_ns(self) -> int:
        """The age in ns."""
        return round(self.new_process_s * NANOSECONDS)


class IcsSettings(_Section):
    """[ics] What is enumeration in a control zone. Zones come from the inventory."""

    hosts: Annotated[
        Threshold,
        Field(description="hosts of control zones asked for one enterprise protocol; 0 = off"),
    ] = 3
    neighbours: Annotated[
        Threshold,
        Field(description="addresses of a control zone asked for that nobody has; 0 = off"),
    ] = 8
    window_s: Annotated[Seconds, Field(description="time in which they are counted")] = 600.0

    @property
    def window_ns(self) -> int:
        """The window in ns."""
        return round(self.window_s * NANOSECONDS)


class NewProcessSettings(_Section):
    """[new_process] When a process that has just begun looks for hosts."""

    age_s: Annotated[Seconds, Field(description="age up to which a process is new")] = 60.0
    hosts: Annotated[Threshold, Field(description="hosts that it failed to reach; 0 = off")] = 8

    @property
    def age_ns(self) -> int:
        """The age in ns."""
        return round(self.age_s * NANOSECONDS)


class BaselineSettings(_Section):
    """[baseline] What is learned, and what has to be approved."""

    learning_s: Annotated[
        Annotated[float, Field(ge=0, le=86400 * 90)],
        Field(description="time of observation in which a role and zone is learned"),
    ] = 604800.0

    @property
    def learning_ns(self) -> int:
        """The time in ns."""
        return round(self.learning_s * NANOSECONDS)


class EpisodeSettings(_Section):
    """[episodes] How findings and scans are folded into alerts."""

    quiet_s: Annotated[Seconds, Field(description="an episode ends after so long without news")] = (
        600.0
    )
    open: Annotated[int, Field(ge=1, le=10**7, description="episodes open at a time")] = 20_000
    per_rule: Annotated[
        int,
        Field(ge=1, le=10**7, description="open episodes of one rule; the rest fold into one more"),
    ] = 1_000

    @property
    def quiet_ns(self) -> int:
        """The quiet time in ns."""
        return round(self.quiet_s * NANOSECONDS)


class BlockSettings(_Section):
    """[block] Which scanning hosts a Suricata is told to block, and for how long."""

    expire_s: Annotated[Seconds, Field(description="a host is blocked for so long")] = 3600.0
    severity: Annotated[
        int, Field(ge=1, le=4, description="scans so grave (1 is high, 4 info) or graver")
    ] = 2
    protected: Annotated[
        tuple[str, ...],
        Field(strict=False, description="networks of which no host is ever blocked"),
    ] = ()

    @field_validator("protected")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)
        return networks


class Settings(_Section):
    """All settings, section by section."""

    fanout: FanOutSettings = FanOutSettings()
    contacts: ContactSettings = ContactSettings()
    flows: FlowSettings = FlowSettings()
    sweep: SweepSettings = SweepSettings()
    datagrams: DatagramSettings = DatagramSettings()
    probes: ProbeSettings = ProbeSettings()
    repeated: RepeatedSettings = RepeatedSettings()
    random_walk: RandomWalkSettings = RandomWalkSettings()
    coverage: CoverageSettings = CoverageSettings()
    port_coverage: PortCoverageSettings = PortCoverageSettings()
    service_sweep: ServiceSweepSettings = ServiceSweepSettings()
    ics: IcsSettings = IcsSettings()
    new_process: NewProcessSettings = NewProcessSettings()
    baseline: BaselineSettings = BaselineSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    block: BlockSettings = BlockSettings()


# ATT&CK's names for what its analytics leave to the site (AN1057).
ALIASES = {
    "TimeWindow": "fanout.windows_s",
    "ScanRateThreshold": "fanout.hosts",
    "KnownScannerExeList": "sweep.known_scanners",
}


def names() -> dict[str, str]:
    """Every setting's full name and what it means."""
    return {
        f"{section}.{name}": field.description or ""
        for section, model in _sections().items()
        for name, field in model.model_fields.items()
    }


def load(path: Path | None = None, overrides: Iterable[str] = ()) -> Settings:
    """The settings of a TOML file, if any, changed by `overrides` ("fanout.hosts=40").

    Raises UsageError for an unreadable file, an unknown name (with the nearest known one) or a
    value of the wrong type or range.
    """
    chosen: dict[str, tuple[Any, str]] = {}
    if path is not None:
        for name, value in _flat(_read(path)):
            chosen[_known(name, str(path))] = value, str(path)
    for text in overrides:
        name, equals, written = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: give name=value, such as fanout.hosts=40")
        chosen[_known(name.strip(), f"--set {text}")] = _literal(written.strip()), f"--set {text}"
    tree: dict[str, dict[str, Any]] = {}
    for name, (value, _) in chosen.items():
        section, _, key = name.partition(".")
        tree.setdefault(section, {})[key] = value
    try:
        return Settings.model_validate(tree)
    except ValidationError as wrong:
        raise UsageError("; ".join(_explain(error, chosen) for error in wrong.errors())) from None


def _sections() -> dict[str, type[_Section]]:
    return {name: type(getattr(Settings(), name)) for name in Settings.model_fields}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}; name a readable TOML file") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: byte {problem.start} is not UTF-8, which TOML is") from None
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(f"{path}: {problem}; the file must be TOML") from None


def _flat(tree: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Full names and values; a section is a table, an alias stands outside of them."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


def _known(name: str, where: str) -> str:
    name = ALIASES.get(name, name)
    known = names()
    if name in known:
        return name
    near = difflib.get_close_matches(name, [*known, *ALIASES], n=1, cutoff=0)
    raise UsageError(f"{where}: no setting is called {name}; the nearest is {near[0]}")


def _literal(written: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written


def _explain(error: Any, chosen: Mapping[str, tuple[Any, str]]) -> str:
    name = ".".join(str(part) for part in error["loc"][:2])
    value, where = chosen[name]
    problem = error["msg"].removeprefix("Value error, ")
    return f"{where}: {name} = {value!r}: {problem}; {name} is {names()[name]}"
