"""One capture on two cores: while packets are decoded and judged one by one in a thread, the
caller's thread turns those before into conversations, attempts, scans and alerts.

Kernels release the interpreter's lock, so both run. Batches pass through a short queue in their
order, and each stage has its own memory: alerts are those of one worker, byte for byte.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator

from procwire.alert import Alert
from procwire.analysis import Analysis, Judged
from procwire.capture.batch import PacketBatch

_AHEAD = 1
# A kernel that ends waits so long, at most, for a thread that runs Python.
_SWITCH_S = 0.0005
# Who ends early does not wait longer for a thread that waits for a pipe.
_PATIENCE_S = 1.0

MOST_WORKERS = 2


def default_workers() -> int:
    """As many as there are processors for this process, and work for them."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)))


def alerts_of(
    analysis: Analysis, batches: Iterable[PacketBatch], workers: int
) -> Iterator[tuple[PacketBatch, list[Alert]]]:
    """Each batch with the alerts it raises, in order. workers: 1 or 2. What `batches` raises is
    raised here, after the alerts of all before."""
    if workers == 1:
        for batch in batches:
            yield batch, analysis.packets(batch)
        return
    sys.setswitchinterval(_SWITCH_S)
    judged: queue.Queue[Judged | BaseException | None] = queue.Queue(_AHEAD)
    ended = threading.Event()

    def judge() -> None:
        try:
            for batch in batches:
                judged.put(analysis.judge(batch))
                if ended.is_set():
                    return
        except BaseException as problem:
            judged.put(problem)
        else:
            judged.put(None)

    thread = threading.Thread(target=judge, daemon=True)
    thread.start()
    try:
        while (one := judged.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one.batch, analysis.conclude(one)
    finally:
        # Whoever stops early leaves the thread at most one more to put.
        ended.set()
        while not judged.empty():
            judged.get_nowait()
        thread.join(_PATIENCE_S)
