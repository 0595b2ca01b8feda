"""What a run saw, found and did not see, in a few lines for people, from its counters alone."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import click

from procwire.alert import Check
from procwire.output.amount import amount
from procwire.output.printable import printable
from procwire.output.text import SEVERITIES
from procwire.owners.attribution import NONE
from procwire.owners.flow_counts import SIDES
from procwire.sensor.coverage import LOSSES, ON_PURPOSE, counting

# Counters of what was seen -> unit.
_SEEN = {
    "kernel.count_attempts": "connections attempted",
    "packets": "packets",
    "bytes": "bytes on the wire",
    "flows.flows": "flows",
    "records.events": "records of use",
    "records.starts": "programs started",
    "records.connections": "connections recorded",
    "episodes.alerts": "alerts",
}
_NOT_DECODED, _LAYER = "decode.", "layers."
_RULE, _GRADE = "episodes.rule.", "episodes.severity."
_FLOWS = "correlate."
_BY_ENTRY = "context.by_entry."
_COUNTED = "counted"
_LABEL = 13
_ID = 27
# From here on there is room for columns.
_WIDE = 55
_NARROWEST = 40
_SHORTEST_TITLE = 12
_HARD_SPACE = "\xa0"


class _Found(NamedTuple):
    """How often a check was found; severity: of the gravest of its alerts."""

    check: Check
    times: int
    severity: int


def summary(
    title: str,
    counters: Mapping[str, int],
    checks: Iterable[Check],
    width: int,
    colour: bool = False,
) -> str:
    """Lines of at most `width` columns, the last without its end.

    title: the input's name, which may be hostile; counters: as Analysis and Live name them; checks:
    what counters may name, rules and detectors.
    """
    known = {check.id: check for check in checks}
    found = [
        _Found(known[name], count, _gravest(counters, known[name]))
        for name, count in _named(counters, _RULE).items()
    ]
    layers = sorted(_named(counters, _LAYER).items(), key=lambda layer: -layer[1])
    facts = {
        "seen": [amount(counters[name], unit) for name, unit in _SEEN.items() if name in counters],
        "protocols": [f"{name} {count:,}" for name, count in layers],
        "attributed": _attributed(counters),
        "findings": _by_severity(found),
        "suppressed": _suppressed(counters),
        "first seen": _first_seen(counters),
        "not decoded": _listed(_named(counters, _NOT_DECODED)),
        "left out": _listed(counting(counters, ON_PURPOSE)),
        "lost": _listed(counting(counters, LOSSES)),
    }
    width = max(width, _NARROWEST)
    lines = [f"procwire: {printable(title)}"]
    for label, parts in facts.items():
        if parts or label in ("findings", "lost"):
            lines += _wrapped(label, parts or ["nothing"], width)
        if label == "findings":
            lines += [_row(one, width, colour) for one in sorted(found, key=_rank)]
    return "\n".join(lines)


def _named(counters: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Counters of one part that are not 0, without its name."""
    return {
        name.removeprefix(prefix): count
        for name, count in counters.items()
        if name.startswith(prefix) and count
    }


def _gravest(counters: Mapping[str, int], check: Check) -> int:
    """The severity of the gravest alert of a check that was told; its own where none was."""
    grades = (one for one in SEVERITIES if counters.get(f"{_GRADE}{one}.{check.id}"))
    return min(grades, default=check.severity)


def _attributed(counters: Mapping[str, int]) -> list[str]:
    """Of how many flows of this host the process is known, and how."""
    parts, how = [], Counter[str]()
    for side in SIDES:
        ways = _named(counters, f"{_FLOWS}{side.name}_")
        flows = sum(ways.values())
        if flows:
            parts.append(f"{flows - ways.pop(NONE, 0):,} of {flows:,} flows {side.name}")
        how.update(ways)
    return parts + _listed(how)


def _suppressed(counters: Mapping[str, int]) -> list[str]:
    """Alerts that were expected, by the number of the entry that said so, or as a habit."""
    by_entry = _named(counters, _BY_ENTRY)
    listed = [f"{n:,} by allowlist entry {number}" for number, n in by_entry.items()]
    habitual = counters.get("context.habitual", 0)
    return [*listed, f"{habitual:,} usual here (procwire baseline)"] if habitual else listed


def _first_seen(counters: Mapping[str, int]) -> list[str]:
    """What nobody has approved."""
    count = counters.get("context.pending", 0)
    return [f"{count:,} not approved (procwire baseline)"] if count else []


def _listed(counts: Mapping[str, int]) -> list[str]:
    return [f"{name} {count:,}" for name, count in counts.items()]


def _word(found: _Found) -> str:
    return _COUNTED if found.check.tier == "C" else SEVERITIES[found.severity][0].lower()


def _by_severity(found: Iterable[_Found]) -> list[str]:
    words = [word.lower() for word, _ in SEVERITIES.values()] + [_COUNTED]
    counts = {word: sum(one.times for one in found if _word(one) == word) for word in words}
    return [f"{count:,} {word}" for word, count in counts.items() if count]


def _rank(found: _Found) -> tuple[bool, int, int]:
    """The gravest first, then the most frequent."""
    return found.check.tier == "C", found.severity, -found.times


def _row(found: _Found, width: int, colour: bool) -> str:
    """One check on one line; its title is cut, or left out, where it has no room."""
    check, word = found.check, f"{_word(found):<{len(_COUNTED)}}"
    if width < _WIDE:
        line = f" {word} {found.times:>4,} {check.id} "
    else:
        line = f"    {word} {found.times:>10,}  {check.id:<{_ID}} "
    room = width - len(line)
    if room >= _SHORTEST_TITLE:
        line += check.title if len(check.title) <= room else f"{check.title[: room - 1]}…"
    if not colour or check.tier == "C":
        return line.rstrip()
    shade = SEVERITIES[found.severity][1]
    return line.rstrip().replace(word, click.style(word, fg=shade), 1)


def _wrapped(label: str, parts: Iterable[str], width: int) -> list[str]:
    first = f"  {label:<{_LABEL}}"
    lines = textwrap.wrap(
        ", ".join(part.replace(" ", _HARD_SPACE) for part in parts),
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
    )
    return [line.replace(_HARD_SPACE, " ") for line in lines]
