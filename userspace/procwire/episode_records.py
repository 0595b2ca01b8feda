"""What was told of one episode: its EVE records, from a file of them or by replaying a record, and
the packet that it rests on where the capture is at hand.

Whoever wrote the file is not trusted: records are decoded into types, and a line that does not fit
is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from procwire.alert import Alert
from procwire.errors import InputDamaged, UsageError
from procwire.output import eve
from procwire.output.eve import Source

# A record of ours has a few thousand bytes of command lines; a line beyond is none.
_LONGEST = 1 << 22
_NAME_RESULTS = "name the EVE results of a run"
ANOMALY = "anomaly"


class Program(msgspec.Struct):
    """A process, or one of its ancestors, as a record describes it."""

    pid: int = 0
    exe: str = ""
    script: str | None = None
    comm: str = ""
    cmdline: str = ""
    cwd: str | None = None
    user: str = ""
    started: str | None = None
    container: str | None = None
    attribution: str = ""
    role: str = ""
    parent: list[Program] = []


class Threshold(msgspec.Struct):
    """What a figure had to reach, and the name under which that can be changed."""

    threshold: int | float | None = None
    setting: str = ""


class Target(msgspec.Struct):
    """A sample target."""

    ip: str
    port: int | None = None


class JobProgram(msgspec.Struct):
    """A program of a job, with the last process that ran it."""

    processes: int = 0
    attempts: int = 0
    pid: int = 0
    exe: str | None = None
    cmdline: str | None = None


class Job(msgspec.Struct):
    """The session or cgroup whose processes did it together."""

    kind: str = ""
    id: int = 0
    cgroup: str | None = None
    programs: list[JobProgram] = []


class Share(msgspec.Struct):
    """What one of several processes did of a scan."""

    attempts: int
    process: Program


class Context(msgspec.Struct):
    """What an alert rests on."""

    count: int
    first: str
    last: str
    evidence: dict[str, Any] = {}
    thresholds: dict[str, Threshold] = {}
    targets: list[Target] = []
    process: Program | None = None
    job: Job | None = None
    findings: dict[str, int] = {}
    shares: list[Share] = []


class Details(msgspec.Struct):
    """The alert of a record."""

    signature_id: int
    signature: str
    severity: int
    metadata: dict[str, list[str]]
    context: Context

    def first_of(self, name: str) -> str:
        """The first value of a name in the metadata, or nothing."""
        return next(iter(self.metadata.get(name, ())), "")


class Seen(msgspec.Struct, kw_only=True):
    """When and where something was seen, as a record tells it. host: that another tool recorded."""

    event_type: str = ""
    timestamp: str
    host: str = ""
    src_ip: str = ""
    src_port: int | None = None
    dest_ip: str = ""
    dest_port: int | None = None
    proto: str = ""
    in_iface: str = ""
    pcap_filename: str = ""
    pcap_cnt: int = 0


class Told(Seen, kw_only=True):
    """One state of an episode, as it was told."""

    alert: Details

    @property
    def is_anomaly(self) -> bool:
        """Whether it was told as an anomaly, because the capture may be at fault."""
        return self.event_type == ANOMALY

    @property
    def is_of_packet(self) -> bool:
        """Whether it tells of a packet, and of no scan."""
        return bool(self.alert.first_of("size"))


class Variable(msgspec.Struct):
    """A variable of a flow: what an anomaly has in common with an alert."""

    alert: Details | None = None


class Metadata(msgspec.Struct):
    """The metadata of an anomaly."""

    flowvars: list[Variable] = []


class Anomaly(Seen, kw_only=True):
    """The record of an anomaly."""

    metadata: Metadata


def told_in(path: Path, episode: str) -> list[Told]:
    """Every state of the episode in a file of EVE JSON lines, in its order. Raises UsageError."""
    wanted = episode.encode(errors="surrogateescape")
    try:
        if path.is_char_device():
            raise UsageError(f"{path}: a device, which may have no end; {_NAME_RESULTS}")
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(_LONGEST), b"")
            return _states((line for line in lines if wanted in line), episode)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; {_NAME_RESULTS}") from None


def told_by_record(folder: Path, episode: str) -> list[Told]:
    """The same by replaying a record. What follows its damage, if any, is not told. Raises as
    Recording does."""
    from procwire.context.site import Site
    from procwire.context.store import FILE_NAME, Store
    from procwire.runs.recording import packets_file
    from procwire.runs.replay import Replay

    lines: list[bytes] = []

    def emit(alerts: Iterable[Alert], source: Source) -> None:
        place = source
        if source.in_iface is not None:
            number = replay.interfaces.index(source.in_iface)
            place = Source(str(packets_file(folder, number)), source.in_iface)
        lines.extend(eve.lines([one], place) for one in alerts if one.episode == episode)

    with ExitStack() as stack:
        store = None
        if (folder / FILE_NAME).exists():
            store = stack.enter_context(Store(folder / FILE_NAME, read_only=True))
        replay = Replay(folder, None, emit, Site(store))
        try:
            replay.run()
        except InputDamaged as damage:
            if not lines:
                raise damage
        replay.finish()
    return _states(lines, episode)


def by_check(states: list[Told]) -> list[list[Told]]:
    """The states of one episode by what they tell of: a scan's, or else those of the check that was
    told last, and then of each other check of packets."""
    found: dict[str, list[Told]] = {}
    for told in states:
        found.setdefault(told.alert.first_of("rule") if told.is_of_packet else "", []).append(told)
    last = states[-1].alert.first_of("rule")
    first = found.pop("" if "" in found else last)
    return [first, *found.values()]


def shown_packet(states: list[Told]) -> Told:
    """The state whose packet is shown: of a scan with findings, the last of one of these."""
    first, *others = by_check(states)
    return first[-1] if first[-1].is_of_packet or not others else others[0][-1]


def packet_of(told: Told) -> bytes | None:
    """The packet that the episode's state rests on; None where there is none, or its capture is not
    where it was, or no capture any more."""
    # Compiled code.
    from procwire.capture.open import read_capture

    path = Path(told.pcap_filename)
    try:
        if told.pcap_cnt < 1 or not path.is_file():
            return None
        for batch in read_capture(path):
            row = told.pcap_cnt - batch.first
            if row < len(batch.start):
                start = int(batch.start[row])
                return batch.data[start : start + int(batch.captured[row])].tobytes()
    except (OSError, InputDamaged, UsageError):
        return None
    return None


def _states(lines: Iterable[bytes], episode: str) -> list[Told]:
    states = []
    for line in lines:
        try:
            told = list(_told(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        states += [one for one in told if one.alert.first_of("episode") == episode]
    return states


def _told(line: bytes) -> Iterable[Told]:
    """What a record tells: an alert, or an anomaly as the alert it would have been."""
    if msgspec.json.decode(line, type=Seen).event_type != ANOMALY:
        return [msgspec.json.decode(line, type=Told)]
    record = msgspec.json.decode(line, type=Anomaly)
    where = {name: getattr(record, name) for name in Seen.__struct_fields__}
    alerts = (variable.alert for variable in record.metadata.flowvars)
    return [Told(alert=alert, **where) for alert in alerts if alert is not None]
