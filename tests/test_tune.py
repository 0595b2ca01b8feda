"""The history of alerts, what is proposed from it, and the commands about settings."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from commands import ENDS
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from procwire.alert import Alert, scan_alert
from procwire.config import load, names
from procwire.context import tuning
from procwire.context.allowlist import Wish, add
from procwire.context.site import Site
from procwire.context.store import MEMORY, Store
from procwire.context.tuning import Decided, keep, propose
from procwire.detect.judges import Judges
from procwire.settings import Settings
from test_alert import SCANNER_PROCESS, row

WEEK = 7 * 86_400 * 1_000_000_000
NOW = 1_790_000_000_000_000_000


def episode(number: int, figure: float, time: int = NOW, **named: object) -> Decided:
    usual = Decided(f"F-{number}", "scan.host_sweep", "fanout.hosts", figure, 25.0, 2, False, time)
    return replace(usual, **named)


def kept(*rows: Decided) -> Store:
    store = Store(MEMORY)
    keep(store, rows)
    return store


def test_a_threshold_that_is_quiet_enough_is_proposed() -> None:
    figures = [30, 30, 31, 40, 60, 200]
    store = kept(*(episode(n, figure) for n, figure in enumerate(figures)))
    (all_of_them,) = propose(store, 6)
    assert (all_of_them.current, all_of_them.threshold) == (25, 25)
    (fewer,) = propose(store, 3)
    assert fewer.threshold == 40
    counts = {choice.threshold: choice.alerts for choice in fewer.choices}
    assert counts == {25: 6, 30: 6, 31: 4, 40: 3, 60: 2, 200: 1}


def test_the_number_of_alerts_is_by_the_week() -> None:
    rows = [episode(n, 30 + n, NOW + n * WEEK) for n in range(9)]
    (one,) = propose(kept(*rows), 1.0)
    assert (one.weeks, one.threshold) == (8.0, 31)


def test_no_proposal_loses_an_alert_that_was_high() -> None:
    rows = [episode(n, 30 + n) for n in range(20)] + [episode(99, 35, severity=1)]
    (one,) = propose(kept(*rows), 0)
    assert one.threshold == 35
    assert {choice.threshold: choice.high for choice in one.choices}[25] == 1


def test_an_episode_counts_once_with_its_largest_figure() -> None:
    store = kept(episode(1, 30), episode(1, 300, severity=1), episode(1, 200, severity=3))
    ((figure, severity),) = store.rows("SELECT figure, severity FROM history")
    assert (figure, severity) == (300, 1)


def test_an_episode_counts_for_each_setting_that_led_it() -> None:
    other = episode(1, 8, setting="new_process.hosts", threshold=8.0)
    both = propose(kept(other, episode(1, 300)), 5)
    assert [(one.setting, one.choices[-1].threshold) for one in both] == [
        ("fanout.hosts", 300),
        ("new_process.hosts", 8),
    ]


def test_what_was_suppressed_needs_no_threshold() -> None:
    assert propose(kept(episode(1, 30, suppressed=True)), 1) == []
    assert len(propose(kept(episode(1, 30, suppressed=True), episode(1, 90)), 1)) == 1


def test_the_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "MOST", 10)
    store = kept(*(episode(n, 30, NOW + n) for n in range(30)))
    assert store.rows("SELECT min(time), count(*) FROM history") == [(NOW + 20, 10)]


@settings(deadline=None, max_examples=50)
@given(
    figures=st.lists(st.tuples(st.integers(25, 60), st.integers(1, 3)), min_size=1, max_size=30),
    wanted=st.integers(0, 30),
)
def test_every_count_is_that_of_the_alerts_it_would_raise(
    figures: list[tuple[int, int]], wanted: int
) -> None:
    rows = [episode(n, figure, severity=s) for n, (figure, s) in enumerate(figures)]
    (one,) = propose(kept(*rows), wanted)
    for choice in one.choices:
        assert choice.alerts == sum(figure >= choice.threshold for figure, _ in figures)
        assert choice.high == sum(f >= choice.threshold and s == 1 for f, s in figures)
    chosen = next(choice for choice in one.choices if choice.threshold == one.threshold)
    assert chosen.high == sum(s == 1 for _, s in figures)


def a_scan() -> Alert:
    (scan,) = Judges().update(row())
    return scan_alert(scan, (SCANNER_PROCESS, ()), ())


def test_what_a_site_tells_becomes_history(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    with Store(path) as store:
        site = Site(store)
        site.admit([a_scan(), replace(a_scan(), episode="F-2", evidence=())])
        site.save()
        add(store, Wish(exe="/tmp/x9", owner="ann", reason="x", expires="9000d"), ())
        site = Site(store)
        site.admit([replace(a_scan(), episode="F-3")])
        site.save()
        rows = store.rows("SELECT episode, setting, figure, suppressed FROM history ORDER BY time")
    assert [row[1:] for row in rows] == [("fanout.hosts", 25.0, 0), ("fanout.hosts", 25.0, 1)]
    with Store(path, read_only=True) as store:
        frozen = Site(store)
        frozen.admit([a_scan()])
        assert frozen.counters()["context.unsaved_history"] == 0


def test_a_full_disk_bounds_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procwire.context.site._MOST_UNSAVED", 2)
    with Store(MEMORY) as store:
        site = Site(store)
        alerts = [replace(a_scan(), episode=f"F-{n}") for n in range(5)]
        assert len(site.admit(alerts)) == 5
        assert site.counters()["context.unsaved_history"] == 3
        site.save()
        assert store.rows("SELECT count(*) FROM history") == [(2,)]


def test_tune(run, tmp_path: Path) -> None:
    context = tmp_path / "context.db"
    assert "no history yet" in run("tune", "--context", context).talk
    with Store(context) as store:
        keep(store, [episode(n, 30 + n) for n in range(12)])
    told = run("tune", "--per-week", "2", "--context", context).out
    assert "--set fanout.hosts=40" in told
    assert "->         40         2 alerts in 1.0 weeks" in told
    (one,) = json.loads(run("tune", "--json", "--context", context).out)
    assert (one["setting"], one["current"]) == ("fanout.hosts", 25)


def test_config_show_is_a_file_that_config_check_accepts(run, tmp_path: Path) -> None:
    shown = run("config", "show", "--set", "fanout.hosts=40")
    assert set(tomllib.loads(shown.out)) == set(Settings.model_fields)
    assert all(f"# {meaning}" in shown.out for meaning in names().values())
    path = tmp_path / "procwire.toml"
    path.write_text(shown.out)
    assert load(path) == load(overrides=["fanout.hosts=40"])
    checked = run("config", "check", path)
    assert (checked.code, checked.out) == (0, "fanout.hosts = 40   (default 25)\n")
    as_json = json.loads(run("config", "show", "-c", path, "--json").out)
    assert (as_json["fanout.hosts"], set(as_json)) == (40, set(names()))
    path.write_text("[fanout]\nhost = 3\n")
    wrong = run("config", "check", path)
    assert wrong.code == ENDS["usage"]
    assert "nearest is fanout.hosts" in wrong.talk
