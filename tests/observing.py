"""What is observed over several frames: for tests of flows, streams and questions."""

from __future__ import annotations

from batches import batch_of
from procwire.decode.frame import decode
from procwire.decode.observations import OBSERVATIONS
from procwire.judging.observe import Observer
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings

SECOND = 1_000_000_000
WARM_UP = 60


def batch(packets, first=1):
    """Frames as captured, with their times in s."""
    times = [time * SECOND for time, _ in packets]
    return batch_of([frame for _, frame in packets], times, first=first)


def observe(observer, packets, first=1):
    """(packet number, check, whether its context holds) of each finding."""
    made = batch(packets, first)
    findings = observer.update(made, decode(made))
    ids = [check.id for check in all_rules()]
    return [(int(f["packet"]), ids[f["rule"]], bool(f["in_context"])) for f in findings]


def unasked(observer, packets, first=1):
    """As observe(), without what is found of TCP's state."""
    found = observe(observer, packets, first)
    return [one for one in found if one[1] in OBSERVATIONS and not one[1].startswith("stream.")]


def fresh():
    return Observer(FlowSettings(capacity=1024, warm_up_s=float(WARM_UP)))
