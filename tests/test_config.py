"""Settings: documented, frozen, and loud about what they do not understand."""

from __future__ import annotations

import pytest
from procwire.config import ALIASES, Settings, load, names
from procwire.errors import UsageError
from pydantic import ValidationError


def test_defaults_need_no_file():
    assert load() == Settings()
    assert load().fanout.windows_ns == (10_000_000_000, 60_000_000_000, 600_000_000_000)


def test_every_setting_says_what_it_means():
    assert all(names().values())
    assert set(ALIASES.values()) <= set(names())


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        load().sweep.hosts = 3


def test_the_command_line_wins_over_the_file(tmp_path):
    path = tmp_path / "procwire.toml"
    path.write_text("[sweep]\nhosts = 40\nunanswered = 0.25\n[fanout]\nwindows_s = [5, 30, 300]\n")
    settings = load(path, ["sweep.hosts=60"])
    assert (settings.sweep.hosts, settings.sweep.unanswered) == (60, 0.25)
    assert settings.fanout.windows_s == (5, 30, 300)


def test_attacks_own_names_are_understood():
    settings = load(
        overrides=["ScanRateThreshold=99", "KnownScannerExeList=['x9']", "TimeWindow=60"]
    )
    assert settings.sweep.hosts == 99
    assert settings.sweep.known_scanners == ("x9",)
    assert settings.episodes.quiet_s == 60


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("sweep.host=3", "nearest is sweep.hosts"),
        ("sweap.hosts=3", "nearest is sweep.hosts"),
        ("ScanRate=3", "nearest is ScanRateThreshold"),
        ("sweep.hosts", "name=value"),
        ("sweep.hosts=many", "sweep.hosts = 'many'.*integer"),
        ("sweep.hosts=1", "greater than or equal to 2"),
        ("sweep.unanswered=1.5", "less than or equal to 1"),
        ("contacts.capacity=100", "power of two"),
        ("fanout.windows_s=[60, 10, 600]", "each greater"),
        ("fanout.windows_s=[60, 10]", "fanout.windows_s"),
        ("episodes.quiet_s=true", "episodes.quiet_s"),
        ("sweep.known_scanners=[1]", "sweep.known_scanners"),
        ("=", "no setting is called"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_remedy(override, expected):
    with pytest.raises(UsageError, match=expected) as refused:
        load(overrides=[override])
    assert f"--set {override}" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[sweep]\nhosts = \n", "line 2"),
        (b"[sweep]\nhosts = '25'\n", "sweep.hosts = '25'"),
        (b"[sweeps]\nhosts = 25\n", "sweeps.hosts; the nearest is sweep.hosts"),
        (b"sweep = 3\n", "no setting is called sweep"),
        (b"[sweep.hosts]\nmore = 3\n", "sweep.hosts"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, content, expected):
    path = tmp_path / "procwire.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=expected) as refused:
        load(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "absent.toml")
