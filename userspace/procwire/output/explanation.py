"""One episode for people: each figure against its threshold, who did it and from where it was
started, targets, the packet with its deciding bytes, how to allow it, and what was not seen.

Everything comes from a file that an attacker may have written into: all text is escaped.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator

import click

from procwire.context.allowlist import is_whole_path
from procwire.episode_records import Details, Job, Program, Told, by_check, shown_packet
from procwire.output.hexdump import Marked, dump
from procwire.output.printable import printable
from procwire.output.terminal import folded
from procwire.output.text import ANOMALY, SEVERITIES
from procwire.record import interpreter
from procwire.sensor.coverage import Coverage

_LABEL = 13
_NARROWEST = 40
# What an Ethernet card of today sends at most; more of a packet of a larger one says nothing more.
_DUMPED = 1536
_ANCESTOR_LIMIT = 120
# Figures of a window that are counted by sketches.
_ESTIMATED, _WINDOW = ("hosts", "host_ports"), "window_s"
_PLACE = re.compile("[0-9]{1,9}")
_DOUBT = (
    "told as an anomaly: the capture may be at fault, which had not warmed up, misses packets, "
    "sees one direction or did not see the flow begin; or the sender is somebody else's victim"
)
_HOW_SURE = {
    "kernel": "a hook saw it",
    "snapshot": "it ran, or the socket was open, before the sensor",
    "recorded": "another tool's record says so",
    "inferred": "likely, not certain: an accepted connection is its listener's, an ended process "
    "may have left its socket, one of another namespace is known by its addresses",
}


def explanation(
    states: list[Told], packet: bytes | None, unseen: Coverage | None, width: int, colour: bool
) -> str:
    """Lines of at most `width` columns, but for commands.

    states: of one episode, in order, at least one; packet: that told.shown_packet() names, None
    where it is not at hand; unseen: what the run did not see, None where that is not known.
    """
    width = max(width, _NARROWEST)
    checks = by_check(states)
    last, details = checks[0][-1], checks[0][-1].alert
    word, _ = ANOMALY if last.is_anomaly else SEVERITIES.get(details.severity, ("UNKNOWN", ""))
    title = f"{details.first_of('episode')}  {word}  {details.first_of('rule')}  "
    title = printable(title + details.signature)
    title = folded(title, width, 2)
    lines = [click.style(title, bold=True) if colour else title]
    for label, text in _facts(states, last):
        lines += _wrapped(label, printable(text), width)
    lines += ["", *_doubt(last, width), *_figures(details, width), *_targets(details, width)]
    lines += ["", *_packet(shown_packet(states), packet, width, colour)]
    # What may be the capture's fault is no alert.
    alerts = [told for told in checks if not told[-1].is_anomaly] or checks[:1]
    allowing = [f"    {_allowing(told)}" for told in alerts]
    lines += ["", "  to allow it", *allowing, *_too_broad(details, width)]
    lines += ["", *_not_seen(unseen, width)]
    return "\n".join(lines)


def _facts(states: list[Told], last: Told) -> Iterator[tuple[str, str]]:
    details, context = last.alert, last.alert.context
    process = context.process
    if process is None:
        yield "who", f"{last.src_ip or 'unknown source'}; no process of this host is known for it"
    else:
        name = process.script or process.exe or process.comm
        known = f"pid {process.pid}", process.user, last.host
        yield "who", f"{name} ({', '.join(filter(None, known))})"
        yield "command", process.cmdline
        yield "known by", _sureness(process)
        yield "started", ", ".join(_circumstances(process))
        for number, ancestor in enumerate(process.parent):
            yield "" if number else "started by", _ancestor(ancestor)
    if context.job is not None:
        yield from _of_job(context.job)
    for number, share in enumerate(context.shares):
        said = share.process.cmdline or share.process.exe
        yield "" if number else "shared by", f"{share.attempts:,} (pid {share.process.pid})  {said}"
    ends = [_end(last.src_ip, last.src_port), _end(last.dest_ip, last.dest_port)]
    if context.targets and not last.is_of_packet:
        yield "source", ends[0]
        yield "last target", f"{ends[1]} {_protocol(last.proto)}".strip()
    else:
        yield "flow", " -> ".join(filter(None, ends)) + f" {_protocol(last.proto)}".rstrip()
    until = f" to {context.last}, {context.count:,} in all" if context.count else ""
    yield "when", f"{context.first}{until}"
    for number, told in enumerate(states):
        count = told.alert.context.count
        of = (
            f" of {told.alert.first_of('rule')}"
            if told.is_of_packet is not last.is_of_packet
            else ""
        )
        at = f"{told.alert.first_of('state')} {told.timestamp}"
        yield "" if number else "told", (f"{at} with {count:,}" if count else at) + of
    broken = context.findings.items()
    yield "with", ", ".join(f"{count:,} of {check}" for check, count in broken)
    yield "related", ", ".join(details.metadata.get("related", ()))
    yield "reference", ", ".join(details.metadata.get("reference", ()))
    yield "ATT&CK", ", ".join(details.metadata.get("analytic", ()))


def _protocol(name: str) -> str:
    """A protocol as EVE has it; of those without a name it has the number."""
    return f"protocol {int(name)}" if name.isascii() and name.isdecimal() else name


def _of_job(job: Job) -> Iterator[tuple[str, str]]:
    place = f" {job.cgroup}" if job.cgroup else ""
    whose = f"processes of {job.kind} {job.id}{place}"
    yield "together", f"{whose}, each of them below the thresholds"
    for one in job.programs:
        said = one.cmdline or one.exe or "unknown"
        yield "", f"{one.processes:,} with {one.attempts:,} attempts, last (pid {one.pid})  {said}"


def _sureness(process: Program) -> str:
    how = _HOW_SURE.get(process.attribution, "")
    of = f" as {process.role} of the packets" if process.role == "receiver" else ""
    return f"{process.attribution}{of}{'; ' if how else ''}{how}"


def _circumstances(process: Program) -> Iterator[str]:
    if process.started:
        yield process.started
    if process.cwd:
        yield f"in {process.cwd}"
    if process.container:
        yield f"container {process.container[:12]}"


def _ancestor(process: Program) -> str:
    line = process.cmdline
    if len(line) > _ANCESTOR_LIMIT:
        line = f"{line[:_ANCESTOR_LIMIT]}…"
    return f"{process.comm or process.exe} (pid {process.pid}, {process.user})  {line}"


def _end(address: str, port: int | None) -> str:
    if port is None or not address:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _doubt(told: Told, width: int) -> Iterable[str]:
    return _wrapped("doubt", _DOUBT, width) if told.is_anomaly else []


def _figures(details: Details, width: int) -> Iterator[str]:
    """Each figure, and where it decides what it had to reach."""
    evidence = {n: one for n, one in details.context.evidence.items() if n != "threshold"}
    if not evidence:
        shown = f"`procwire rules show {details.first_of('rule')}` has its text"
        yield from _wrapped("why", printable(f"each such packet breaks the rule; {shown}"), width)
        return
    yield "  figures"
    broad = max(len(printable(name)) for name in evidence)
    for name, value in evidence.items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        if name in _ESTIMATED and _WINDOW in evidence:
            text = f"about {text}"
        limit = details.context.thresholds.get(name)
        if limit is not None and limit.threshold is not None:
            text += f"   threshold {limit.threshold} ({limit.setting})"
        elif limit is not None:
            text += f"   ({limit.setting})"
        yield f"    {printable(name):<{broad}}  {printable(text)}"


def _targets(details: Details, width: int) -> Iterator[str]:
    if details.context.targets:
        listed = "  ".join(_end(one.ip, one.port) for one in details.context.targets)
        yield ""
        yield from _wrapped("some targets", printable(listed), width)


def _packet(told: Told, packet: bytes | None, width: int, colour: bool) -> Iterator[str]:
    offset, size = (told.alert.first_of(name) for name in ("offset", "size"))
    if not (_PLACE.fullmatch(offset) and _PLACE.fullmatch(size)):
        if told.alert.context.count:
            yield from _wrapped("packets", "it rests on many; no single one decides", width)
        return
    place = (
        f"offset {offset}, {size} byte{'' if size == '1' else 's'} of {told.alert.first_of('rule')}"
    )
    if told.pcap_cnt:
        place = f"number {told.pcap_cnt} of {told.pcap_filename}, {place}"
    if packet is None:
        place += "; the capture is not at hand"
    yield from _wrapped("packet", printable(place), width)
    if packet is not None:
        start = min(int(offset), len(packet))
        marked = Marked(packet[:_DUMPED], start, min(start + int(size), len(packet)))
        yield from (f"    {line}" for line in dump(marked, width - 4, colour))


def _allowing(states: list[Told]) -> str:
    """A command that allows the same again, in each of those states, as narrow as what is known
    permits."""
    last = states[-1]
    process, targets = last.alert.context.process, last.alert.context.targets
    asked = {"--source": last.src_ip}
    if process is not None:
        asked = {"--exe": process.script or process.exe, "--user": process.user}
        if not is_whole_path(asked["--exe"]):
            asked = {"--user": process.user, "--source": last.src_ip}
    if not targets and last.dest_ip:
        asked["--destination"] = last.dest_ip
    asked["--analytic"] = _common(states)
    words = [word for option, value in asked.items() if value for word in (option, value)]
    command = shlex.join(["procwire", "allow", "add", *words])
    return printable(f"{command} --reason WHY --expires 30d")


def _too_broad(details: Details, width: int) -> Iterable[str]:
    """What such an entry would allow beside, where its program runs whatever it is given."""
    process = details.context.process
    if process is None or process.script or interpreter(process.exe) is None:
        return []
    note = "whatever that interpreter runs for this account; a destination or a script is narrower"
    return _wrapped("", f"this allows {note}", width)


def _common(states: list[Told]) -> str:
    """The check that told every state, or an analytic that all their checks serve."""
    last, *others = states[::-1]
    if all(one.alert.first_of("rule") == last.alert.first_of("rule") for one in others):
        return last.alert.first_of("rule")
    served = last.alert.metadata.get("analytic", [])
    shared = [
        one for one in served if all(one in o.alert.metadata.get("analytic", ()) for o in others)
    ]
    return shared[0] if shared else ""


def _not_seen(unseen: Coverage | None, width: int) -> Iterator[str]:
    if unseen is None:
        where = "the run's statistics, which its EVE results end with, say it; here are none"
        yield from _wrapped("not seen", where, width)
        return
    lost = [f"{one.name} {one.count:,}" for one in unseen.lost]
    yield from _wrapped("lost", printable(", ".join(lost) or "nothing"), width)
    spots = ", ".join(spot.name for spot in unseen.not_seen)
    yield from _wrapped("not seen", f"{spots}; `procwire coverage` says why", width)


def _wrapped(label: str, text: str, width: int) -> Iterable[str]:
    if not text.strip():
        return []
    first = f"  {label:<{_LABEL}}"
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
    )
