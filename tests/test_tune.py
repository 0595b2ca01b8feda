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
from procwire.context.tuning import LEADING, Decided, keep, note_in_force, propose
from procwire.detect.fanout_detectors import FanoutDetectors
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
    assert (one.choices[0].weeks, one.threshold) == (8.0, 31)


def test_no_proposal_loses_an_alert_that_was_high() -> None:
    rows = [episode(n, 30 + n) for n in range(20)] + [episode(99, 35, severity=1)]
    (one,) = propose(kept(*rows), 0)
    assert one.threshold == 35
    assert {choice.threshold: choice.high for choice in one.choices}[25] == 1


def in_force(store: Store, **weeks: float) -> Store:
    """Thresholds of fanout.hosts, as t25, and for how long; the last is in force."""
    for name, number in weeks.items():
        note_in_force(store, {"fanout.hosts": float(name[1:])}, round(number * WEEK))
    return store


def test_a_lower_threshold_that_was_in_force_for_a_week_is_proposed() -> None:
    trial = [episode(n, figure, threshold=12.0) for n, figure in enumerate((13, 14, 20, 90))]
    usual = [episode(10 + n, 40) for n in range(2)]
    store = in_force(kept(*trial, *usual), t12=2, t25=6)
    counts = {
        choice.threshold: (choice.alerts, choice.weeks) for choice in propose(store, 5)[0].choices
    }
    assert counts == {
        12: (4, 2),
        13: (4, 2),
        14: (3, 2),
        20: (2, 2),
        25: (3, 8),
        40: (3, 8),
        90: (1, 8),
    }
    assert [propose(store, wanted)[0].threshold for wanted in (2, 1.5, 1, 0.2)] == [12, 14, 20, 90]
    assert propose(store, 2)[0].current == 25


def test_what_stayed_below_a_threshold_is_not_taken_for_nothing() -> None:
    # In force for a day only, or never.
    store = in_force(kept(episode(1, 30)), t12=1 / 7, t25=9)
    assert propose(store, 99)[0].threshold == 25
    assert propose(in_force(kept(), t25=9), 99) == []
    # Nothing at all was told in a week of a lower one: it is known to be as quiet.
    (one,) = propose(in_force(kept(), t12=1, t25=1), 0)
    assert (one.current, one.threshold, one.choices[0].alerts) == (25, 12, 0)


def test_a_high_alert_that_only_a_lower_threshold_told_asks_for_it() -> None:
    rows = [
        episode(1, 15, threshold=12.0, severity=1),
        *(episode(n, 14, threshold=12.0) for n in range(2, 90)),
    ]
    assert propose(in_force(kept(*rows), t12=1, t25=1), 1)[0].threshold == 15


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


@settings(max_examples=50)
@given(
    told=st.lists(
        st.tuples(st.integers(25, 60), st.integers(1, 3), st.sampled_from([12, 18, 25])),
        min_size=1,
        max_size=30,
    ),
    wanted=st.integers(0, 30),
)
def test_every_count_is_that_of_the_alerts_it_would_raise(
    told: list[tuple[int, int, int]], wanted: int
) -> None:
    rows = [episode(n, f, severity=s, threshold=float(t)) for n, (f, s, t) in enumerate(told)]
    (one,) = propose(in_force(kept(*rows), t12=1, t18=1, t25=1), wanted)
    for choice in one.choices:
        raised = [s for f, s, t in told if t <= choice.threshold <= f]
        assert (choice.alerts, choice.high) == (len(raised), raised.count(1))
    assert not any(f < one.threshold for f, s, _ in told if s == 1)
    assert {12, one.current, one.threshold} <= {choice.threshold for choice in one.choices}


def a_scan() -> Alert:
    (scan,) = FanoutDetectors().update(row())
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
    with Store(context) as store:
        assert "no history yet" in run("tune", "--context", context).talk
        minutes = 240_000_000_000
        keep(store, [episode(n, 30 + n, NOW + (n == 11) * minutes) for n in range(12)])
    told = run("tune", "--per-week", "2", "--context", context).out
    assert "--set fanout.hosts=40  (now 25)" in told
    assert "->         40         2 alerts in 4 min" in told
    assert "        below 25  not known" in told
    assert "--set fanout.hosts=12" in run("tune", "--context", context).talk
    assert "less than a week counts as one" in run("tune", "--context", context).talk
    assert "        below 25  not known" in told
    (one,) = json.loads(run("tune", "--json", "--context", context).out)
    assert (one["setting"], one["current"]) == ("fanout.hosts", 25)
    assert one["unknown_below"] == 25


def test_names_of_settings_are_printed_as_text(run, tmp_path: Path) -> None:
    context = tmp_path / "context.db"
    with Store(context) as store:
        keep(store, [episode(n, 30 + n, setting="fanout.\x1b[2Jhosts\u202e") for n in range(3)])
    told = run("tune", "--context", context)
    assert "--set fanout.\\x1b[2Jhosts\\u202e=" in told.out
    assert "\x1b" not in told.out + told.talk


def test_the_settings_that_decide_are_those_in_force() -> None:
    thresholds = tuning.in_force(load(overrides=["ics.hosts=0", "fanout.hosts=40"]))
    assert set(LEADING) - set(thresholds) == {"ics.hosts"}
    assert thresholds["fanout.hosts"] == 40
    assert set(LEADING) <= set(names())


def test_a_watch_notes_for_how_long_its_thresholds_were_in_force() -> None:
    with Store(MEMORY) as store:
        for hosts in (25.0, 12.0):
            site = Site(store)
            for _ in range(2):
                site.observed({"fanout.hosts": hosts}, WEEK)
                site.save()
        Site(store).save()
        rows = store.rows("SELECT * FROM in_force ORDER BY threshold")
    assert rows == [("fanout.hosts", 12, 2 * WEEK, 1), ("fanout.hosts", 25, 2 * WEEK, 0)]


def test_a_full_history_is_judged_at_once() -> None:
    rows = [episode(n, 25 + n, NOW + n) for n in range(20_000)]
    (one,) = propose(kept(*rows), 100)
    assert one.threshold == 25 + 20_000 - 100


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
