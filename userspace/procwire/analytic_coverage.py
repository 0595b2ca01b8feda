"""What a run could tell of each analytic, from its counters: what of its inputs was there, what was
not, and why. Nothing is coded by analytic; analytics.py is the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from procwire.analytics import ANALYTICS, INPUTS, Analytic, Input
from procwire.sensor.blind_spots import BlindSpot
from procwire.sensor.coverage import Coverage, meaning_of, of_run

SEEN, IN_PART, BLIND = "seen", "in part", "blind"


@dataclass(frozen=True)
class Gap:
    """Something that an analytic did not see. count: how often, 0 where that is not counted."""

    what: str
    why: str
    count: int = 0


@dataclass(frozen=True)
class Supply:
    """What a run had of an input. state: SEEN, IN_PART or BLIND; gaps: what was missing in this
    run, the worst first; never: blind spots that are always there."""

    name: str
    state: str
    gaps: tuple[Gap, ...]
    never: tuple[BlindSpot, ...]


@dataclass(frozen=True)
class Latency:
    """ms from a packet or a kernel event to the alert. samples: alerts that were told live."""

    samples: int
    median_ms: int
    p95_ms: int


@dataclass(frozen=True)
class Covered:
    """What a run could tell of an analytic. state: SEEN, IN_PART or BLIND; inputs: names of those
    that it rests on; sees: those that the run had; blind: what was missing in this run; never:
    names of blind spots that are always there; latency: None where no alert of the analytic was
    told live."""

    id: str
    title: str
    technique: str
    state: str
    inputs: tuple[str, ...]
    sees: tuple[str, ...]
    blind: tuple[Gap, ...]
    never: tuple[str, ...]
    latency: Latency | None


def supplies(counters: Mapping[str, int]) -> list[Supply]:
    """What a run with these counters, circumstances among them, had of each input; what it did not
    need is left out."""
    run = of_run(counters)
    found = (_supply(one, counters, run) for one in INPUTS)
    return [one for one in found if one.gaps or one.state != BLIND]


def covered(counters: Mapping[str, int]) -> list[Covered]:
    """What such a run could tell of each analytic."""
    had = supplies(counters)
    return [_covered(analytic, had, counters) for analytic in ANALYTICS]


def _covered(analytic: Analytic, had: list[Supply], counters: Mapping[str, int]) -> Covered:
    wanted = [one for one in had if one.name in (*analytic.carriers, *analytic.helpers)]
    sees = tuple(one.name for one in wanted if one.state != BLIND)
    blind = tuple(gap for one in wanted for gap in one.gaps)
    state = IN_PART if blind else SEEN
    if not any(name in analytic.carriers for name in sees):
        state = BLIND
    return Covered(
        id=analytic.id,
        title=analytic.title,
        technique=analytic.technique,
        state=state,
        inputs=tuple(one.name for one in wanted),
        sees=sees,
        blind=tuple(dict.fromkeys(blind)),
        never=tuple(spot.name for one in wanted for spot in one.never),
        latency=_latency(analytic.id, counters),
    )


def _supply(one: Input, counters: Mapping[str, int], run: Coverage) -> Supply:
    if not _counted(counters, one.had):
        absent = (Gap(one.name, one.absent),) if one.absent else ()
        return Supply(one.name, BLIND, absent, ())
    spots = [spot for spot in run.not_seen if spot.name in one.spots]
    gaps = tuple(
        Gap(spot.name, f"{spot.reason} (no {', no '.join(spot.without)})")
        for spot in spots
        if spot.without
    )
    lost = _counted(counters, one.thins)
    gaps += tuple(Gap(name, meaning_of(name), count) for name, count in lost.items())
    never = tuple(spot for spot in spots if not spot.without)
    return Supply(one.name, IN_PART if gaps else SEEN, gaps, never)


def _counted(counters: Mapping[str, int], patterns: Iterable[str]) -> dict[str, int]:
    """Counters that match one of the patterns and are not 0, in the order of the patterns."""
    return {
        name: count
        for pattern in patterns
        for name, count in counters.items()
        if count and fnmatchcase(name, pattern)
    }


def _latency(analytic: str, counters: Mapping[str, int]) -> Latency | None:
    figures = [counters.get(f"latency.{analytic}.{name}") for name in Latency.__annotations__]
    samples, median, highest_but_few = figures
    if not samples or median is None or highest_but_few is None:
        return None
    return Latency(samples, median, highest_but_few)
