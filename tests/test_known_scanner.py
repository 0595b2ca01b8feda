"""What a program that is known for scanning tries: graver, and a scan whoever answers."""

from __future__ import annotations

import pytest
from procwire.detect.detector import (
    HOST_SWEEP,
    ICMP_SWEEP,
    NEIGHBOUR_SWEEP,
    PORT_VERTICAL,
    SEQUENTIAL,
)
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.episodes import Episodes
from procwire.event import Origin
from procwire.record import Attempt
from procwire.settings import Settings
from procwire.settings.scans import SweepSettings
from test_alert import KEY, SCANNER_PROCESS, START, row


def test_a_known_scanner_is_graver_and_says_why():
    rows = row(established=10)
    rows["process"]["pid"] = 4711
    settings = Settings(sweep=SweepSettings(known_scanners=("X9",)))
    episodes = Episodes(settings, lookup=lambda key: (SCANNER_PROCESS, []))
    alert = episodes.update(START, FanoutDetectors().update(rows))[0]
    rows["hosts"] = rows["host_ports"] = rows["attempts"] = 1000
    (grown,) = episodes.update(START, FanoutDetectors().update(rows))
    for state in (alert, grown):
        assert state.severity <= 2
        assert state.evidence[-1].setting == "sweep.known_scanners"


@pytest.mark.parametrize(
    ("figures", "detector"),
    [
        ({"established": 25}, HOST_SWEEP),
        ({"established": 50, "hosts": 1, "host_ports": 50, "attempts": 50}, PORT_VERTICAL),
        ({"established": 20, "hosts": 20, "attempts": 20, "sequential_run": 20}, SEQUENTIAL),
        ({"attempt": Attempt.ECHO, "origin": Origin.RAW}, ICMP_SWEEP),
        ({"attempt": Attempt.NEIGHBOUR, "origin": Origin.RAW}, NEIGHBOUR_SWEEP),
    ],
)
def test_it_scans_whoever_answers(figures, detector):
    rows = row(**figures)
    scanners = FanoutDetectors(is_scanner=lambda key: key == KEY)
    assert scanners.update(rows) == []
    rows["process"]["started_ns"], rows["process"]["pid"], rows["process"]["exec_count"] = KEY
    assert FanoutDetectors().update(rows) == []
    (told,) = scanners.update(rows)
    assert told.detector is detector
    shares = [one.threshold for one in told.evidence if one.name == "unanswered"]
    # Nobody sees who answers a raw socket.
    assert shares == ([] if "origin" in figures else [None])
    rows["hosts"], rows["host_ports"], rows["sequential_run"] = 19, 19, 19
    assert scanners.update(rows) == []
