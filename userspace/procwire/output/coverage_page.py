"""What a run could tell of each analytic, for people: analytics first, then what they rest on, each
reason once.

Inputs have numbers, by which analytics point at them; what hides most comes first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from procwire.analytic_coverage import BLIND, IN_PART, SEEN, Covered, Gap, Supply
from procwire.output.amount import amount
from procwire.output.printable import printable
from procwire.sensor.coverage import Coverage, Unseen

_WORST_FIRST = {BLIND: 0, IN_PART: 1, SEEN: 2}
_STATES = {BLIND: "not seen", IN_PART: "in part", SEEN: "seen"}
_INDENT, _ITEM = "    ", "    - "


def coverage_page(
    analytics: Iterable[Covered], supplies: Sequence[Supply], told: Coverage, width: int
) -> Iterator[str]:
    """Lines of at most `width` columns. told: the counters of the same run."""
    lost = {one.name for one in told.lost}
    inputs = sorted(supplies, key=lambda one: (_badness(one), not _has_lost(one, lost)))
    numbers = {one.name: number for number, one in enumerate(inputs, 1)}
    for one in sorted(analytics, key=_badness):
        yield from _analytic(one, [numbers[name] for name in one.inputs], inputs, width)
    yield ""
    yield "Inputs, by number:"
    told_of: dict[str, int] = {}
    for number, supply in enumerate(inputs, 1):
        yield from _input(number, supply, told_of, width)
    shown = {gap.what for one in inputs for gap in one.gaps}
    yield from _counters("Lost as well", told.lost, shown, width)
    yield from _counters("Left out on purpose as well", told.left_out, shown, width)
    hidden = [(number, spot) for number, one in enumerate(inputs, 1) for spot in one.never]
    shown |= {spot.name for _, spot in hidden}
    others = [spot for spot in told.not_seen if spot.name not in shown]
    if hidden or others:
        yield ""
        yield "Never seen, by input:"
    for number, spot in hidden:
        yield from _folded(f"{number:3} {spot.name}: {spot.reason}", width, "", _INDENT)
    for spot in others:
        yield from _folded(f"{spot.name}: {spot.reason}", width, "  - ")


def _has_lost(one: Supply, lost: set[str]) -> bool:
    """Whether something is missing that was not left out on purpose or is still to come."""
    return any(gap.what in lost or not gap.count for gap in one.gaps)


def _badness(one: Covered | Supply) -> int:
    return _WORST_FIRST[one.state]


def _analytic(
    one: Covered, numbers: Sequence[int], inputs: Sequence[Supply], width: int
) -> Iterator[str]:
    yield from _folded(f"{one.id} {one.state}: {one.title} ({one.technique})", width, "")
    by_state = [
        (said, sorted(number for number in numbers if inputs[number - 1].state == state))
        for state, said in _STATES.items()
    ]
    rests = "; ".join(f"{_ranges(listed)} {said}" for said, listed in by_state if listed)
    yield from _folded(f"inputs: {rests}", width, _INDENT)
    if one.latency is not None:
        measured = one.latency
        told = (
            f"{amount(measured.samples, 'alerts')} told within {measured.median_ms:,} ms (median), "
            f"{measured.p95_ms:,} ms (95 of 100)"
        )
        yield from _folded(told, width, _INDENT)


def _input(number: int, one: Supply, told_of: dict[str, int], width: int) -> Iterator[str]:
    """told_of: reasons why inputs were not seen, and the first of these, by number."""
    label = f"{number:3} {one.name}: "
    if one.state == BLIND:
        why = ", ".join(gap.why for gap in one.gaps)
        first = told_of.setdefault(why, number)
        reason = why if first == number else f"as {first}"
        yield from _folded(f"{label}not seen: {reason}", width, "", _INDENT)
        return
    yield from _folded(label + one.state, width, "", _INDENT)
    by_reason: dict[str, list[Gap]] = {}
    for gap in one.gaps:
        by_reason.setdefault(gap.why, []).append(gap)
    for why, gaps in by_reason.items():
        yield from _folded(f"{_named(gaps)}: {why}".removesuffix(": "), width, _ITEM)


def _named(gaps: Iterable[Gap]) -> str:
    return printable(
        ", ".join(f"{gap.count:,} {gap.what}" if gap.count else gap.what for gap in gaps)
    )


def _counters(title: str, counters: Iterable[Unseen], shown: set[str], width: int) -> Iterator[str]:
    """A list of those that no input has shown."""
    listed = [one for one in counters if one.name not in shown]
    if not listed:
        return
    yield ""
    yield f"{title}:"
    for one in listed:
        said = f"{one.count:,} {printable(one.name)}: {one.meaning}".removesuffix(": ")
        yield from _folded(said, width, "  - ")


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers, those that follow each other as one: 1-3, 5."""
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    parts = ([number for _, number in run] for _, run in runs)
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def _folded(text: str, width: int, first: str, further: str = "") -> list[str]:
    further = further or " " * len(first) or _INDENT
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=further)
