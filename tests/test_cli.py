"""The commands as a user meets them: what they print, where, and the code they end with."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import stat
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from commands import ENDS
from procwire import examples
from procwire.detect.decided_by import decided_by
from procwire.detect.detector import DETECTORS
from procwire.output.rule_page import page
from procwire.rules import observed_checks, packet_rules
from procwire.settings import Settings

PAGE = os.sysconf("SC_PAGESIZE")
BROKEN = examples.frames(packet_rules())
ETHERNET_II = bytes.fromhex("0200 0000 0002 0200 0000 0001 88b5") + bytes(46)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.pcap"
    path.write_bytes(examples.capture(BROKEN))
    return path


def test_every_rule_is_told(run, broken: Path) -> None:
    ran = run("read", broken)
    assert ran.code == ENDS["findings"]
    told = {record["alert"]["metadata"]["rule"][0] for record in ran.of_type("alert")}
    told |= {record["anomaly"]["event"] for record in ran.of_type("anomaly")}
    # Segments without a session carry the examples of layers above TCP.
    expected = {rule.id for rule in packet_rules() if rule.tier != "C"}
    assert told - {check.id for check in observed_checks()} == expected
    (stats,) = ran.of_type("stats")
    counted = {rule.id for rule in packet_rules()} - expected
    assert {f"episodes.rule.{name}" for name in counted} <= set(stats["metadata"]["flowints"])
    assert {record["pcap_filename"] for record in ran.records} == {str(broken)}
    (stats,) = ran.of_type("stats")
    assert stats["stats"]["decoder"]["pkts"] == len(BROKEN)
    assert ran.talk == ""


def test_an_ordinary_capture_ends_with_0(run, tmp_path: Path) -> None:
    path = tmp_path / "fine.pcap"
    path.write_bytes(examples.capture([ETHERNET_II]))
    ran = run("read", path)
    assert (ran.code, len(ran.records)) == (ENDS["nothing"], 1)


def test_fail_on_looks_at_the_severity(run, tmp_path: Path) -> None:
    path = tmp_path / "low.pcap"
    rule = next(rule for rule in packet_rules() if rule.id == "udp.len_mismatch")
    path.write_bytes(examples.capture([examples.frame("udp", rule.fires_on[0])]))
    assert run("read", path).code == ENDS["findings"]
    assert run("read", "--fail-on", "medium", path).code == ENDS["nothing"]


@pytest.mark.parametrize(
    ("content", "offset", "expected"),
    [
        (b"", 0, "empty file"),
        (b"#!/bin/sh\necho this is no capture\n", 0, "expected a capture"),
        (examples.capture([])[:20], 20, "file header"),
        (examples.capture([])[:20] + struct.pack("<I", 105), 20, "link type 105 \\(IEEE 802.11\\)"),
        (examples.capture(BROKEN[:3])[:-10], None, "cut by the end of the file"),
        (examples.capture(BROKEN[:3]) + b"\0" * 7, None, "packet header"),
    ],
    ids=["empty", "not-a-capture", "short-header", "link-type", "cut-packet", "cut-header"],
)
def test_damage(run, tmp_path: Path, content: bytes, offset: int | None, expected: str) -> None:
    path = tmp_path / "damaged.pcap"
    path.write_bytes(content)
    ran = run("read", path)
    assert ran.code == ENDS["damage"]
    (line,) = ran.talk.splitlines()
    assert line.startswith(f"procwire: {path}: offset ")
    if offset is not None:
        assert f"offset {offset}:" in line
    assert re.search(expected, line)


def test_what_comes_before_the_damage_is_analysed(run, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pcap"
    path.write_bytes(examples.capture(BROKEN)[:-3])
    ran = run("read", path)
    assert ran.code == ENDS["damage"]
    assert max(record["pcap_cnt"] for record in ran.of_type("alert")) == len(BROKEN) - 1


def test_damage_in_one_file_leaves_the_others_alone(run, broken: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.touch()
    ran = run("read", empty, broken)
    assert ran.code == ENDS["damage"]
    assert len(ran.of_type("alert")) > 40


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["raed", "x"], "nearest is 'read'"),
        (["read", "--fromat", "text", "x"], "--format"),
        (["read", "--set", "sweep.known_scaners=[]", "x"], "nearest is sweep.known_scanners"),
        (["read", "--set", "fanout.hosts=many", "x"], "fanout.hosts"),
        (["read", "no-such-file"], "no-such-file"),
        (["read", "-", "-"], "name - once"),
        (["rules", "show", "tcp.bad_hlne"], "nearest is tcp.bad_hlen"),
        (["rules", "show", "tcp.opt_len_bad"], "nearest is tcp.opt_malformed"),
        (["watch", "-i", "no-such-if"], "no interface no-such-if"),
    ],
)
def test_usage_errors_name_the_nearest(run, words: list[str], expected: str) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (ENDS["usage"], "")
    assert expected in ran.talk


@pytest.mark.parametrize(("words", "listed"), [([], "read"), (["rules"], "test")])
def test_without_a_command_they_are_listed(run, words: list[str], listed: str) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (ENDS["usage"], "")
    assert any(line.split()[:1] == [listed] for line in ran.talk.splitlines())


def test_a_wrong_settings_file_is_named(run, tmp_path: Path) -> None:
    settings = tmp_path / "procwire.toml"
    settings.write_text("[fanout]\nhost = 3\n")
    ran = run("read", "-c", settings, "x")
    assert ran.code == ENDS["usage"]
    assert str(settings) in ran.talk
    assert "nearest is fanout.hosts" in ran.talk


def test_results_in_a_file_are_the_owners_alone(run, broken: Path, tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    ran = run("read", "-o", path, broken)
    assert ran.out == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().splitlines()) > len(packet_rules())


def test_a_file_that_was_there_becomes_the_owners_alone(run, broken: Path, tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_text("old")
    path.chmod(0o644)
    run("read", "-o", path, broken)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_results_never_take_the_place_of_an_input(run, broken: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.pcap"
    link.symlink_to(broken)
    before = broken.read_bytes()
    history = tmp_path / "history.jsonl"
    history.touch()
    for words in (
        ["read", broken],
        ["read", link],
        ["enrich", broken, "--history", history],
        ["enrich", history, "--history", broken],
    ):
        ran = run(*words, "-o", broken)
        assert (ran.code, "is the input" in ran.talk) == (ENDS["usage"], True)
    assert broken.read_bytes() == before


def test_results_that_find_no_place_end_the_run(run, broken: Path, tmp_path: Path) -> None:
    nowhere = run("read", "-o", tmp_path / "none" / "eve.json", broken)
    assert nowhere.code == ENDS["usage"]
    assert "name a file that can be written" in nowhere.talk
    full = run("read", "-o", "/dev/full", broken)
    assert full.code == ENDS["missing"]
    assert full.talk == (
        "procwire: /dev/full: No space left on device; free space, or name another file with -o\n"
    )


@pytest.mark.parametrize("words", [("rules", "list"), ("rules", "show", "ipv4.land"), ("--help",)])
def test_a_full_standard_output_is_said(words: tuple[str, ...]) -> None:
    command = [Path(sys.executable).with_name("procwire"), *words]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (
        ENDS["missing"],
        "procwire: results cannot be written: No space left on device; "
        "free space, or write them elsewhere\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        "rules list --json > {}",
        "enrich - --history {0}.none > {0}",
        "enrich - --history {0}.none -o {0}",
    ],
)
def test_so_is_a_file_that_may_not_grow(words: str, tmp_path: Path) -> None:
    procwire, kept = Path(sys.executable).with_name("procwire"), tmp_path / "kept.json"
    (tmp_path / "kept.json.none").touch()
    command = f"ulimit -f 1; exec {procwire} {words.format(kept)}"
    ran = subprocess.run(
        ["bash", "-c", command], input=b"{}\n" * 9999, stderr=subprocess.PIPE, check=False
    )
    assert ran.returncode == ENDS["missing"], ran.stderr
    assert ran.stderr.startswith(b"procwire: results cannot be written: File too large; free space")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_nobody_s(closed: str, broken: Path, tmp_path: Path) -> None:
    procwire, kept = Path(sys.executable).with_name("procwire"), tmp_path / "kept.json"
    runs = {}
    for words, code in (
        (["read", "-"], ENDS["damage"]),
        (["read", "-o", str(kept), str(broken)], ENDS["findings"]),
    ):
        command = ["sh", "-c", f"exec {shlex.join([str(procwire), *words])} {closed}"]
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        runs[code] = subprocess.Popen(command, stdin=subprocess.DEVNULL, **pipes)
    for code, ran in runs.items():
        _, talk = ran.communicate()
        assert (ran.returncode, b"Traceback" in talk) == (code, False)
    assert all(json.loads(line) for line in kept.read_text().splitlines())


def test_text_for_people(run, broken: Path) -> None:
    ran = run("read", "--format", "text", broken)
    assert "RFC 9293 3.5 · packet" in ran.out
    assert " protocol 59  IPv6 routing header of type 0" in ran.out
    assert "not decoded " in ran.talk
    assert f"{len(BROKEN)} packets" in ran.talk
    assert "\x1b" not in ran.out


def test_rules_list(run) -> None:
    entries = json.loads(run("rules", "list", "--json").out)
    assert len({entry["sid"] for entry in entries}) == len(entries) >= 30
    assert {entry["kind"] for entry in entries} == {"packet", "packets", "detector", "counter"}
    for entry in entries:
        for version in ("7", "8"):
            way, reason = entry[f"suricata_{version}"], entry[f"reason_{version}"]
            assert way in ("lua", "native") or (way == "host" and reason)
    stateless = [one for one in entries if one["kind"] == "packet"]
    for version in ("7", "8"):
        shown = [one for one in stateless if one[f"suricata_{version}"] != "host"]
        assert len(shown) >= 0.9 * len(stateless)
    assert entries[0]["title"] in run("rules", "list").out


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.id)
def test_rules_show_names_the_settings_that_a_detector_decides_by(detector) -> None:
    text = page(detector, 200)
    decided = list(decided_by(detector, Settings()))
    assert decided
    for name, value, about in decided:
        assert about
        first, *_ = value.split(",")
        assert f"{name} = {first}" in text


def test_rules_show_knows_every_kind(run) -> None:
    for name in ("tcp.bad_hlen", "stream.rst_injection", "scan.host_sweep", "9100901"):
        ran = run("rules", "show", name)
        assert (ran.code, ran.talk) == (0, "")
        assert "reference " in ran.out
        assert "back ends " in ran.out


def test_rules_test(run) -> None:
    ran = run("rules", "test", "udp.len_mismatch", "9100401")
    assert ran.code == 0
    assert "2 rules" in ran.talk


def test_rules_build_outside_the_project(run, tmp_path: Path) -> None:
    ran = run("rules", "build", "--root", tmp_path)
    assert ran.code == ENDS["usage"]
    assert "--root" in ran.talk


@pytest.mark.parametrize("words", ["read --format eve {}", "rules list --json"])
def test_a_closed_pipe_is_no_error(broken: Path, words: str) -> None:
    command = f"{Path(sys.executable).with_name('procwire')} {words.format(broken)} | head -c 999"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout) == 999


@pytest.mark.parametrize("words", ["--help", "read --help", "config show", "rules show ipv4.land"])
@pytest.mark.parametrize("streams", ["", "2>&1"])
def test_nor_is_one_that_is_closed_before_all_is_written(words: str, streams: str) -> None:
    """What waits in a buffer is written at the very end."""
    command = f"{Path(sys.executable).with_name('procwire')} {words} {streams} | true"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False)
    assert ended.returncode == 0


def test_a_signal_during_a_write_loses_nothing() -> None:
    """The kernel gives pipes of a page or two where a user holds many."""
    told = subprocess.Popen(
        [Path(sys.executable).with_name("procwire"), "rules", "list", "--json"],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        pipesize=PAGE,
    )
    held, deadline = bytearray(4), time.monotonic() + 60
    while int.from_bytes(held, sys.byteorder) < PAGE and time.monotonic() < deadline:
        time.sleep(0.1)
        fcntl.ioctl(told.stdout, termios.FIONREAD, held)
    # The wait of a process that is stopped and goes on is interrupted, in the midst of its write.
    told.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    told.send_signal(signal.SIGCONT)
    out, _ = told.communicate(timeout=60)
    assert json.loads(out)
