"""`procwire allow` as a command, and a replay that keeps back what is allowed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from commands import ENDS
from procwire import examples
from procwire.context.store import Store
from procwire.rules import packet_rules


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    rule = next(rule for rule in packet_rules() if rule.id == "udp.len_mismatch")
    path = tmp_path / "broken.pcap"
    path.write_bytes(examples.capture([examples.frame("udp", rule.fires_on[0])]))
    return path


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return tmp_path / "context.db"


def test_read_keeps_back_what_is_allowed_and_says_so(run, broken: Path, context: Path) -> None:
    words = ["--reason", "old printer\x1b[2J", "--expires", "30d", "--context", context]
    allowed = run("allow", "add", "--analytic", "udp.len_mismatch", *words)
    assert allowed.code == ENDS["nothing"], allowed.talk
    assert "\\x1b[2J" in allowed.out
    plain = run("read", broken)
    assert "udp.len_mismatch" in plain.out
    before = context.read_bytes()
    outs = set()
    for _ in range(2):
        ran = run("read", "--context", context, broken)
        assert ran.code == ENDS["nothing"]
        (stats,) = ran.records
        assert stats["metadata"]["flowints"]["context.by_entry.1"] == 1
        assert stats["metadata"]["flowints"]["episodes.rule.udp.len_mismatch"] == 1
        outs.add(ran.out)
    assert len(outs) == 1
    told = run("read", "--context", context, "--format", "text", broken)
    assert told.out == ""
    assert "suppressed   1 by allowlist entry 1" in told.talk
    assert context.read_bytes() == before, "a replay leaves no trace"


@pytest.mark.parametrize(
    ("option", "others", "its"),
    [
        ("--source", "192.0.3.0/24", "192.0.2.0/24"),
        ("--destination", "192.0.2.0/24", "198.51.100.1"),
        ("--analytic", "AN1057", "AN1962"),
    ],
)
def test_an_entry_keeps_back_what_is_all_that_it_names(
    run, broken: Path, context: Path, option: str, others: str, its: str
) -> None:
    words = ["--reason", "x", "--expires", "1d", "--context", context]
    for named, ends in ((others, "findings"), (its, "nothing")):
        assert run("allow", "add", option, named, *words).code == ENDS["nothing"]
        assert run("read", "--context", context, broken).code == ENDS[ends]


def test_the_list_tells_what_each_entry_kept_back(run, context: Path) -> None:
    words = ["--expires", "30d", "--reason", "inventory", "--context", context]
    assert run("allow", "add", "--exe", "/usr/bin/nmap", *words).code == 0
    listed = json.loads(run("allow", "list", "--json", "--context", context).out)
    assert (listed[0]["exe"], listed[0]["suppressed"]) == ("/usr/bin/nmap", 0)
    assert listed[0]["expires"] > time.time_ns()
    with Store(context) as store, store.writing() as connection:
        connection.execute("UPDATE allowed SET suppressed = 1234, expires = 5")
    text = run("allow", "list", "--context", context).out
    assert "1,234 suppressed" in text
    assert "EXPIRED 1970-01-01" in text
    gone = run("allow", "remove", "1", "--context", context)
    assert "1,234 suppressed" in gone.out
    empty = run("allow", "list", "--context", context)
    assert (empty.out, "no entries" in empty.talk) == ("", True)


@pytest.mark.parametrize(
    "words",
    [
        ["add", "--reason", "x", "--expires", "1d"],
        ["add", "--exe", "/bin/sh", "--expires", "1d"],
        ["add", "--exe", "/bin/sh", "--reason", "x"],
        ["add", "--sha256", "file", "--reason", "x", "--expires", "1d"],
        ["add", "--exe", "/no/such", "--sha256", "file", "--reason", "x", "--expires", "1d"],
        ["add", "--exe", "/dev/zero", "--sha256", "file", "--reason", "x", "--expires", "1d"],
        ["add", "--user", "4294967295", "--reason", "x", "--expires", "1d"],
        ["add", "--user", "007", "--reason", "x", "--expires", "1d"],
        ["add", "--source", "fe80::1%eth0", "--reason", "x", "--expires", "1d"],
        ["remove", "7"],
        ["remove", "seven"],
    ],
)
def test_wrong_words_end_with_usage(run, context: Path, words: list[str]) -> None:
    assert run("allow", *words, "--context", context).code == ENDS["usage"]


def test_the_owner_is_who_asked(run, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    words = ["--exe", "/bin/sh", "--sha256", "file", "--reason", "x", "--expires", "1d"]
    ran = run("allow", "add", *words, "--context", context)
    assert "(ann: x)" in ran.out
    assert hashlib.sha256(Path("/bin/sh").read_bytes()).hexdigest() in ran.out
    assert context.stat().st_mode & 0o777 == 0o600


def test_an_account_without_a_name_owns_by_its_number(
    run, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nobody)
    words = ["--exe", "/bin/sh", "--reason", "x", "--expires", "1d", "--context", context]
    assert f"({os.getuid()}: x)" in run("allow", "add", *words).out
