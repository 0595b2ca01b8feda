"""Allowlist entries: what they keep back is counted, ends in time, and is what they say."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from dataclasses import replace as changed
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from procwire.alert import Alert, scan_alert
from procwire.context.allowlist import Allowlist, Entry, Wish, add, entries, remove
from procwire.context.moments import later, written
from procwire.context.program import Programs, digest_of_program
from procwire.context.site import Site
from procwire.context.store import MEMORY, Store
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.errors import UsageError
from procwire.record import Endpoint
from procwire.sensor.proc import started_ns
from test_alert import SCANNER_PROCESS, row

DAY = 86_400_000_000_000
NOW = 1_790_000_000_000_000_000
DIGEST = "0f" * 32
CHECKS = {"scan.host_sweep", "AN1057"}


def address(text: str, port: int | None = 445) -> Endpoint:
    return Endpoint(bytes(10) + b"\xff\xff" + bytes(map(int, text.split("."))), port)


@pytest.fixture
def alert() -> Alert:
    """A sweep of 10.1.0.0/24 on one port by /tmp/x9 of www-data."""
    targets = tuple(address(f"10.1.0.{host}") for host in range(1, 9))
    (scan,) = FanoutDetectors().update(row())
    return replace(
        scan_alert(scan, (SCANNER_PROCESS, ()), ()),
        time=NOW,
        source=address("10.9.0.1", None),
        destination=targets[-1],
        targets=targets,
    )


def wish(**named: object) -> Wish:
    return Wish(**{"owner": "ann", "reason": "inventory", "expires": "30d"} | named)


def entry(**named: object) -> Entry:
    with Store(MEMORY) as store:
        return add(store, wish(**named), CHECKS, NOW - DAY)


def matches(alert: Alert, **named: object) -> bool:
    return Allowlist([entry(**named)], lambda process: DIGEST).match(alert) is not None


FITTING = {
    "exe": "/tmp/x9",
    "sha256": DIGEST,
    "user": "33",
    "source": "10.9.0.0/16",
    "destination": "10.1.0.0/24",
    "port": 445,
    "analytic": "AN1057",
}
OTHER = {
    "exe": "/tmp/x8",
    "sha256": "f0" * 32,
    "user": "34",
    "source": "10.8.0.0/16",
    "destination": "10.1.0.0/29",
    "port": 446,
    "analytic": "scan.host_sweep",
}


@pytest.mark.parametrize("name", FITTING)
def test_an_entry_matches_by_what_it_names(alert: Alert, name: str) -> None:
    assert matches(alert, **{name: FITTING[name]})


def test_addresses_of_ipv4_in_ipv6_are_those_of_ipv4(alert: Alert) -> None:
    assert matches(alert, source="::ffff:10.9.0.1", destination="::ffff:10.1.0.0/120")
    assert not matches(alert, source="::ffff:10.8.0.0/112")


@pytest.mark.parametrize("name", OTHER)
def test_all_that_it_names_has_to_fit(alert: Alert, name: str) -> None:
    other = replace(alert, check=changed(alert.check, id="scan.other"))
    assert matches(other, **FITTING)
    assert not matches(other, **FITTING | {name: OTHER[name]})


def test_a_check_is_named_by_its_id(alert: Alert) -> None:
    assert matches(alert, analytic=alert.check.id)


def test_one_target_outside_is_enough_to_tell(alert: Alert) -> None:
    outside = address("10.1.1.0")
    assert not matches(replace(alert, destination=outside), destination="10.1.0.0/24")
    farther = replace(alert, targets=(*alert.targets, outside))
    assert not matches(farther, destination="10.1.0.0/24")
    another = replace(alert, targets=(*alert.targets, address("10.1.0.9", 22)))
    assert not matches(another, port=445)


@pytest.mark.parametrize("name", ["source", "destination", "exe", "user", "sha256", "port"])
def test_what_an_alert_does_not_know_fits_no_entry_that_names_it(alert: Alert, name: str) -> None:
    bare = replace(alert, source=None, destination=None, targets=(), process=None)
    assert not matches(bare, **{name: FITTING[name]})


def test_a_program_whose_file_cannot_be_read_fits_no_digest(alert: Alert) -> None:
    assert Allowlist([entry(sha256=DIGEST)], lambda process: None).match(alert) is None


def test_an_entry_ends_by_the_alerts_time(alert: Alert) -> None:
    ends = NOW - DAY + 30 * DAY
    assert matches(replace(alert, time=ends - 10**9), exe="/tmp/x9")
    assert not matches(replace(alert, time=ends), exe="/tmp/x9")


def test_a_clock_that_jumps_a_day_neither_ends_nor_revives_an_entry_for_good(alert: Alert) -> None:
    with Store(MEMORY) as store:
        add(store, wish(exe="/tmp/x9", expires="12h"), CHECKS, NOW)
        site = Site(store)
        told = []
        for moment in (NOW, NOW + DAY, NOW + 1, NOW - DAY, NOW + 2):
            told.append(len(site.admit([replace(alert, time=moment)])))
            site.save()
        assert told == [0, 1, 0, 0, 0]
        assert [one.suppressed for one in entries(store)] == [4]


def test_what_is_kept_back_is_counted_and_kept(alert: Alert) -> None:
    with Store(MEMORY) as store:
        add(store, wish(exe="/tmp/x8"), CHECKS, NOW)
        add(store, wish(user="33"), CHECKS, NOW)
        site = Site(store)
        stranger = replace(alert, process=None)
        assert site.admit([alert, stranger, alert]) == [stranger]
        counts = site.counters()
        assert (counts["context.suppressed"], counts["context.by_entry.2"]) == (2, 2)
        assert "context.by_entry.1" not in counts
        assert [one.suppressed for one in entries(store)] == [0, 0]
        site.save()
        site.save()
        assert [one.suppressed for one in entries(store)] == [0, 2]
        assert entries(store)[1].last_suppressed == alert.time


def test_a_full_disk_costs_the_count_and_not_the_alert(alert: Alert, tmp_path: Path) -> None:
    with Store(tmp_path / "context.db") as store:
        add(store, wish(exe="/tmp/x8", reason="r" * 400), CHECKS, NOW)
        add(store, wish(user="33"), CHECKS, NOW)
        said: list[str] = []
        site = Site(store, said.append)
        stranger = replace(alert, process=None)
        store.rows("PRAGMA query_only = 1")
        assert site.admit([alert, stranger]) == [stranger]
        site.save()
        site.save()
        assert site.counters()["context.unsaved"] == 2
        (line,) = said
        assert line.endswith("what is learned is written then")
        store.rows("PRAGMA query_only = 0")
        site.save()
        assert [one.suppressed for one in entries(store)] == [0, 1]


def test_a_running_site_follows_the_commands(alert: Alert, tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    with Store(path) as watch, Store(path) as command:
        site = Site(watch)
        assert site.admit([alert]) == [alert]
        number = add(command, wish(exe="/tmp/x9"), CHECKS, NOW).id
        site.save()
        assert site.admit([alert]) == []
        remove(command, number)
        site.save()
        assert site.admit([alert]) == [alert]


def test_numbers_are_not_used_again() -> None:
    with Store(MEMORY) as store:
        first = add(store, wish(exe="/bin/a"), CHECKS, NOW)
        assert remove(store, first.id).exe == "/bin/a"
        assert add(store, wish(exe="/bin/a"), CHECKS, NOW).id != first.id
        with pytest.raises(UsageError, match="no entry has the number"):
            remove(store, first.id)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, "allow everything"),
        ({"exe": "nmap"}, "whole path"),
        ({"exe": "/opt/nmap…"}, "whole path"),
        ({"exe": "/" + "x" * 600}, "more than 500"),
        ({"sha256": "ABC"}, "64 lower-case"),
        ({"user": "no-such-account"}, "no such account"),
        ({"source": "10.1.0.1/16"}, "host bits"),
        ({"source": "the office"}, "an address or a network"),
        ({"port": 65536}, "0 to 65535"),
        ({"analytic": "AN9999"}, "rules list"),
        ({"port": 1, "owner": " "}, "--owner is empty"),
        ({"port": 1, "reason": ""}, "--reason is empty"),
        ({"port": 1, "expires": "soon"}, "such as 30d"),
        ({"port": 1, "expires": "0d"}, "such as 30d"),
        ({"port": 1, "expires": "2001-01-01"}, "to come"),
        ({"port": 1, "expires": "999999w"}, "such as 30d"),
        ({"port": 1, "expires": "9999-12-31"}, "such as 30d"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(named: dict[str, object], expected: str) -> None:
    with Store(MEMORY) as store:
        with pytest.raises(UsageError, match=expected):
            add(store, wish(**named), CHECKS, NOW)
        assert entries(store) == []


def test_when_an_entry_ends() -> None:
    assert [later(text, NOW) - NOW for text in ("12h", "2d", "3w")] == [DAY // 2, 2 * DAY, 21 * DAY]
    assert written(later("2030-01-31", NOW)) == "2030-01-31 00:00"
    assert written(later("2030-01-31T12:00+02:00", NOW)) == "2030-01-31 10:00"


@given(text=st.text(), moment=st.integers(-(2**63), 2**63 - 1))
def test_any_text_is_a_time_to_come_or_refused(text: str, moment: int) -> None:
    written(moment)
    with contextlib.suppress(UsageError):
        assert later(text, NOW) > NOW


def test_the_digest_is_that_of_the_file_that_runs(tmp_path: Path) -> None:
    program = tmp_path / "sleep"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o700)
    true = hashlib.sha256(program.read_bytes()).hexdigest()
    assert digest_of_program(program) == true
    with subprocess.Popen([program, "60"]) as running:
        try:
            started = started_ns(running.pid)
            process = changed(SCANNER_PROCESS, key=(started, running.pid, 1), exe=str(program))
            earlier = changed(process, key=(started - 10_000_000, running.pid, 1))
            # Another file at the path of the one that runs.
            program.unlink()
            program.write_bytes(b"harmless")
            programs = Programs()
            assert programs.digest(process) == true
            assert programs.digest(earlier) is None, "an earlier process with this pid"
            imported = changed(process, host="another")
            assert programs.digest(imported) is None, "one of another machine"
        finally:
            running.kill()
    assert programs.digest(process) == true, "what was known of it still is"
    assert Programs().digest(process) is None


def test_no_digest_is_taken_of_what_never_runs_itself(tmp_path: Path) -> None:
    script = tmp_path / "poller.py"
    script.write_text("#!/usr/bin/python3\n")
    with pytest.raises(UsageError, match="is a script"):
        digest_of_program(script)
    with pytest.raises(UsageError, match="cannot be read"):
        digest_of_program(tmp_path)
