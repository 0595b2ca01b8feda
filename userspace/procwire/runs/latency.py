"""How long it takes from a packet or kernel event to the alert that it raises, written out: of all,
and of each analytic."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from procwire.alert import CLOSED, Alert

_SAMPLES = 4096
_MS = 1_000_000
_ALL = ""


class Latency:
    """Of the last few thousand alerts. An episode's end is told when nothing happened for long, so
    it has none."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[int]] = {_ALL: deque(maxlen=_SAMPLES)}

    def note(self, alerts: Iterable[Alert], now: int) -> None:
        """Alerts that were written by `now`, ns since the epoch."""
        for alert in alerts:
            if alert.state != CLOSED:
                for name in (_ALL, *alert.check.analytics):
                    samples = self._samples.setdefault(name, deque(maxlen=_SAMPLES))
                    samples.append(max(0, now - alert.time))

    def counters(self) -> dict[str, int]:
        """samples; median_ms, p95_ms and highest_ms, none of them without samples; the same by
        analytic, as AN1949.samples."""
        counts: dict[str, int] = {}
        for name, samples in sorted(self._samples.items()):
            part = f"latency.{name}." if name else "latency."
            counts |= {f"{part}{figure}": n for figure, n in _figures(sorted(samples)).items()}
        return counts


def _figures(ordered: list[int]) -> dict[str, int]:
    if not ordered:
        return {"samples": 0}
    places = {"median_ms": 0.5, "p95_ms": 0.95, "highest_ms": 1.0}
    last = len(ordered) - 1
    figures = {name: ordered[round(last * share)] // _MS for name, share in places.items()}
    return {"samples": len(ordered), **figures}
