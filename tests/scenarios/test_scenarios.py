"""Attacks and what only looks like one, on this machine's kernel and a wire of the test's own:
every attack is named with its process within a window, and nothing else raises an alert.

What is moved in time is a real run, too: in its record what lies between rounds is made longer, and
the kernel's windows are counted anew at those times. Every alert comes from reading a record.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import table
from event_time import apart, moved
from procwire.alert import Alert
from procwire.context.site import Site
from procwire.context.store import MEMORY, Store
from procwire.settings import Settings
from rows import Scenario
from stage import Played, Stage
from telling import SECOND, attempts, replayed, site_in, week_passes

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
DAY_S = 86400
# Other programs of the machine fill the same rings: what was lost is played again.
RUNS = 5
WINDOW_NS = max(Settings().fanout.windows_ns)


def recorded(stage: Stage, scenario: Scenario, folder: Path) -> tuple[Played, Path]:
    """Plays it; the record, at the times that the scenario asks for."""
    if shutil.which(scenario.command[0]) is None:
        pytest.skip(
            f"{scenario.command[0]} is not installed (apt-get install {scenario.command[0]})"
        )
    host = stage.host(in_full=scenario.every_s > 0)
    for run in range(RUNS):
        played = host.play(scenario.command, folder / f"run-{run}", scenario.blind)
        if not played.lost:
            break
    if not scenario.every_s:
        return played, moved(played.folder, folder / "alone", apart((), 0))
    # Shortly before, because the packet's clock is another one.
    rounds = played.rounds or [time - SECOND // 10_000 for time in attempts(played.folder)]
    pauses = apart(rounds, scenario.every_s)
    return played, moved(played.folder, folder / "apart", pauses, stage.window)


def test_an_attack_is_named_with_its_process_within_a_window(
    stage: Stage, watched_site: Path, tmp_path: Path, attack: Scenario
) -> None:
    """On a site that was watched for a week, and on one that has just begun to learn."""
    played, record = recorded(stage, attack, tmp_path)
    with Store(watched_site, read_only=True) as store:
        told = replayed(record, Site(store))
    with Store(MEMORY) as store:
        learning = {alert.check for alert in replayed(record, site_in(store))}
    scans = [alert for alert in told if not is_first_seen(alert)]
    first = min((alert.time for alert in scans), default=None)
    after = None if first is None else first - attempts(record)[0]
    strangers = [
        (alert.check.id, alert.process)
        for alert in told
        if alert.process is None or attack.named not in alert.process.command
    ]
    wanted = after is not None and after <= WINDOW_NS and not strangers
    wanted = wanted and attack.check in ("", *checks(told))
    wanted = wanted and {alert.check for alert in scans} <= learning
    table.enter(attack, told, after, wanted)
    assert wanted, (checks(told), after, learning, strangers, played.lost)


def test_what_only_looks_like_one_raises_nothing(
    stage: Stage, watched_site: Path, tmp_path: Path, benign: Scenario
) -> None:
    """On a site that learned it a month ago; while it is learned, and on a site that did not learn
    it, it is seen for the first time, or told as the row says."""
    played, record = recorded(stage, benign, tmp_path)
    earlier = moved(record, tmp_path / "earlier", apart((), 0, -30 * DAY_S))
    with Store(MEMORY) as store:
        site = site_in(store)
        learning = replayed(earlier, site)
        week_passes(site, attempts(record)[0] - 20 * DAY_S * SECOND)
        learned = replayed(record, site)
    with Store(watched_site, read_only=True) as store:
        unlearned = replayed(record, Site(store))
    others = {alert.check.id for alert in unlearned if not is_first_seen(alert)}
    wanted = not learned and set(checks(learning)) == {benign.learned} - {""}
    wanted = wanted and others == {benign.unlearned} - {""}
    table.enter(benign, learning + learned, None, wanted)
    assert wanted, (checks(learning), checks(learned), checks(unlearned), played.lost)


def is_first_seen(alert: Alert) -> bool:
    return alert.check.id.startswith("first_seen.")


def checks(alerts: list[Alert]) -> list[str]:
    """What was told, in order, each once."""
    return list(dict.fromkeys(alert.check.id for alert in alerts))
