"""What alerts rested on, kept for tuning: by episode and setting the figure that decided.

The history begins at the thresholds that were in force: what stayed below them raised nothing and
is not in it. So it is noted for how long which threshold was in force, and each choice is judged by
the time in which it, or a lower one, was.
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from procwire.alert import Alert
from procwire.context.store import Store
from procwire.settings import Settings

MOST = 100_000
"""Episodes that are kept; the oldest give way."""

LEADING = (
    "fanout.hosts",
    "fanout.host_ports",
    "fanout.failures",
    "fanout.sequential_run",
    "datagrams.targets",
    "probes.targets",
    "random_walk.hosts",
    "coverage.hosts",
    "port_coverage.ports",
    "service_sweep.hosts",
    "ics.hosts",
    "ics.neighbours",
    "new_process.hosts",
)
"""Settings that an alert's first figure is held against."""

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
    """A threshold, the alerts that it would have raised, how many of them were high, and the weeks
    of observation that tell so: those in which it, or a lower one, was in force."""

    threshold: float
    alerts: int
    high: int
    weeks: float


class Proposal(msgspec.Struct, frozen=True):
    """A setting. threshold: the one proposed; current: the last in force; choices: rising;
    unknown_below: what stayed below it was told to nobody for long enough."""

    setting: str
    current: float
    threshold: float
    choices: tuple[Choice, ...]
    unknown_below: float


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


def in_force(settings: Settings) -> dict[str, float]:
    """The thresholds of every setting that can decide, but for those that are off."""
    tree = settings.model_dump()
    chosen = {name: tree[name.partition(".")[0]][name.partition(".")[2]] for name in LEADING}
    return {name: float(threshold) for name, threshold in chosen.items() if threshold}


def note_in_force(store: Store, thresholds: Mapping[str, float], observed: int) -> None:
    """Add a time of observation, ns, to the thresholds that were in force then."""
    with store.writing() as connection:
        connection.executemany(
            "UPDATE in_force SET current = 0 WHERE setting = ?", [(name,) for name in thresholds]
        )
        connection.executemany(
            "INSERT INTO in_force (setting, threshold, observed, current) VALUES (?, ?, ?, 1)"
            " ON CONFLICT (setting, threshold) DO UPDATE SET"
            " observed = observed + excluded.observed, current = 1",
            [(name, threshold, observed) for name, threshold in thresholds.items()],
        )


def propose(store: Store, per_week: float) -> list[Proposal]:
    """For each setting that decided, or that was once lower, the lowest threshold that would have
    raised at most `per_week` alerts a week and lost none that was high. One below the last in force
    is proposed only if it, or a lower one, was in force for a week: what stayed below is not known
    otherwise. Suppressed alerts need no threshold and do not count."""
    rows = store.rows(f"SELECT {_NAMED} FROM history WHERE suppressed = 0 ORDER BY time")
    episodes: dict[str, list[Decided]] = defaultdict(list)
    for row in rows:
        episodes[row[2]].append(Decided(*row))
    watched: dict[str, dict[float, int]] = defaultdict(dict)
    current = {name: decided[-1].threshold for name, decided in episodes.items()}
    for name, threshold, observed, last in store.rows("SELECT * FROM in_force"):
        watched[name][threshold] = observed
        if last:
            current[name] = threshold
    wanted = {name for name, least in current.items() if min(watched[name] or [least]) < least}
    return [
        _proposal(name, _Known(current[name], episodes[name], watched[name]), per_week)
        for name in sorted(wanted | set(episodes))
    ]


class _Known:
    """What is known of a setting. watched: ns by the threshold in force."""

    def __init__(
        self, current: float, episodes: Sequence[Decided], watched: Mapping[float, int]
    ) -> None:
        self.current = current
        times: dict[float, list[int]] = defaultdict(list)
        for one in episodes:
            times[one.threshold].append(one.time)
        # A threshold was in force at least from its first alert to its last.
        least = {threshold: max(told) - min(told) for threshold, told in times.items()}
        self._observed = {
            threshold: max(least.get(threshold, 0), watched.get(threshold, 0))
            for threshold in sorted({current, *least, *watched})
        }
        high = [one for one in episodes if one.severity == _HIGH]
        self._begun, self._reached = _bounds(episodes)
        self._high_begun, self._high_reached = _bounds(high)
        self.lowest_high = min(self._high_reached, default=math.inf)
        known = [one for one in self._observed if self._seen(one) >= _WEEK_NS]
        self.least = min([current, *known])

    def choices(self) -> list[Choice]:
        """Rising. Between two figures every threshold raises the same alerts, so the figures, and
        what was in force, are all there is."""
        candidates = {*self._observed, *self._reached}
        return [self._choice(one) for one in sorted(candidates) if one >= self.least]

    def _seen(self, threshold: float) -> int:
        """ns for which what reached that threshold was told."""
        return sum(observed for one, observed in self._observed.items() if one <= threshold)

    def _choice(self, threshold: float) -> Choice:
        # Told by a threshold as low, less those that did not reach this one.
        alerts, high = (
            bisect.bisect_right(begun, threshold) - bisect.bisect_left(reached, threshold)
            for begun, reached in (
                (self._begun, self._reached),
                (self._high_begun, self._high_reached),
            )
        )
        return Choice(threshold, alerts, high, self._seen(threshold) / _WEEK_NS)


def _bounds(episodes: Iterable[Decided]) -> tuple[list[float], list[float]]:
    """Thresholds that were in force, and figures, which are estimates but reached them; sorted."""
    listed = list(episodes)
    reached = sorted(max(one.figure, one.threshold) for one in listed)
    return sorted(one.threshold for one in listed), reached


def _proposal(setting: str, known: _Known, per_week: float) -> Proposal:
    choices = known.choices()
    harmless = [one for one in choices if one.threshold <= known.lowest_high] or choices[:1]
    # What a day brought is not taken for a seventh of a week.
    quiet = [one for one in harmless if one.alerts <= per_week * max(one.weeks, 1.0)]
    chosen = quiet[0] if quiet else harmless[-1]
    shown = _some(choices, chosen, known.current)
    return Proposal(setting, known.current, chosen.threshold, shown, known.least)


def _some(choices: list[Choice], chosen: Choice, current: float) -> tuple[Choice, ...]:
    """The first, the chosen and the current one, and a few between and beyond."""
    step = max(1, len(choices) // _SHOWN)
    return tuple(
        one
        for n, one in enumerate(choices)
        if n % step == 0 or one is chosen or one.threshold == current
    )
