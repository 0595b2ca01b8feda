"""One check for people: why, its text, who else knows it, what evaluates it, and the packets of its
examples with the bytes marked that a finding would point to."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Collection, Iterator

import click

from procwire import examples
from procwire.catalogue import Entry, entry_of
from procwire.detect.detector import BACKSCATTER, PROTOCOL_SCAN, Detector
from procwire.detect.detector_settings import decided_by
from procwire.output.hexdump import Marked, dump
from procwire.output.terminal import folded
from procwire.output.text import SEVERITIES
from procwire.rule import TIERS, Observed, Rule
from procwire.settings import Settings

_LABEL = 13
_NARROWEST = 40
_CONNECTIONS = "many connections, from packets or counted in the kernel"
_CONSTANTS = (int, tuple, frozenset)
_WAYS = {"lua": "as Lua", "native": "by its own keywords", "host": "not"}


def page(check: Rule | Observed | Detector, width: int, colour: bool = False) -> str:
    """Lines of at most `width` columns, but for the rule's own text; the last without its end."""
    width = max(width, _NARROWEST)
    title = folded(f"{check.id}  {check.title}", width, 2)
    lines = [click.style(title, bold=True) if colour else title]
    for label, text in _facts(check):
        lines += _wrapped(label, text, width)
    if isinstance(check, Rule):
        lines += ["", "  text"]
        lines += [f"    {line}" for line in rule_text(check)]
        stands_for = "; ".join(f"{name} = {value}" for name, value in constants(check).items())
        lines += _wrapped("where", stands_for, width)
        for label, texts in (("fires on", check.fires_on), ("silent on", check.silent_on[:1])):
            for text in texts:
                lines += ["", f"  {label}"]
                lines += [f"    {line}" for line in dump(marked(check, text), width - 4, colour)]
    return "\n".join(lines)


def rule_text(rule: Rule) -> list[str]:
    """The function without what was said about it before."""
    lines = textwrap.dedent(inspect.getsource(rule.predicate)).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("def "))
    return lines[first:]


def constants(rule: Rule) -> dict[str, str]:
    """What the names in a rule's text stand for, in its order: numbers, and sets of them."""
    known = inspect.getclosurevars(rule.predicate).globals
    names = re.findall(r"\w+", "\n".join(rule_text(rule)))
    chosen = {name: known[name] for name in names if isinstance(known.get(name), _CONSTANTS)}
    return {name: _listed(value) for name, value in chosen.items()}


def _listed(value: int | Collection[int]) -> str:
    if isinstance(value, int):
        return str(value)
    return ", ".join(map(str, sorted(value))) or "empty"


def marked(rule: Rule, text: str) -> Marked:
    """The frame around an example of a rule, and where a finding in it points to."""
    frame = examples.frame(rule.layers[0], text)
    span = len(bytes.fromhex(text.rpartition("|")[2]))
    home = examples.outer_start(rule.layers[0]) if rule.at_outer else len(frame) - span
    offset, size = rule.at
    # Where the bytes that decide are missing, the evidence is what there is of the layer.
    if home + offset >= len(frame):
        return Marked(frame, home, len(frame))
    start = home + offset
    return Marked(frame, start, min(home + offset + size, len(frame)))


def _facts(check: Rule | Observed | Detector) -> Iterator[tuple[str, str]]:
    grave = SEVERITIES[check.severity][0].lower()
    yield "signature", f"{check.sid}, tier {check.tier} ({TIERS[check.tier]}), severity {grave}"
    yield "reference", check.reference
    if not isinstance(check, Detector) and check.rationale:
        yield "why", " ".join(check.rationale.split())
    yield "ATT&CK", ", ".join(check.analytics)
    yield "Suricata", ", ".join(check.suricata) or "no event for it"
    yield "Zeek", ", ".join(check.zeek) or "no event for it"
    if isinstance(check, Rule):
        yield "sees", _sight(check)
        yield "back ends", "Python (the meaning), numba (procwire)"
    elif isinstance(check, Observed):
        yield "sees", "several packets: there is no function of one"
        yield "back ends", "numba (procwire)"
    else:
        on_wire = check in (BACKSCATTER, PROTOCOL_SCAN)
        yield "sees", "many packets" if on_wire else _CONNECTIONS
        yield "back ends", f"{'' if on_wire else 'eBPF and '}numba (procwire)"
    yield from _in_suricata(entry_of(check))
    if isinstance(check, Detector):
        for number, (name, value, about) in enumerate(decided_by(check, Settings())):
            yield "" if number else "defaults", f"{name} = {value}: {about}"


def _in_suricata(entry: Entry) -> Iterator[tuple[str, str]]:
    seven, eight = (entry.suricata_7, entry.reason_7), (entry.suricata_8, entry.reason_8)
    shown = {"7 and 8": seven} if seven == eight else {"7": seven, "8": eight}
    for version, (way, reason) in shown.items():
        yield "", f"Suricata {version}: {_WAYS[way]}" + (f"; {reason}" if reason else "")


def _sight(rule: Rule) -> str:
    offset, size = rule.at
    unit = "byte" if size == 1 else "bytes"
    where = " of the enclosing header" if rule.at_outer else ""
    least = f", where at least {rule.needs} bytes were captured" if rule.needs else ""
    return f"{', '.join(rule.layers)}{least}; points to {size} {unit} at offset {offset}{where}"


def _wrapped(label: str, text: str, width: int) -> list[str]:
    first = f"  {label:<{_LABEL}}"
    rest = " " * len(first)
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest)
