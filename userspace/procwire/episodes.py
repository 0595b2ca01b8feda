"""Episodes: what detectors observe and packets break is folded into alerts, never listed.

An episode is raised at once, again when it turns graver and at each tenfold growth, and closed with
its totals after a quiet time or at the end. What is only counted is tallied in NumPy, the rest is
grouped, and alerts are made once per group. Alerts come in order of event time and do not depend
on where batches end: a packet whose time lies before that of others counts when it comes.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace as with_fields
from typing import cast

import msgspec
import numpy as np
from msgspec.structs import replace

from procwire.alert import CLOSED, GROWN, Alert, Check, finding_alert, grown, named, scan_alert
from procwire.detect.detector import BLOCK, HOST_SWEEP, Detector, wider
from procwire.detect.hits import Found, Group, Hits, Kept, apart, gather, groups, one_key
from procwire.detect.observation import Observation
from procwire.job_scans import JobScans, Key
from procwire.record import Lookup
from procwire.settings import Settings

Admit = Callable[[list[Alert]], list[Alert]]
"""Alerts in order of time -> those of them that are told, as they are told."""

# Of a step at which a scan is told again. Figures are estimates with a standard error of 4.6 %, and
# a report that comes when one reached its step shows it no greater than the attempts.
_REACHED = 0.9


class _Episode(msgspec.Struct, gc=False):
    """latest: its state when it was raised, grew or was last observed; count, last: as in Alert,
    up to date; told: the count last told; figure: the largest seen; next_raise: the figure at which
    it is told again; seen: event time reached when it last had news; due: when it closes, as
    queued; raised: when it began."""

    key: Key
    latest: Alert
    count: int
    last: int
    told: int
    figure: int
    next_raise: int
    seen: int
    due: int = 0
    raised: int = 0


_Told = tuple[int, Alert]
"""An alert behind the event time reached when it is told."""


def _turn(told: _Told) -> tuple[int, bool, int, int, int, str]:
    """Order of alerts: by time, ends before beginnings, then as the packets came and scans grew."""
    time, alert = told
    is_news, scan = alert.state != CLOSED, alert.count if alert.packet is None else 0
    return time, is_news, alert.packet or 0, scan, alert.check.sid, alert.episode


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
        self._settings, self._rules, self._lookup = settings.episodes, rules, lookup
        self._counted = np.array([rule.tier == "C" for rule in rules], bool)
        self._tally = np.zeros(len(rules), np.int64)
        self._scanners = settings.sweep.scanner_names
        self._open: dict[Key, _Episode] = {}
        self._jobs = JobScans[_Episode]()
        self._due: list[tuple[int, int, Key]] = []
        self._pushed = 0
        self._of_rule: Counter[object] = Counter()
        self._clock = 0
        self._graded: Counter[tuple[int, str]] = Counter()
        self._counts: Counter[str] = Counter(opened=0, evicted=0, folded_sources=0, alerts=0)

    def update(
        self, now: int, observations: Iterable[Observation] = (), hits: Hits | None = None
    ) -> list[Alert]:
        """The alerts of one batch, in order of time.

        now: event time at the end of the batch, ns; episodes that are quiet by then are closed. It
        goes back where a clock was set back.
        """
        alerts: list[_Told] = []
        for scan in observations:
            self._observe(scan, alerts)
        if hits is not None:
            self._fold(hits, alerts)
        self._clock = now
        self._close_due(now, alerts)
        return self._sorted(alerts)

    def clock_set(self, by: int) -> None:
        """Event time goes on `by` ns later, or earlier: what is open has been quiet no longer for
        that."""
        self._clock += by
        self._due.clear()
        for episode in self._open.values():
            episode.seen += by
            episode.raised += by
            self._push(episode)

    def close(self) -> list[Alert]:
        """The end of the run: the totals of every open episode."""
        alerts: list[_Told] = []
        for episode in list(self._open.values()):
            self._close(episode, self._clock, alerts)
        self._due.clear()
        return self._sorted(alerts)

    def counters(self) -> dict[str, int]:
        """opened: episodes; evicted: closed early because too many were open; folded_sources:
        findings that went into a rule's common episode for the same reason; alerts: handed out;
        as rule.ID, the findings of each rule and the scans of each detector; as severity.N.ID, the
        alerts of a check that were told with that severity."""
        tallied = zip(self._rules, self._tally.tolist(), strict=True)
        named = {f"rule.{rule.id}": n for rule, n in tallied if n}
        graded = {f"severity.{grade}.{check}": n for (grade, check), n in self._graded.items()}
        return dict(self._counts) | named | graded

    def _sorted(self, alerts: list[_Told]) -> list[Alert]:
        told = self._admit([alert for _, alert in sorted(alerts, key=_turn)])
        self._counts["alerts"] += len(told)
        self._graded.update((alert.gravity, alert.check.id) for alert in told)
        return told

    def _observe(self, scan: Observation, alerts: list[_Told]) -> None:
        if scan.job is not None:
            scan = with_fields(scan, job=named(scan.job, self._lookup))
        whose = scan.subject or scan.source if scan.job is None else scan.job.name
        key: Key = (scan.detector.family, scan.kind, whose)
        episode = self._current(key, scan.time, alerts)
        if episode is None:
            if scan.final:
                return
            known = self._lookup(scan.subject) if scan.subject is not None else None
            alert = scan_alert(scan, known, self._scanners)
            same = self._jobs.same(key, scan, alert, self._open.values())
            current = (self._current(one.key, scan.time, alerts) for one in same)
            episode = next((one for one in current if one is not None), None)
            is_new = episode is None
            if episode is None:
                self._counts[f"rule.{scan.detector.id}"] += 1
                episode = self._begin(key, alert, scan.figure, alert.time, alerts)
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
        self._hear(episode, scan.time)
        if says_more:
            episode.figure = scan.figure
        graver = now.severity < before.severity or (check is BLOCK and known_as is not BLOCK)
        if graver or (grows and scan.figure >= _REACHED * episode.next_raise):
            alerts.append((now.time, now))
            episode.told = now.count
            # Reports come late, so the steps are those of the figure that was told first.
            step = 10 * episode.figure if graver else episode.next_raise
            while _REACHED * step <= episode.figure:
                step *= 10
            episode.next_raise = step

    def _fold(self, hits: Hits, alerts: list[_Told]) -> None:
        """Findings are counted by rule; but for those of tier C they extend episodes, group by
        group."""
        self._tally += hits.counted
        if not len(hits.findings):
            return
        kept = gather(hits, self._counted, self._tally)
        start = 0
        while start < len(kept.keys):
            end = self._until_room_changes(kept, start, alerts)
            self._enter(kept, range(start, end), alerts)
            start = end

    def _until_room_changes(self, kept: Kept, start: int, alerts: list[_Told]) -> int:
        """The row up to which, from `start` on, no episode ends of itself where a rule may lack
        room: who finds room must not depend on what came in one batch. What ended is closed."""
        findings = len(kept.keys)
        if max(self._of_rule.values(), default=0) + findings <= self._settings.per_rule:
            return findings
        now = kept.reached[start]
        self._close_due(now, alerts)
        until = now + self._settings.quiet_ns
        while self._due and self._due[0][0] < until:
            due, _, key = self._due[0]
            episode = self._open.get(key)
            if episode is not None and due == episode.due == episode.seen + self._settings.quiet_ns:
                until = due
            else:
                self._next_due()
        return max(start + 1, bisect_left(kept.reached, until, start))

    def _enter(self, kept: Kept, rows: range, alerts: list[_Told]) -> None:
        """Extend episodes by findings among which none ends that a rule without room waits for."""
        most, quiet = self._settings.per_rule, self._settings.quiet_ns
        full: set[object] = set()
        # One that gives way to another's leaves room.
        if len(self._open) + len(rows) <= self._settings.open:
            full.update(rule for rule, number in self._of_rule.items() if number >= most)
        places, crowd = apart(kept, rows, full, self._open)
        found = groups(kept, places, quiet)
        begin = [one.places[0] for one in found if self._may_begin(one.key)]
        firsts = dict(zip(begin, kept.found(begin), strict=True)) if begin else {}
        for group in found:
            if group.key in self._open or self._has_room(group.key):
                self._extend(group, kept, firsts.get(group.places[0]), alerts)
            else:
                crowd.setdefault(group.key[:2], []).extend(group.places)
        for shared, folded in crowd.items():
            self._counts["folded_sources"] += len(folded)
            for group in one_key(kept, shared, sorted(folded), quiet):
                self._extend(group, kept, None, alerts)

    def _may_begin(self, key: Key) -> bool:
        return key not in self._open and self._has_room(key)

    def _has_room(self, key: Key) -> bool:
        """Whether findings of a key may begin an episode of their own."""
        return self._of_rule[key[0]] < self._settings.per_rule

    def _extend(self, group: Group, kept: Kept, first: Found | None, alerts: list[_Told]) -> None:
        """Enter the findings of a group. first: the first of them, where it is at hand."""
        key = group.key
        rule, shared = self._rules[key[0]], len(key) == 2
        episode = self._current(key, group.time, alerts)
        before = 0 if episode is None else episode.count
        if episode is None:
            first = first or kept.found(group.places[:1])[0]
            raised = finding_alert(rule, first, shared)
            episode = self._begin(key, raised, 1, group.time, alerts)
        total = before + len(group.places)
        while episode.next_raise <= total:
            place = group.places[episode.next_raise - before - 1]
            grown = kept.found([place])[0]
            episode.latest = replace(
                finding_alert(rule, grown, shared),
                episode=episode.latest.episode,
                state=GROWN,
                first=episode.latest.first,
                count=episode.next_raise,
            )
            episode.told = episode.next_raise
            episode.next_raise *= 10
            alerts.append((kept.reached[place], episode.latest))
        episode.count, episode.last = total, max(episode.last, group.last)
        self._hear(episode, group.seen)

    def _current(self, key: Key, time: int, alerts: list[_Told]) -> _Episode | None:
        """The open episode of `key`; one that was quiet for too long by `time` is closed first."""
        episode = self._open.get(key)
        if episode is None or time - episode.seen < self._settings.quiet_ns:
            return episode
        self._close(episode, episode.seen + self._settings.quiet_ns, alerts)
        return None

    def _begin(
        self, key: Key, alert: Alert, figure: int, time: int, alerts: list[_Told]
    ) -> _Episode:
        while len(self._open) >= self._settings.open:
            oldest = self._next_due()
            if oldest is not None:
                self._counts["evicted"] += 1
                self._close(oldest, max(self._clock, oldest.seen), alerts)
        count, last = alert.count, alert.last
        seen = max(time, last)
        episode = _Episode(key, alert, count, last, count, figure, 10 * figure, seen)
        self._open[key] = episode
        episode.raised = alert.time
        self._of_rule[key[0]] += 1
        self._counts["opened"] += 1
        self._push(episode)
        alerts.append((time, alert))
        return episode

    def _hear(self, episode: _Episode, time: int) -> None:
        """There is news of the episode, which postpones its end. Where the clock was set back it
        ends earlier than it would have."""
        is_earlier = time < episode.seen
        episode.seen = time
        if is_earlier:
            self._push(episode)

    def _close_due(self, now: int, alerts: list[_Told]) -> None:
        while self._due and self._due[0][0] <= now:
            episode = self._next_due()
            if episode is not None:
                self._close(episode, episode.due, alerts)

    def _push(self, episode: _Episode) -> None:
        episode.due = episode.seen + self._settings.quiet_ns
        self._pushed += 1
        heapq.heappush(self._due, (episode.due, self._pushed, episode.key))

    def _next_due(self) -> _Episode | None:
        """Take the head of the queue: its episode, or None where that ended or had news since."""
        due, _, key = heapq.heappop(self._due)
        episode = self._open.get(key)
        if episode is None or episode.due != due:
            return None
        if episode.seen + self._settings.quiet_ns > due:
            self._push(episode)
            return None
        return episode

    def _close(self, episode: _Episode, time: int, alerts: list[_Told]) -> None:
        """Forget the episode; its totals are told where they are more than was told before."""
        del self._open[episode.key]
        self._jobs.leave(episode)
        self._of_rule[episode.key[0]] -= 1
        if episode.count != episode.told:
            totals = replace(
                episode.latest, state=CLOSED, time=time, count=episode.count, last=episode.last
            )
            alerts.append((time, totals))
