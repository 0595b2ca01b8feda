"""Settings: documented, frozen, and loud about what they do not understand."""

from __future__ import annotations

from pathlib import Path

import pytest
from procwire.config import ALIASES, LARGEST, load, names
from procwire.errors import UsageError
from procwire.settings import Settings
from pydantic import ValidationError


def test_defaults_need_no_file():
    assert load() == Settings()
    assert load().fanout.windows_ns == (10_000_000_000, 60_000_000_000, 600_000_000_000)


def test_every_setting_says_what_it_means():
    assert all(names().values())
    assert set(ALIASES.values()) <= set(names())


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        load().fanout.hosts = 3


def test_the_command_line_wins_over_the_file(tmp_path):
    path = tmp_path / "procwire.toml"
    path.write_text("[sweep]\nunanswered = 0.25\n[fanout]\nhosts = 40\nwindows_s = [5, 30, 300]\n")
    settings = load(path, ["fanout.hosts=60"])
    assert (settings.fanout.hosts, settings.sweep.unanswered) == (60, 0.25)
    assert settings.fanout.windows_s == (5, 30, 300)


def test_attacks_own_names_are_understood():
    settings = load(
        overrides=["ScanRateThreshold=99", "KnownScannerExeList=['x9']", "TimeWindow=[1, 60, 90]"]
    )
    assert settings.fanout.hosts == 99
    assert settings.sweep.known_scanners == ("x9",)
    assert settings.fanout.windows_s == (1, 60, 90)


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    path = tmp_path / "procwire.toml"
    path.write_text("[fanout]\nhots = 3\nhosts = 'a'\n[swep]\nunanswered = 1\n")
    with pytest.raises(UsageError) as refused:
        load(path, ["sweep.unanswered=7"])
    for wrong in ("fanout.hots", "fanout.hosts = 'a'", "swep.unanswered", "sweep.unanswered = 7"):
        assert wrong in str(refused.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("fanout.host=3", "nearest is fanout.hosts"),
        ("fanaut.hosts=3", "nearest is fanout.hosts"),
        ("ScanRate=3", "nearest is ScanRateThreshold"),
        ("fanout.hosts", "name=value"),
        ("fanout.hosts=many", "fanout.hosts = 'many'.*integer"),
        ("fanout.hosts=-1", "greater than or equal to 0"),
        ("sweep.unanswered=1.5", "less than or equal to 1"),
        ("contacts.capacity=100", "power of two"),
        ("fanout.windows_s=[60, 10, 600]", "each greater"),
        ("fanout.windows_s=[60, 10]", "fanout.windows_s"),
        ("episodes.quiet_s=true", "episodes.quiet_s"),
        ("sweep.known_scanners=[1]", "sweep.known_scanners"),
        ("fanout.hosts=" + "9" * 5000, "integer"),
        ("fanout.hosts=" + "[" * 9999, "integer"),
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
        (b"[fanout]\nhosts = \n", "line 2"),
        (b"[fanout]\nhosts = '25'\n", "fanout.hosts = '25'"),
        (b"[fanouts]\nhosts = 25\n", "fanouts.hosts; the nearest is fanout.hosts"),
        (b"fanout = 3\n", "no setting is called fanout"),
        (b"[fanout.hosts]\nmore = 3\n", "fanout.hosts"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[fanout]\nhosts = " + b"9" * 5000, "must be TOML"),
        (b"deep = " + b"[" * 9999, "must be TOML"),
        (b"#" * (LARGEST + 1), "more than 1 MB"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, content, expected):
    path = tmp_path / "procwire.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=expected) as refused:
        load(path)
    assert str(path) in str(refused.value)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "procwire.toml"
    path.write_bytes(b"\xef\xbb\xbf[fanout]\nhosts = 30\n")
    assert load(path).fanout.hosts == 30


def test_a_list_is_refused_once():
    with pytest.raises(UsageError) as refused:
        load(overrides=["fanout.windows_s=[]"])
    assert str(refused.value).count("Field required") == 1


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "absent.toml")


def test_the_manual_lists_every_setting_with_its_default():
    manual = (Path(__file__).parent.parent / "docs" / "usage.md").read_text()
    for name in names():
        section, _, key = name.partition(".")
        value = getattr(getattr(Settings(), section), key)
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
        assert f"| `{name}` | {shown} |" in manual, f"docs/usage.md: {name} is {shown}"
