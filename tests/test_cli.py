"""The commands as a user meets them: what they print, where, and the code they end with."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
from commands import ENDS
from procwire import examples
from procwire.cli.watch import watch
from procwire.detect.detector import DETECTORS
from procwire.detect.detector_settings import decided_by
from procwire.output.rule_page import page
from procwire.owners.history import default_history
from procwire.rules import observed_checks, packet_rules
from procwire.settings import Settings

BROKEN = examples.frames(packet_rules())
ETHERNET_II = bytes.fromhex("0200 0000 0002 0200 0000 0001 88b5") + bytes(46)


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
        (["read", "x" * 300], "File name too long"),
        (["read", "-", "-o", "x" * 300], "File name too long"),
        (["enrich", "-", "--history", "x" * 300], "File name too long"),
        (["rules", "show", "tcp.bad_hlne"], "nearest is tcp.bad_hlen"),
        (["rules", "show", "tcp.opt_len_bad"], "nearest is tcp.opt_malformed"),
        (["watch", "-i", "no-such-if"], "no interface no-such-if"),
    ],
)
def test_usage_errors_name_the_nearest(run, words: list[str], expected: str) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (ENDS["usage"], "")
    assert expected in ran.talk


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["no-such-if"], "no interface no-such-if"), (["lo", "prot", "22"], "prot")],
)
def test_what_cannot_be_captured_is_told_before_kernels_are_compiled(
    run, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.setattr("procwire.warm.warm_up", lambda: pytest.fail("it compiles"))
    ran = run("watch", "-i", *words)
    assert ran.code in (ENDS["usage"], ENDS["missing"])
    assert expected in ran.talk or "CAP_NET_RAW" in ran.talk


@pytest.mark.parametrize("options", [[], ["--continuous"]], ids=["each", "continuous"])
def test_a_file_that_is_missing_is_told_before_results_are_begun(
    run, broken: Path, tmp_path: Path, options: list[str]
) -> None:
    results = tmp_path / "results"
    results.write_text("of the last run\n")
    ran = run("read", *options, broken, tmp_path / "no-such-file", "-o", results)
    assert (ran.code, ran.out) == (ENDS["usage"], "")
    assert "no-such-file" in ran.talk
    assert results.read_text() == "of the last run\n"


@pytest.mark.parametrize(("words", "listed"), [([], "read"), (["rules"], "test")])
def test_without_a_command_they_are_listed(run, words: list[str], listed: str) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (ENDS["usage"], "")
    assert any(line.split()[:1] == [listed] for line in ran.talk.splitlines())


@pytest.mark.parametrize(
    "group", ["", "allow", "baseline", "config", "inventory", "rules", "suricata"]
)
def test_what_a_command_does_fits_a_line(run, group: str) -> None:
    listed = run(*group.split(), "--help").out.partition("Commands:")[2]
    assert listed and "..." not in listed


def test_a_history_without_a_file_lies_where_enrich_looks_for_it() -> None:
    context = watch.make_context("watch", ["--history"])
    assert context.params["history"] == default_history()


@pytest.mark.parametrize("command", ["read x", "watch", "config show", "suricata feed x x"])
def test_a_wrong_settings_file_is_named(run, tmp_path: Path, command: str) -> None:
    settings = tmp_path / "procwire.toml"
    settings.write_text("[fanout]\nhost = 3\n")
    ran = run(*command.split(), "-c", settings)
    assert ran.code == ENDS["usage"]
    assert str(settings) in ran.talk
    assert "nearest is fanout.hosts" in ran.talk


def test_text_for_people(run, broken: Path) -> None:
    ran = run("read", "--format", "text", broken)
    assert "RFC 9293 3.5 · packet" in ran.out
    assert " protocol 59  IPv6 routing header of type 0" in ran.out
    assert "not decoded " in ran.talk
    assert f"{len(BROKEN)} packets" in ran.talk
    assert "\x1b" not in ran.out


def test_addresses_that_a_header_lacks_are_not_made_up(run, tmp_path: Path) -> None:
    header = bytes.fromhex("4500 0028 0001 0000 4006 0000 c000 0201 c633 6401")
    capture = tmp_path / "cut.pcap"
    ends = {8: [None, None], 16: ["192.0.2.1", None], 20: ["192.0.2.1", "198.51.100.1"]}
    for size, expected in ends.items():
        frame = examples.LINK + b"\x08\x00" + header[:size]
        capture.write_bytes(examples.capture([frame]))
        alerts = run("read", capture).of_type("alert")
        told = [one for one in alerts if one["alert"]["metadata"]["rule"] == ["ipv4.truncated"]]
        assert [told[0].get("src_ip"), told[0].get("dest_ip")] == expected
        shown = run("read", "--format", "text", capture).out
        assert (" -> ".join(filter(None, expected)) or "unknown source") in shown


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
    assert run("rules", "test", "udp.len_mismatch").talk.startswith("1 rule, ")


def test_rules_build_outside_the_project(run, tmp_path: Path) -> None:
    ran = run("rules", "build", "--root", tmp_path)
    assert ran.code == ENDS["usage"]
    assert "--root" in ran.talk
