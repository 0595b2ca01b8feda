"""What alerts rested on, kept for tuning: by episode and setting the figure that decided.

The history begins at the thresholds that were in force: what stayed below them raised nothing and
is not in it. So it tells how much quieter higher thresholds would have been.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from procwire.alert import Alert
from procwire.context.store import Store

MOST = 100_000
"""Episodes that are kept; the oldest give way."""

_WEEK_NS = 7 * 86_400 * 1_000_000_000
_SHOWN = 5
_HIGH = 1
_COLUMNS = ("episode", "rule", "setting", "figure", "threshold", "severity", "suppressed", "time")
_NAMED, _MARKS = ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))


class Decided(msgspec.Struct, frozen=True):
    """What one episode's alert rested on: a figure that reached the threshold of a setting."""

    episode: str
    rule: str
    setting: str
    figure: float
    threshold: float
    severity: int
    suppressed: bool
    time: int


class Choice(msgspec.Struct, frozen=True):
    """A threshold, the alerts that it would have raised, and how many of them were high."""

    threshold: float
    alerts: int
    high: int


class Proposal(msgspec.Struct, frozen=True):
    """A setting. threshold: the one proposed; current: the last in force; choices: rising, the
    first is the current one."""

    setting: str
    current: float
    threshold: float
    choices: tuple[Choice, ...]
    weeks: float


def decided(alert: Alert, suppressed: bool) -> Decided | None:
    """What the history keeps of an alert; None where no setting decided."""
    lead = alert.evidence[0] if alert.evidence else None
    if lead is None or lead.setting is None or lead.threshold is None:
        return None
    return Decided(
        episode=alert.episode,
        rule=alert.check.id,
        setting=lead.setting,
        figure=float(lead.value),
        threshold=float(lead.threshold),
        severity=alert.severity,
        suppressed=suppressed,
        time=alert.time,
    )


def keep(store: Store, rows: Iterable[Decided]) -> None:
    """Add to the history; of an episode and setting its largest figure and severity count."""
    with store.writing() as connection:
        connection.executemany(
            f"INSERT INTO history ({_NAMED}) VALUES ({_MARKS})"
            " ON CONFLICT (episode, setting) DO UPDATE SET"
            " figure = max(figure, excluded.figure), severity = min(severity, excluded.severity),"
            " suppressed = min(suppressed, excluded.suppressed), time = excluded.time",
            [msgspec.structs.astuple(row) for row in rows],
        )
        connection.execute(
            "DELETE FROM history WHERE time <="
            " (SELECT time FROM history ORDER BY time DESC LIMIT 1 OFFSET ?)",
            (MOST,),
        )


def propose(store: Store, per_week: float) -> list[Proposal]:
    """For each setting that decided, the lowest threshold that would have raised at most `per_week`
    alerts a week and lost none that was high. Suppressed alerts need no threshold and do not count.
    """
    rows = store.rows(f"SELECT {_NAMED} FROM history WHERE suppressed = 0 ORDER BY time")
    by_setting: dict[str, list[Decided]] = defaultdict(list)
    for row in rows:
        by_setting[row[2]].append(Decided(*row))
    if not rows:
        return []
    weeks = max((rows[-1][7] - rows[0][7]) / _WEEK_NS, 1.0)
    return [_proposal(name, by_setting[name], weeks, per_week) for name in sorted(by_setting)]


def _proposal(setting: str, episodes: list[Decided], weeks: float, per_week: float) -> Proposal:
    current = episodes[-1].threshold
    figures = sorted(one.figure for one in episodes)
    high = sorted(one.figure for one in episodes if one.severity == _HIGH)
    # Between two figures every threshold raises the same alerts, so the figures are all there is.
    candidates = sorted({current, *(figure for figure in figures if figure > current)})
    choices = [
        Choice(
            threshold=one,
            alerts=len(figures) - bisect.bisect_left(figures, one),
            high=len(high) - bisect.bisect_left(high, one),
        )
        for one in candidates
    ]
    harmless = [one for one in choices if one.high == choices[0].high]
    quiet = [one for one in harmless if one.alerts <= per_week * weeks]
    chosen = quiet[0] if quiet else harmless[-1]
    return Proposal(setting, current, chosen.threshold, _some(choices, chosen), round(weeks, 2))


def _some(choices: list[Choice], chosen: Choice) -> tuple[Choice, ...]:
    """The first, the chosen one, and a few between and beyond."""
    step = max(1, len(choices) // _SHOWN)
    return tuple(one for n, one in enumerate(choices) if n % step == 0 or one is chosen)
