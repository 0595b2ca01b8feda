"""Episodes: what detectors observe and packets break is folded into alerts, never listed.

An episode is raised at once, again when it turns graver and at each tenfold growth, and closed with
its totals after a quiet time or at the end. What is only counted is tallied in NumPy, the rest is
grouped, and alerts are made once per group. Alerts come in order of event time and do not depend
on where batches end: a packet whose time lies before that of others counts when it comes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace as with_fields
from operator import attrgetter
from typing import cast

import numpy as np
from msgspec.structs import replace

from procwire.alert import CLOSED, GROWN, Alert, Check, finding_alert, grown, named, scan_alert
from procwire.detect.detector import BLOCK, HOST_SWEEP, PROTOCOL_SCAN, Detector, wider
from procwire.detect.hits import (
    BY_PAIR,
    BY_PROBER,
    FOLD,
    Found,
    Group,
    Hits,
    Kept,
    apart,
    fold_of,
    gather,
    groups,
    one_key,
)
from procwire.detect.observation import Observation
from procwire.episode import Episode, Key, Prober, see_others
from procwire.job_scans import JobScans
from procwire.open_episodes import OpenEpisodes, Told
from procwire.record import Lookup
from procwire.settings import Settings

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
        self._settings, self._rules, self._lookup = settings.episodes, rules, lookup
        self._counted = np.array([rule.tier == "C" for rule in rules], bool)
        self._fold_by = np.array([fold_of(rule.id) for rule in rules], np.uint8)
        self._tally = np.zeros(len(rules), np.int64)
        self._scanners = settings.sweep.scanner_names
        self._graded: Counter[tuple[int, str]] = Counter()
        self._counts: Counter[str] = Counter(opened=0, evicted=0, folded_sources=0, alerts=0)
        self._jobs = JobScans()
        self._open = OpenEpisodes(self._settings, self._counts, self._jobs.leave)

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
            self._fold(kept, start, len(kept.keys))
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
            same = self._jobs.same(key, scan, alert, self._open.all())
            current = (self._open.current(one.key, scan.time) for one in same)
            episode = next((one for one in current if one is not None), None)
            is_new = episode is None
            if episode is None:
                self._counts[f"rule.{scan.detector.id}"] += 1
                prober = self._prober(scan)
                if prober is not None:
                    alert = self._open.probers.scan(prober, alert)
                episode = self._open.begin(key, alert, scan.figure, alert.time, prober)
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
        number = int.from_bytes(scan.source.address)
        return number >> 64, number & (1 << 64) - 1

    def _kept(self, hits: Hits | None) -> Kept | None:
        """The findings that are folded; what is only counted is, with all others, by rule."""
        if hits is None:
            return None
        self._tally += hits.counted
        if not len(hits.findings):
            return None
        return gather(hits, self._counted, self._fold_by, self._tally)

    def _fold(self, kept: Kept, start: int, end: int) -> None:
        """Findings from `start` up to `end` extend episodes, group by group."""
        while start < end:
            until = self._until_room_changes(kept, start, end)
            self._enter(kept, range(start, until))
            start = until

    def _until_room_changes(self, kept: Kept, start: int, end: int) -> int:
        """The row up to which, from `start` on, no episode ends of itself where a rule may lack
        room: who finds room must not depend on what came in one batch. What ended is closed."""
        if self._open.has_room_for(end - start):
            return end
        now = kept.reached[start]
        self._open.close_due(now)
        until = self._open.next_end_before(now + self._settings.quiet_ns)
        return max(start + 1, bisect_left(kept.reached, until, start, end))

    def _enter(self, kept: Kept, rows: range) -> None:
        """Extend episodes by findings among which none ends that a rule without room waits for."""
        quiet, full = self._settings.quiet_ns, set[object]()
        # One that gives way to another's leaves room.
        if len(self._open) + len(rows) <= self._settings.open:
            full = self._open.rules_without_room()
        places, crowd = apart(kept, rows, full, self._open)
        found = groups(kept, places, quiet)
        begin = [one.places[0] for one in found if self._may_begin(one.key)]
        firsts = dict(zip(begin, kept.found(begin), strict=True)) if begin else {}
        for group in found:
            if group.key in self._open or self._open.has_room(group.key[0]):
                self._extend(group, kept, firsts.get(group.places[0]))
            else:
                crowd.setdefault(group.key[:2], []).extend(group.places)
        for shared, folded in crowd.items():
            self._counts["folded_sources"] += len(folded)
            for group in one_key(kept, shared, sorted(folded), quiet):
                self._extend(group, kept, None)

    def _may_begin(self, key: Key) -> bool:
        return key not in self._open and self._open.has_room(key[0])

    def _extend(self, group: Group, kept: Kept, first: Found | None) -> None:
        """Enter the findings of a group. first: the first of them, where it is at hand."""
        key = group.key
        rule, shared = self._rules[key[0]], len(key) == 2
        fold_by = BY_PAIR if shared else key[FOLD]
        prober = (key[2], key[3]) if fold_by == BY_PROBER else None
        episode = self._open.current(key, group.time)
        before = 0 if episode is None else episode.count
        if episode is None:
            raised = finding_alert(rule, first or kept.found(group.places[:1])[0], shared)
            if prober is not None:
                raised = self._open.probers.finding(prober, raised, group.time)
            episode = self._open.begin(key, raised, 1, group.time, prober)
        scan = self._open.probers.scan_of(prober, group.time) if prober is not None else None
        total, seen = before + len(group.places), 0
        unseen = group.places if fold_by != BY_PAIR else []
        while episode.next_raise <= total:
            upto = episode.next_raise - before
            place = group.places[upto - 1]
            see_others(episode, kept, unseen[seen:upto], before + seen)
            seen = upto
            if scan is None or kept.reached[place] <= scan.raised:
                self._tell_growth(episode, kept, place, shared)
            episode.next_raise *= 10
        see_others(episode, kept, unseen[seen:], before + seen)
        episode.count, episode.last = total, max(episode.last, group.last)
        self._open.hear(episode, group.seen)
        if scan is not None and group.seen > max(scan.raised, scan.seen):
            self._open.hear(scan, group.seen)

    def _tell_growth(self, episode: Episode, kept: Kept, place: int, shared: bool) -> None:
        """Tell that the finding at `place` was the tenth, hundredth and so on."""
        check = episode.latest.check
        episode.latest = replace(
            finding_alert(check, kept.found([place])[0], shared),
            episode=episode.latest.episode,
            state=GROWN,
            first=episode.latest.first,
            count=episode.next_raise,
            evidence=episode.latest.evidence,
            targets=episode.latest.targets,
        )
        episode.told = episode.next_raise
        self._open.told.append((kept.reached[place], episode.latest))


def _turn(told: Told) -> tuple[int, bool, int, int, int, str]:
    """Order of alerts: by time, ends before beginnings, then as the packets came and scans grew."""
    time, alert = told
    is_news, scan = alert.state != CLOSED, alert.count if alert.packet is None else 0
    return time, is_news, alert.packet or 0, scan, alert.check.sid, alert.episode
