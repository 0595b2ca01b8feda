"""Episodes: what detectors observe and packets break is folded into alerts, never listed.

An episode is raised at once, again when it turns graver and at each tenfold growth, and closed with
its totals after a quiet time or at the end. What is only counted is tallied in NumPy, the rest is
grouped, and alerts are made once per group. Alerts come in order of event time and do not depend
on where batches end, as long as no episode has to give way to another: a packet whose time lies
before that of others counts when it comes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace as with_fields
from operator import attrgetter
from typing import TYPE_CHECKING, cast

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.alert import CLOSED, GROWN, Alert, Check, finding_alert, grown, named, scan_alert
from procwire.detect.detector import BLOCK, HOST_SWEEP, PROTOCOL_SCAN, Detector
from procwire.detect.finding_groups import (
    ADDRESS,
    BY_PAIR,
    BY_PROBER,
    Group,
    Hits,
    fold_of,
)
from procwire.detect.observation import Observation
from procwire.episode import Episode, Key, Prober, wider
from procwire.job_scans import JobScans
from procwire.open_episodes import OpenEpisodes, Told
from procwire.record import Lookup
from procwire.settings import Settings

if TYPE_CHECKING:
    # Importing it loads numba, which the watch over processes does without.
    from procwire.detect.folding import Kept

Admit = Callable[[list[Alert]], list[Alert]]
"""Alerts in order of time -> those of them that are told, as they are told."""

# Of a step at which a scan is told again. Figures are estimates with a standard error of 4.6 %, and
# a report that comes when one reached its step shows it no greater than the attempts.
_REACHED = 0.9

# Families of scans that findings of probes may be part of.
_OF_PROBERS = (HOST_SWEEP.family, PROTOCOL_SCAN.family)


class Episodes:
    """Folds observations and findings into alerts.

    rules: what FINDING.rule is an index into; lookup: where the process of a key is asked for;
    admit: asked about all alerts before they are handed out.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        rules: Sequence[Check] = (),
        lookup: Lookup = lambda key: None,
        admit: Admit = lambda alerts: alerts,
    ) -> None:
        settings = settings or Settings()
        self._admit = admit
        self._rules, self._lookup, self._quiet_ns = rules, lookup, settings.episodes.quiet_ns
        self._counted = np.array([rule.tier == "C" for rule in rules], bool)
        self._fold_by = np.array([fold_of(rule.id) for rule in rules], np.uint8)
        self._tally = np.zeros(len(rules), np.int64)
        self._scanners = settings.sweep.scanner_names
        self._graded: Counter[tuple[int, str]] = Counter()
        self._counts: Counter[str] = Counter(opened=0, evicted=0, folded_sources=0, alerts=0)
        self._jobs = JobScans()
        self._open = OpenEpisodes(settings.episodes, self._counts, self._jobs.leave)

    def update(
        self, now: int, observations: Iterable[Observation] = (), hits: Hits | None = None
    ) -> list[Alert]:
        """The alerts of one batch, in order of time.

        now: event time at the end of the batch, ns; episodes that are quiet by then are closed. It
        goes back where a clock was set back.
        """
        kept = self._kept(hits)
        start = 0
        # Findings of the same moment as a scan come before it: see probers.py.
        for scan in sorted(observations, key=attrgetter("time")):
            end = bisect_right(kept.reached, scan.time, start) if kept is not None else 0
            if kept is not None and end > start:
                self._fold(kept, start, end)
                start = end
            self._observe(scan)
        if kept is not None:
            self._fold(kept, start, len(kept))
        self._open.clock = now
        self._open.close_due(now)
        return self._sorted()

    def clock_set(self, by: int) -> None:
        """Event time goes on `by` ns later, or earlier: what is open has been quiet no longer for
        that."""
        self._open.clock_set(by)

    def close(self) -> list[Alert]:
        """The end of the run: the totals of every open episode."""
        self._open.close_all()
        return self._sorted()

    def counters(self) -> dict[str, int]:
        """opened: episodes; evicted: closed early because too many were open; folded_sources:
        findings that went into a rule's common episode for the same reason; alerts: handed out;
        as rule.ID, the findings of each rule and the scans of each detector; as severity.N.ID, the
        alerts of a check that were told with that severity."""
        tallied = zip(self._rules, self._tally.tolist(), strict=True)
        named = {f"rule.{rule.id}": n for rule, n in tallied if n}
        graded = {f"severity.{grade}.{check}": n for (grade, check), n in self._graded.items()}
        return dict(self._counts) | named | graded

    def _sorted(self) -> list[Alert]:
        """What is to be told, in order."""
        alerts, self._open.told = self._open.told, []
        told = self._admit([alert for _, alert in sorted(alerts, key=_turn)])
        self._counts["alerts"] += len(told)
        self._graded.update((alert.gravity, alert.check.id) for alert in told)
        return told

    def _observe(self, scan: Observation) -> None:
        if scan.job is not None:
            scan = with_fields(scan, job=named(scan.job, self._lookup))
        whose = scan.subject or scan.source if scan.job is None else scan.job.name
        key: Key = (scan.detector.family, scan.kind, whose)
        episode = self._open.current(key, scan.time)
        if episode is None:
            if scan.final:
                return
            known = self._lookup(scan.subject) if scan.subject is not None else None
            alert = scan_alert(scan, known, self._scanners)
            same = self._jobs.same(key, scan, alert, self._open)
            current = (self._open.current(one.key, scan.time) for one in same)
            episode = next((one for one in current if one is not None), None)
            is_new = episode is None
            if episode is None:
                self._counts[f"rule.{scan.detector.id}"] += 1
                prober = self._prober(scan)
                if prober is not None:
                    alert = self._open.probers.scan(prober, alert)
                family = scan.detector.family
                episode = self._open.begin(key, family, alert, alert.time, scan.figure, prober)
            if scan.job is not None:
                self._jobs.enter(key, episode)
            if is_new:
                return
        before = episode.latest
        known_as = cast(Detector, before.check)
        check = wider(known_as, scan.detector)
        if check is not known_as:
            self._counts[f"rule.{known_as.id}"] -= 1
            self._counts[f"rule.{check.id}"] += 1
        # What a lesser detector counts is in the wider one's figures already.
        tells = scan.detector.width >= min(known_as.width, HOST_SWEEP.width)
        grows = tells and scan.figure >= episode.figure
        says_more = grows or check is not known_as
        now = grown(before, scan, check, says_more)
        episode.latest, episode.count = now, now.count
        episode.last = now.last
        self._open.hear(episode, scan.time)
        if says_more:
            episode.figure = scan.figure
        graver = now.severity < before.severity or (check is BLOCK and known_as is not BLOCK)
        if graver or (grows and scan.figure >= _REACHED * episode.next_raise):
            self._open.told.append((now.time, now))
            episode.told = now.count
            # Reports come late, so the steps are those of the figure that was told first.
            step = 10 * episode.figure if graver else episode.next_raise
            while _REACHED * step <= episode.figure:
                step *= 10
            episode.next_raise = step

    def _prober(self, scan: Observation) -> Prober | None:
        """Who probes, where findings may be part of a scan: its source on the wire."""
        if not self._rules or scan.source is None or scan.detector.family not in _OF_PROBERS:
            return None
        return scan.source.address

    def _kept(self, hits: Hits | None) -> Kept | None:
        """The findings that are folded; what is only counted is, with all others, by rule."""
        if hits is None:
            return None
        self._tally += hits.counted
        if not len(hits.findings):
            return None
        # Compiled code.
        from procwire.detect.folding import gather

        return gather(hits, self._counted, self._fold_by, self._tally)

    def _fold(self, kept: Kept, start: int, end: int) -> None:
        """Findings from `start` up to `end` extend episodes, group by group."""
        while start < end:
            until = self._until_room_changes(kept, start, end)
            self._enter(kept, np.arange(start, until))
            start = until

    def _until_room_changes(self, kept: Kept, start: int, end: int) -> int:
        """The row up to which, from `start` on, no episode ends of itself where a rule may lack
        room: who finds room must not depend on what came in one batch. What ended is closed."""
        if self._open.has_room_for(end - start):
            return end
        now = int(kept.reached[start])
        self._open.close_due(now)
        until = self._open.next_end_before(now + self._quiet_ns)
        return max(start + 1, bisect_left(kept.reached, until, start, end))

    def _enter(self, kept: Kept, rows: NDArray[np.int64]) -> None:
        """Extend episodes by findings among which none ends that a rule without room waits for."""
        open_, are_open, quiet = self._open, self._open.keys, self._quiet_ns
        groups = kept.groups(rows, quiet)
        columns, full = groups.columns, open_.full(len(rows))
        keys = [kept.keys[number] for number in columns[:, 0].tolist()]
        # Of a flood from forged addresses nearly all groups are of none.
        apart = [
            at
            for at, (key, rule) in enumerate(zip(keys, columns[:, 1].tolist(), strict=True))
            if rule not in full or key in are_open
        ]
        entered = []
        for at, group in zip(apart, map(Group._make, columns[apart].tolist()), strict=True):
            if keys[at] in are_open or open_.has_room(group.rule):
                entered.append(at)
                self._extend(keys[at], group, kept, groups.members)
        if len(entered) == len(keys):
            return
        is_crowd = np.ones(len(keys), bool)
        is_crowd[entered] = False
        folded = rows[is_crowd[groups.of_rows]]
        self._counts["folded_sources"] += len(folded)
        groups = kept.crowds(folded, quiet)
        for group in map(Group._make, groups.columns.tolist()):
            self._extend(divmod(group.key, 2), group, kept, groups.members)

    def _extend(self, key: Key, group: Group, kept: Kept, members: NDArray[np.void]) -> None:
        """Enter the findings of a group."""
        by_pair = group.fold == BY_PAIR or not isinstance(key, bytes)
        episode = self._open.current(key, group.time)
        before = 0 if episode is None else episode.count
        if episode is None:
            episode = self._begin(key, group, kept)
        probers, prober = self._open.probers, episode.prober
        scan = probers.scan_of(prober, group.time) if prober is not None else None
        total, seen = before + group.end - group.start, group.start
        while episode.next_raise <= total:
            upto = group.start + episode.next_raise - before
            if not by_pair:
                episode.see_others(members[seen:upto], before + seen - group.start)
            seen, row = upto, int(members[upto - 1]["row"])
            if scan is None or kept.reached[row] <= scan.raised:
                self._tell_growth(episode, kept, row)
            episode.next_raise *= 10
        if not by_pair:
            episode.see_others(members[seen : group.end], before + seen - group.start)
        episode.count, episode.last = total, max(episode.last, group.last)
        self._open.hear(episode, group.seen)
        if scan is not None and group.seen > max(scan.raised, scan.seen):
            self._open.hear(scan, group.seen)

    def _begin(self, key: Key, group: Group, kept: Kept) -> Episode:
        """The episode that the first finding of a group raises."""
        shared, prober = not isinstance(key, bytes), None
        raised = finding_alert(self._rules[group.rule], kept.found(group.row), shared)
        if isinstance(key, bytes) and group.fold == BY_PROBER:
            prober = key[:ADDRESS]
            raised = self._open.probers.finding(prober, raised, group.time)
        return self._open.begin(key, group.rule, raised, group.time, prober=prober)

    def _tell_growth(self, episode: Episode, kept: Kept, row: int) -> None:
        """Tell that the finding in `row` was the tenth, hundredth and so on."""
        before, shared = episode.with_others(), not isinstance(episode.key, bytes)
        episode.latest = replace(
            finding_alert(before.check, kept.found(row), shared),
            episode=before.episode,
            state=GROWN,
            first=before.first,
            count=episode.next_raise,
            evidence=before.evidence,
            targets=before.targets,
        )
        episode.told = episode.next_raise
        self._open.told.append((int(kept.reached[row]), episode.latest))


def _turn(told: Told) -> tuple[int, bool, int, int, int, str]:
    """Order of alerts: by time, ends before beginnings, then as the packets came and scans grew."""
    time, alert = told
    is_news, scan = alert.state != CLOSED, alert.count if alert.packet is None else 0
    return time, is_news, alert.packet or 0, scan, alert.check.sid, alert.episode
