"""How long it takes from a packet or kernel event to the alert that it raises, written out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from procwire.alert import CLOSED, Alert

_SAMPLES = 4096
_MS = 1_000_000


class Latency:
    """Of the last few thousand alerts. An episode's end is told when nothing happened for long, so
    it has none."""

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=_SAMPLES)

    def note(self, alerts: Iterable[Alert], now: int) -> None:
        """Alerts that were written by `now`, ns since the epoch."""
        self._samples.extend(max(0, now - one.time) for one in alerts if one.state != CLOSED)

    def counters(self) -> dict[str, int]:
        """samples; median_ms, p95_ms and highest_ms, none of them without samples."""
        ordered = sorted(self._samples)
        if not ordered:
            return {"latency.samples": 0}
        places = {"median_ms": 0.5, "p95_ms": 0.95, "highest_ms": 1.0}
        last = len(ordered) - 1
        figures = {name: ordered[round(last * share)] // _MS for name, share in places.items()}
        return {f"latency.{name}": n for name, n in {"samples": len(ordered), **figures}.items()}
