"""One capture on several cores: batches are read, judged, tracked and concluded, and whoever is
free does what is next. The caller's thread concludes, and where nothing is to be concluded yet it
helps with what comes before.

Kernels release the interpreter's lock, so all run. Judging a packet needs no other, so any number
of batches may be judged at a time; they are read, tracked and concluded in their order, so alerts
are those of one worker, byte for byte.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

from procwire.alert import Alert
from procwire.capture.batch import PacketBatch
from procwire.compiled.memory import share_heap
from procwire.errors import Unavailable
from procwire.runs.analysis import Analysis, Indexed, Judged, Tracked, judge

# Batches, besides one a thread, that are read and not concluded.
_AHEAD = 1
# So many of them may wait to be judged: one for each who may be free at the same time.
_UNJUDGED = 2
# A kernel that ends waits so long, at most, for a thread that runs Python.
_SWITCH_S = 0.0005
# Who ends early does not wait longer for a thread that waits for a pipe.
_PATIENCE_S = 1.0


def alerts_of(
    analysis: Analysis, batches: Iterable[PacketBatch], workers: int
) -> Iterator[tuple[PacketBatch, list[Alert]]]:
    """Each batch with the alerts it raises, in order. workers: threads, the caller's among them.
    What `batches` raises is raised here, after the alerts of all before."""
    if workers == 1:
        for batch in batches:
            yield batch, analysis.packets(batch)
        return
    sys.setswitchinterval(_SWITCH_S)
    share_heap()
    under_way = _UnderWay(analysis, batches, workers)
    try:
        while (one := under_way.next()) is not None:
            batch, tracked = one
            yield batch, analysis.conclude(tracked)
            # Megabytes each, and more are under way.
            del one, batch, tracked
    finally:
        under_way.end()


_Job: TypeAlias = Callable[[], None]


class _Place:
    """One batch in their order, or the end behind the last of them, which is tracked as it is.

    indexed, judged, tracked: as far as it is, until the next step has it; problem: what went
    wrong, which is told in its turn.
    """

    def __init__(
        self,
        batch: PacketBatch | None,
        indexed: Indexed | None,
        problem: BaseException | None = None,
    ) -> None:
        self.batch, self.indexed, self.problem = batch, indexed, problem
        self.is_taken = self.is_judged = self.is_tracked = batch is None
        self.judged: Judged | None = None
        self.tracked: Tracked | None = None


class _UnderWay:
    """Batches that are read and not concluded, and the threads that work on them."""

    def __init__(self, analysis: Analysis, batches: Iterable[PacketBatch], workers: int) -> None:
        self._analysis, self._batches = analysis, iter(batches)
        self._places: deque[_Place] = deque()
        self._room = workers + _AHEAD
        # Guards all that follows and the places, and tells of each change.
        self._changed = threading.Condition()
        self._is_read = self._is_ended = self._reads = self._tracks = False
        self._threads: list[threading.Thread] = []
        for _ in range(workers - 1):
            thread = threading.Thread(target=self._work, daemon=True)
            try:
                thread.start()
            except RuntimeError as problem:
                self.end()
                remedy = "give --workers 1, or raise the limit on processes (ulimit -u)"
                raise Unavailable(f"{workers} workers: {problem}", remedy) from None
            self._threads.append(thread)

    def next(self) -> tuple[PacketBatch, Tracked] | None:
        """The next batch, as given and as tracked, once it is; None after the last."""
        # Whoever reads may have to wait, and what was read before does not wait for it.
        while self._help(self._is_due, self._to_track, self._to_judge):
            pass
        with self._changed:
            place = self._places.popleft()
            self._changed.notify_all()
        if place.problem is not None:
            raise place.problem
        if place.batch is None or place.tracked is None:
            return None
        return place.batch, place.tracked

    def end(self) -> None:
        """Leave no thread behind, but one that waits for its input."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()
        deadline = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        choices = self._to_track, self._to_read, self._to_judge
        while self._help(self._is_over, *choices):
            pass

    def _help(self, until: Callable[[], bool], *choices: Callable[[], _Job | None]) -> bool:
        """Do the first of the choices that there is, as soon as there is one; False once `until`.
        Whoever waits for the next one holds no batch."""
        with self._changed:
            job = None
            while job is None:
                if until():
                    return False
                job = next(filter(None, (choice() for choice in choices)), None)
                if job is None:
                    self._changed.wait()
        job()
        return True

    def _is_due(self) -> bool:
        return bool(self._places) and self._places[0].is_tracked

    def _is_over(self) -> bool:
        return self._is_ended or (self._is_read and all(one.is_tracked for one in self._places))

    def _to_read(self) -> _Job | None:
        unjudged = sum(not place.is_taken for place in self._places)
        if self._reads or self._is_read:
            return None
        if len(self._places) >= self._room or unjudged >= _UNJUDGED:
            return None
        self._reads = True
        return self._read

    def _to_judge(self) -> _Job | None:
        for place in self._places:
            if not place.is_taken:
                place.is_taken = True
                return partial(self._judge, place)
        return None

    def _to_track(self) -> _Job | None:
        place = next((place for place in self._places if not place.is_tracked), None)
        if self._tracks or place is None or not place.is_judged:
            return None
        self._tracks = True
        return partial(self._track, place)

    def _read(self) -> None:
        try:
            batch = next(self._batches, None)
            place = _Place(batch, None if batch is None else self._analysis.indexed(batch))
        except BaseException as problem:
            place = _Place(None, None, problem)
        with self._changed:
            self._places.append(place)
            self._is_read, self._reads = place.batch is None, False
            self._changed.notify_all()

    def _judge(self, place: _Place) -> None:
        try:
            if place.indexed is not None:
                place.judged, place.indexed = judge(place.indexed), None
        except BaseException as problem:
            place.problem = problem
        with self._changed:
            place.is_judged = True
            self._changed.notify_all()

    def _track(self, place: _Place) -> None:
        try:
            if place.judged is not None:
                place.tracked, place.judged = self._analysis.track(place.judged), None
        except BaseException as problem:
            place.problem = problem
        with self._changed:
            place.is_tracked, self._tracks = True, False
            self._changed.notify_all()
