"""One capture on several cores: while packets are decoded, judged one by one and tracked for
attempts and scans in threads, the caller's thread turns those before into conversations and alerts.

Kernels release the interpreter's lock, so all run. Judging a packet needs no other, so any thread
may judge any batch; batches are tracked and concluded in their order, so alerts are those of one
worker, byte for byte.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

from procwire.alert import Alert
from procwire.capture.batch import PacketBatch
from procwire.runs.analysis import Analysis, Tracked, judge
from procwire.runs.parts import Part

# Batches, besides one a thread, that may wait to be concluded.
_AHEAD = 1
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
    trackers = _Trackers(analysis, batches, workers - 1)
    try:
        while (one := trackers.next()) is not None:
            batch, parts = one
            yield batch, [alert for part in parts for alert in analysis.conclude(part)]
    finally:
        trackers.end()


_Parts = tuple[PacketBatch, list[Tracked]]
"""A batch, and its parts in order."""


class _Place(NamedTuple):
    """Of one batch: what it becomes; when all before it were tracked; when it was."""

    tracked: Future[_Parts | None]
    turn: threading.Event
    done: threading.Event


class _Trackers:
    """Threads that take turns at reading a batch, judge what they read, and track it in order."""

    def __init__(self, analysis: Analysis, batches: Iterable[PacketBatch], threads: int) -> None:
        self._analysis, self._batches = analysis, iter(batches)
        self._reading = threading.Lock()
        self._read: queue.SimpleQueue[_Place] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD + threads)
        self._turn = threading.Event()
        self._turn.set()
        self._ended = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def next(self) -> _Parts | None:
        """The next batch once it is tracked; None after the last."""
        tracked = self._read.get().tracked.result()
        self._room.release()
        return tracked

    def end(self) -> None:
        """Leave no thread behind, but one that waits for its input."""
        self._ended = True
        for _ in self._threads:
            self._room.release()
        deadline = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._reading:
                self._room.acquire()
                if self._ended:
                    return
                place = _Place(Future(), self._turn, threading.Event())
                self._turn = place.done
                self._read.put(place)
                try:
                    batch = next(self._batches, None)
                    parts = [] if batch is None else list(self._analysis.parts(batch))
                except BaseException as problem:
                    self._ended = True
                    place.tracked.set_exception(problem)
                    return
                if batch is None:
                    self._ended = True
            try:
                tracked = None if batch is None else (batch, self._track(parts, place.turn))
                place.tracked.set_result(tracked)
            except BaseException as problem:
                place.tracked.set_exception(problem)
                # Those before may still be tracked, which later ones must not be meanwhile.
                place.turn.wait()
            place.done.set()

    def _track(self, parts: list[Part], turn: threading.Event) -> list[Tracked]:
        judged = list(map(judge, parts))
        turn.wait()
        return list(map(self._analysis.track, judged))
