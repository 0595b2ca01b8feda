"""`procwire explain`: figures, ancestry, packet and remedy of an episode, from EVE and from a
record, with whatever an attacker wrote into both."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace

import pytest
from click.testing import CliRunner
from msgspec.structs import replace as changed_alert
from procwire.cli.explain import explain
from procwire.context.allowlist import Allowlist, Wish, add, entries
from procwire.context.store import MEMORY, Store
from procwire.detect.detector import KNOWN_SCANNER
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.episodes import Episodes
from procwire.errors import UsageError
from procwire.output.eve import Source, encode, lines, stats_record
from test_alert import KEY, SCANNER_PROCESS, row
from test_job_alerts import of_a_process
from test_recording import live

HARMFUL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a record, and a file of the same run's results."""
    folder = tmp_path_factory.mktemp("explain") / "record"
    told = live(folder, [60])
    results = folder.with_name("eve.json")
    with results.open("wb") as file:
        file.write(told.stream.getvalue())
        file.write(encode(stats_record(0, {"kernel.lost_flow_ring_full": 3}, Source())))
    return folder, results


def episode(results, rule):
    """The name of the first episode of a check."""
    for line in results.read_text().splitlines():
        alert = json.loads(line).get("alert")
        if alert and alert["metadata"]["rule"] == [rule]:
            return alert["metadata"]["episode"][0]
    raise AssertionError(rule)


def said(name, where):
    done = CliRunner().invoke(explain, [name, str(where)], standalone_mode=False)
    assert done.exception is None, done.exception
    assert not HARMFUL.search(done.output)
    return done.output


def test_each_figure_stands_beside_its_threshold_and_setting(run):
    text = said(episode(run[1], "scan.host_sweep"), run[1])
    assert re.search(r"hosts +about \d+ +threshold 25 \(fanout\.hosts\)", text)
    assert "/tmp/seven (pid 7, www-data)" in text
    assert "kernel; a hook saw it" in text
    assert re.search(r"source +10\.0\.0\.1\n", text)
    assert re.search(r"last target +10\.20\.0\.\d+:445", text)
    assert "procwire allow add --exe /tmp/seven --user www-data --analytic AN1949" in text
    assert "kernel.lost_flow_ring_full 3" in text


def test_a_record_has_the_packet_and_its_deciding_bytes(run):
    name = episode(run[1], "tcp.flags_null_xmas")
    text = said(name, run[0])
    assert "number " in text
    # FIN, PSH and URG of the TCP header.
    assert re.search(r"\[(50 )?29\]", text)
    assert "/tmp/eight" in text
    assert "not at hand" in said(name, run[1])


@pytest.mark.parametrize(
    ("exe", "option"),
    [
        ("/tmp/x9", "--exe"),
        ("C:\\x9.exe", "--exe"),
        ("memfd:x9", "--source"),
        ("/tmp/x9…", "--source"),
    ],
)
def test_what_it_says_allows_every_state_of_the_episode(tmp_path, exe, option):
    """A sweep that became a block scan is allowed as both, or the first is told again."""
    whose = replace(SCANNER_PROCESS, exe=exe, user="EXAMPLE\\eve" if "\\" in exe else "root")
    shapes = row(), row(hosts=25, host_ports=400, attempts=400)
    for shape in shapes:
        shape["process"] = [KEY]
    episodes = Episodes(lookup=lambda key: (whose, []))
    alerts = [
        one for n, s in enumerate(shapes) for one in episodes.update(n, FanoutDetectors().update(s))
    ]
    assert len({one.check.id for one in alerts}) == 2
    results = tmp_path / "eve.json"
    results.write_bytes(lines(alerts, Source()))
    text = said(alerts[0].episode, results)
    assert "last target  " in text
    (command,) = [line for line in text.splitlines() if "procwire allow add" in line]
    assert option in command
    *words, reason, why, expires, end = shlex.split(command)[3:]
    assert (reason, why, expires, end) == ("--reason", "WHY", "--expires", "30d")
    given = dict(zip((one.removeprefix("--") for one in words[::2]), words[1::2], strict=True))
    with Store(MEMORY) as store:
        wish = Wish(**given, owner="root", reason="why", expires="2200-01-01")
        add(store, wish, ("AN1057", "AN1949"))
        allowed = Allowlist(entries(store), lambda process: None)
        assert all(allowed.match(one) for one in alerts)


def test_a_start_that_another_tool_recorded_names_its_host_and_counts_nothing(tmp_path):
    whose = replace(SCANNER_PROCESS, host="srv-01", attribution="recorded")
    (alert,) = Episodes(lookup=lambda key: (whose, [])).update(0, FanoutDetectors().update(row()))
    start = changed_alert(alert, check=KNOWN_SCANNER, process=whose, count=0)
    results = tmp_path / "eve.json"
    results.write_bytes(lines([start], Source()))
    text = said(start.episode, results)
    assert "/tmp/x9 (pid 4711, www-data, srv-01)" in text
    assert "recorded; another tool's record says so" in text
    assert "in all" not in text and " with 0" not in text and "rests on many" not in text


