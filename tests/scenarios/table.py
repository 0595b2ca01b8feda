"""The table of what was told of each scenario, in Markdown."""

from __future__ import annotations

from procwire.alert import Alert
from rows import Scenario

HEAD = (
    "scenario",
    "time",
    "alerts",
    "analytics",
    "process",
    "severity",
    "first alert after",
    "as wanted",
)
LINES: list[str] = []
"""As printed at the end."""


def enter(scenario: Scenario, alerts: list[Alert], after_ns: int | None, wanted: bool) -> None:
    """Add a row. after_ns: from the first probe to the first alert, None where there is none."""
    if not LINES:
        LINES.extend(_line(cells) for cells in ((""), HEAD, ("---",) * len(HEAD)))
    checks = dict.fromkeys(alert.check.id for alert in alerts)
    analytics = {name for alert in alerts for name in alert.check.analytics}
    programs = dict.fromkeys(alert.process.comm for alert in alerts if alert.process is not None)
    time = f"{scenario.every_s:g} s between rounds" if scenario.every_s else "as it ran"
    LINES.append(
        _line(
            (
                scenario.name,
                time,
                ", ".join(checks) or "none",
                " ".join(sorted(analytics)),
                ", ".join(programs),
                str(min((alert.severity for alert in alerts), default="")),
                "" if after_ns is None else _duration(after_ns),
                "yes" if wanted else "NO",
            )
        )
    )


def _duration(ns: int) -> str:
    return f"{ns / 1e9:.1f} s" if ns >= 10**9 else f"{ns / 1e6:.1f} ms"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |" if cells else ""
