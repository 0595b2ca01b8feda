"""The same few targets tried again and again without success."""

from __future__ import annotations

from procwire.detect.detector import REPEATED_ATTEMPTS
from procwire.detect.figures import Figures, Verdict, reaches, share
from procwire.detect.observation import Evidence
from procwire.settings import Settings


def repeated_attempts(figures: Figures, settings: Settings) -> Verdict | None:
    """Many failures, many of them per target. Retransmissions are one attempt."""
    least = settings.fanout.failures
    each = settings.repeated.failures_per_target
    # Failures of attempts that another window has counted say nothing of this one's targets.
    repeated = min(figures.failures, figures.attempts)
    if not reaches(repeated, least) or repeated < each * figures.host_ports:
        return None
    if figures.unanswered < settings.sweep.unanswered:
        return None
    mean = round(repeated / max(figures.host_ports, 1), 1)
    return Verdict(
        REPEATED_ATTEMPTS,
        figures.failures,
        REPEATED_ATTEMPTS.severity,
        (
            Evidence("failures", figures.failures, least, "fanout.failures"),
            Evidence("failures_per_target", mean, each, "repeated.failures_per_target"),
            *share(figures, settings.sweep.unanswered, "sweep.unanswered"),
            *figures.plain("host_ports", "window_s", "attempts", "established", "refused"),
        ),
    )
