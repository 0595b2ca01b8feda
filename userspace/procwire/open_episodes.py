"""The episodes that are open: how one begins, goes on and ends, and what is told of that."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, KeysView

from msgspec.structs import replace

from procwire.alert import CLOSED, Alert
from procwire.episode import Episode, Key, Of, Prober
from procwire.probers import Probers
from procwire.settings.traffic import EpisodeSettings

Told = tuple[int, Alert]
"""An alert behind the event time reached when it is told."""


class OpenEpisodes:
    """The episodes that are open, by key. told: what is to be told of them, in any order; probers:
    which of them are one; ended: called with each that ends; clock: event time at the end of the
    latest batch."""

    def __init__(
        self, settings: EpisodeSettings, counts: Counter[str], ended: Callable[[Episode], None]
    ) -> None:
        self._settings, self._counts, self._ended = settings, counts, ended
        self._quiet_ns = settings.quiet_ns
        self._open: dict[Key, Episode] = {}
        self._due: list[tuple[int, int, Key]] = []
        self._pushed = 0
        self._of_rule: Counter[Of] = Counter()
        self.probers = Probers(self.current)
        self.told: list[Told] = []
        self.clock = 0

    @property
    def keys(self) -> KeysView[Key]:
        """Those of all that are open, as they come and go."""
        return self._open.keys()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Episode]:
        """Every open episode, in the order in which they began."""
        return iter(self._open.values())

    def current(self, key: Key, time: int) -> Episode | None:
        """The open episode of `key`; one that was quiet for too long by `time` is closed first."""
        episode = self._open.get(key)
        if episode is None or time - episode.seen < self._quiet_ns:
            return episode
        self._close(episode, episode.seen + self._quiet_ns)
        return None

    def begin(
        self,
        key: Key,
        rule: Of,
        alert: Alert,
        time: int,
        figure: int = 1,
        prober: Prober | None = None,
    ) -> Episode:
        """Open an episode by its first alert, told at event time `time`; where there are too many,
        the oldest gives way. Others as in Episode."""
        while len(self._open) >= self._settings.open:
            oldest = self._next_due()
            if oldest is not None:
                self._counts["evicted"] += 1
                self._close(oldest, max(self.clock, oldest.seen))
        count, last = alert.count, alert.last
        seen = max(time, last)
        episode = Episode(
            key, rule, alert, count, last, count, figure, 10 * figure, seen, alert.time, prober
        )
        self._open[key] = episode
        self._of_rule[rule] += 1
        self._counts["opened"] += 1
        self._push(episode)
        self.told.append((time, alert))
        if prober is not None:
            self.probers.enter(prober, episode, time)
        return episode

    def hear(self, episode: Episode, time: int) -> None:
        """There is news of the episode, which postpones its end. Where the clock was set back it
        ends earlier than it would have."""
        is_earlier = time < episode.seen
        episode.seen = time
        if is_earlier:
            self._push(episode)

    def close_due(self, now: int) -> None:
        """End what was quiet for too long by `now`."""
        while self._due and self._due[0][0] <= now:
            episode = self._next_due()
            if episode is not None:
                self._close(episode, episode.due)

    def close_all(self) -> None:
        """End everything."""
        for episode in list(self):
            self._close(episode, self.clock)
        self._due.clear()

    def clock_set(self, by: int) -> None:
        """Event time goes on `by` ns later, or earlier: what is open has been quiet no longer for
        that."""
        self.clock += by
        self._due.clear()
        for episode in self._open.values():
            episode.seen += by
            episode.raised += by
            self._push(episode)

    def has_room(self, rule: Of) -> bool:
        """Whether findings of a rule may begin an episode of their own."""
        return self._of_rule[rule] < self._settings.per_rule

    def has_room_for(self, findings: int) -> bool:
        """The same of every rule, for so many episodes more."""
        return max(self._of_rule.values(), default=0) + findings <= self._settings.per_rule

    def full(self, findings: int) -> set[Of]:
        """The rules of which none of so many findings can begin an episode."""
        # One that gives way to another's leaves room.
        if len(self._open) + findings > self._settings.open:
            return set()
        most = self._settings.per_rule
        return {rule for rule, number in self._of_rule.items() if number >= most}

    def next_end_before(self, until: int) -> int:
        """The time at which the first episode ends of itself, if that is before `until`."""
        while self._due and self._due[0][0] < until:
            due, _, key = self._due[0]
            episode = self._open.get(key)
            if episode is not None and due == episode.due == episode.seen + self._quiet_ns:
                return due
            self._next_due()
        return until

    def _push(self, episode: Episode) -> None:
        episode.due = episode.seen + self._quiet_ns
        self._pushed += 1
        heapq.heappush(self._due, (episode.due, self._pushed, episode.key))

    def _next_due(self) -> Episode | None:
        """Take the head of the queue: its episode, or None where that ended or had news since."""
        due, _, key = heapq.heappop(self._due)
        episode = self._open.get(key)
        if episode is None or episode.due != due:
            return None
        if episode.seen + self._quiet_ns > due:
            self._push(episode)
            return None
        return episode

    def _close(self, episode: Episode, time: int) -> None:
        """Forget the episode; its totals are told where they are more than was told before."""
        del self._open[episode.key]
        self._ended(episode)
        self._of_rule[episode.rule] -= 1
        findings: dict[str, int] = {}
        if episode.prober is not None:
            findings = self.probers.leave(episode.prober, episode)
        if episode.count != episode.told or findings:
            totals = replace(
                episode.with_others(),
                state=CLOSED,
                time=time,
                count=episode.count,
                last=episode.last,
                findings=tuple(sorted(findings.items())),
            )
            self.told.append((time, totals))