def test_what_allows_an_interpreter_says_so(tmp_path):
    shell = replace(SCANNER_PROCESS, exe="/bin/sh")
    episodes = Episodes(lookup=lambda key: (shell, []))
    alerts = episodes.update(0, FanoutDetectors().update(of_a_process(KEY)))
    results = tmp_path / "eve.json"
    results.write_bytes(lines(alerts, Source()))
    assert "whatever that interpreter runs" in said(alerts[0].episode, results)


def anomaly(results):
    """The first anomaly with a process, and its episode."""
    for line in results.read_text().splitlines():
        record = json.loads(line)
        if record["event_type"] == "anomaly":
            (variable,) = record["metadata"]["flowvars"]
            if "process" in variable["alert"]["context"]:
                return record, variable["value"]
    raise AssertionError("no anomaly with a process")


def test_an_anomaly_is_explained_like_an_alert_and_says_its_doubt(run, tmp_path):
    record, name = anomaly(run[1])
    alone = tmp_path / "eve.json"
    kept = [line for line in run[1].read_text().splitlines() if '"event_type":"anomaly"' in line]
    alone.write_text("\n".join(kept))
    text = said(name, alone)
    assert f"{name}  ANOMALY  {record['anomaly']['event']}" in text
    assert "the capture may be at fault" in text
    assert "/tmp/" in text
    assert "the capture may be at fault" not in said(episode(run[1], "scan.host_sweep"), run[1])


def test_findings_of_a_scan_are_part_of_its_explanation(run):
    record, name = anomaly(run[1])
    for where in run:
        text = said(name, where)
        assert f"{name}  HIGH  scan.host_sweep" in text
        assert f"with 1 of {record['anomaly']['event']}" in text
        assert "the capture may be at fault" not in text


@pytest.mark.parametrize(
    "variables", [None, {}, [{}], [3], [{"alert": None}], [{"alert": {}}], [[[[]]]]]
)
def test_an_anomaly_without_what_we_write_is_passed_over(run, tmp_path, variables):
    record, name = anomaly(run[1])
    other = record | {"metadata": {"flowvars": variables}, "host": name}
    results = tmp_path / "eve.json"
    results.write_text(json.dumps(other) + "\n")
    done = CliRunner().invoke(explain, [name, str(results)], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    results.write_text(json.dumps(other) + "\n" + json.dumps(record) + "\n")
    assert name in said(name, results)


def test_what_is_not_there_is_said(run):
    done = CliRunner().invoke(explain, ["F-NONE", str(run[1])], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "alert.metadata.episode" in str(done.exception)


def test_what_holds_no_results_is_named(tmp_path):
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"\xd4\xc3\xb2\xa1")
    done = CliRunner().invoke(explain, ["F-NONE", str(capture)], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "name the EVE JSON results" in str(done.exception)


def test_what_has_no_end_is_not_read():
    done = CliRunner().invoke(explain, ["F-NONE", "/dev/zero"], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "no end" in str(done.exception)


def changed(record, place, value):
    *way, last = place
    inner = record
    for step in way:
        inner = inner[step]
    inner[last] = value
    return record


PROCESS = ("alert", "context", "process")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((*PROCESS, "cmdline"), "x \x1b]0;owned\x07 \u202e" * 50),
        ((*PROCESS, "exe"), "\x1b[31m/bin/\r\n\x9b"),
        ((*PROCESS, "parent"), [{"comm": "\x1b[2J", "cmdline": "\x07" * 9}] * 500),
        ((*PROCESS, "attribution"), "\x1b[2J"),
        (("alert", "signature"), "\x1b[2J\n"),
        (("alert", "severity"), 99),
        (("alert", "context", "evidence"), {"\x1b": "\x1b", "n": [1, {"a": "\x1b"}], "t": True}),
        (("alert", "context", "targets"), [{"ip": "\x1b[2J", "port": -5}]),
        (("alert", "metadata", "offset"), ["9" * 6000]),
        (("alert", "metadata", "size"), ["\x1b[2J"]),
        (("alert", "metadata", "state"), ["\x1b[2J"]),
        (("pcap_filename",), "/dev/zero"),
        (("pcap_filename",), "a\0b"),
        (("pcap_filename",), "a" * 5000),
        (("pcap_cnt",), 10**18),
        (("src_ip",), "\x1b[2J"),
    ],
)
def test_what_an_attacker_wrote_is_shown_escaped(run, tmp_path, place, value):
    name = episode(run[1], "tcp.flags_null_xmas")
    line = next(line for line in run[1].read_text().splitlines() if name in line)
    record = json.loads(line) | {"pcap_filename": str(run[0] / "packets-0.pcapng"), "pcap_cnt": 3}
    (tmp_path / "eve.json").write_text(json.dumps(changed(record, place, value)) + "\n")
    assert name in said(name, tmp_path / "eve.json")


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"alert": 3}', '{"alert": {"metadata": []}}', "\udcff"]
)
def test_lines_that_are_none_of_ours_are_passed_over(run, tmp_path, line):
    name = episode(run[1], "scan.host_sweep")
    content = line.encode(errors="surrogateescape") + name.encode() + b"\n"
    (tmp_path / "eve.json").write_bytes(content + run[1].read_bytes() + b'{"F')
    assert name in said(name, tmp_path / "eve.json")
