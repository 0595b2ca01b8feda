"""What a run could tell of each analytic, from its counters: what of its inputs was there, what was
not, and why. Nothing is coded by analytic; analytics.py is the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from procwire.analytics import ANALYTICS, INPUTS, Analytic, Input
from procwire.sensor.coverage import Coverage, meaning_of, of_run

SEEN, IN_PART, BLIND = "seen", "in part", "blind"


@dataclass(frozen=True)
class Gap:
    """Something that an analytic did not see. count: how often, 0 where that is not counted."""

    what: str
    why: str
    count: int = 0


@dataclass(frozen=True)
class Latency:
    """ms from a packet or a kernel event to the alert. samples: alerts that were told live."""

    samples: int
    median_ms: int
    p95_ms: int


@dataclass(frozen=True)
class Covered:
    """What a run could tell of an analytic. state: SEEN, IN_PART or BLIND; sees: inputs that it
    had; blind: what was missing in this run; never: names of blind spots that are always there;
    latency: None where no alert of the analytic was told live."""

    id: str
    title: str
    technique: str
    state: str
    sees: tuple[str, ...]
    blind: tuple[Gap, ...]
    never: tuple[str, ...]
    latency: Latency | None


def covered(counters: Mapping[str, int]) -> list[Covered]:
    """What a run with these counters, circumstances among them, could tell of each analytic."""
    run = of_run(counters)
    return [_covered(analytic, counters, run) for analytic in ANALYTICS]


def _covered(analytic: Analytic, counters: Mapping[str, int], run: Coverage) -> Covered:
    wanted = [one for one in INPUTS if one.name in (*analytic.carriers, *analytic.helpers)]
    had = {one.name: _counted(counters, one.had) for one in wanted}
    sees = tuple(name for name, found in had.items() if found)
    blind = tuple(gap for one in wanted for gap in _gaps(one, bool(had[one.name]), counters, run))
    state = IN_PART if blind else SEEN
    if not any(name in analytic.carriers for name in sees):
        state = BLIND
    spots = {name for one in wanted if had[one.name] for name in one.spots}
    always = (spot.name for spot in run.not_seen if not spot.without)
    return Covered(
        id=analytic.id,
        title=analytic.title,
        technique=analytic.technique,
        state=state,
        sees=sees,
        blind=_once(blind),
        never=tuple(name for name in always if name in spots),
        latency=_latency(analytic.id, counters),
    )


def _gaps(one: Input, had: bool, counters: Mapping[str, int], run: Coverage) -> Iterable[Gap]:
    if not had:
        return [Gap(one.name, one.absent)] if one.absent else []
    missing = [spot for spot in run.not_seen if spot.without and spot.name in one.spots]
    gaps = [Gap(spot.name, f"{spot.reason} (no {', no '.join(spot.without)})") for spot in missing]
    lost = _counted(counters, one.thins)
    return gaps + [Gap(name, meaning_of(name), count) for name, count in lost.items()]


def _once(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    return tuple(dict.fromkeys(gaps))


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
