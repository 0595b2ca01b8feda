"""EVE records are valid by Suricata's schema and safe to show; so is the text for people."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from procwire.alert import RAISED, RECEIVER, Alert
from procwire.detect.detector import HOST_SWEEP, Detector
from procwire.detect.observation import Endpoint, Evidence
from procwire.output.eve import Source, encode, lines, record, stats_record
from procwire.output.printable import printable
from procwire.output.terminal import colours
from procwire.output.text import text
from procwire.output.timestamp import duration, nanoseconds, timestamp
from procwire.record import Process

SCHEMA = Path(__file__).parent.parent.parent / "shared" / "facts" / "eve-schema-8.json"
START = 1_790_000_000_123_456_789
NASTY = "\x1b[31m\u202egnp.exe\x9b2J\n\udcff\U000e0041ok"
PROCESS = Process(
    (77, 4711, 2),
    (1, 1, 1),
    START,
    33,
    "www-data",
    "/tmp/x9",
    ("/tmp/x9", "-r", "10.20.0.0/24"),
    "x9",
    "/",
    None,
    None,
    "kernel",
)
PARENT = replace(PROCESS, key=(1, 1, 1), comm="php-fpm", exe="/usr/sbin/php-fpm", argv=("php",))


def endpoint(text, port=None):
    prefix = bytes(10) + b"\xff\xff"
    return Endpoint(prefix + bytes(int(part) for part in text.split(".")), port)


SCAN = Alert(
    episode="F-7Q2KXM",
    state=RAISED,
    check=HOST_SWEEP,
    severity=1,
    time=START,
    first=START - 38_000_000_000,
    last=START,
    count=220,
    source=endpoint("10.0.0.5"),
    destination=endpoint("10.0.0.9", 445),
    protocol=6,
    evidence=(
        Evidence("hosts", 214, 25, "fanout.hosts"),
        Evidence("window_s", 60.0),
        Evidence("unanswered", 0.97, 0.5, "sweep.unanswered"),
        Evidence("sequential_run", 200, 20, "fanout.sequential_run"),
    ),
    targets=(endpoint("10.0.0.9", 445),),
    process=PROCESS,
    ancestors=(PARENT,),
)
RULE = Detector(
    "udp.len_mismatch",
    9100301,
    "Length field shorter than the UDP header",
    "RFC 768, Length",
    ("AN1962", "AN1999"),
    3,
    suricata=("decoder.udp.hlen_too_small",),
)
HIT = changed(
    SCAN,
    check=RULE,
    severity=3,
    source=endpoint("10.0.0.5", 40000),
    destination=endpoint("10.0.0.9", 53),
    protocol=17,
    evidence=(),
    targets=(),
    process=None,
    ancestors=(),
    packet=17,
    offset=38,
    size=2,
)
ICMP_HIT = changed(
    HIT,
    check=replace(RULE, id="icmp4.short", zeek=("bad_ICMP",), suricata=()),
    source=endpoint("10.0.0.5", 8),
    destination=endpoint("10.0.0.9", 0),
    protocol=1,
)
SHARED_HIT = changed(HIT, source=None, destination=None)
V6_HIT = changed(
    HIT, source=Endpoint(bytes(15) + b"\x01", 1), destination=Endpoint(bytes(15) + b"\x02", 2)
)
TIER_B = changed(HIT, check=replace(RULE, id="tcp.odd", tier="B"))
NASTY_SCAN = changed(SCAN, process=replace(PROCESS, exe=NASTY, comm=NASTY, argv=(NASTY, "a b")))
ALERTS = {
    "scan": SCAN,
    "rule": HIT,
    "icmp": ICMP_HIT,
    "many sources": SHARED_HIT,
    "ipv6": V6_HIT,
    "anomaly": TIER_B,
    "hostile process": NASTY_SCAN,
    "without addresses": changed(SCAN, source=None, process=None),
    "hostile sender": changed(HIT, process=NASTY_SCAN.process),
    "unknown protocol": changed(HIT, protocol=253),
}
FILE = Source(pcap_filename="a.pcap")


@pytest.fixture(scope="module")
def valid():
    """Suricata's own schema as a function that raises for a record outside it."""
    if not SCHEMA.is_file():
        pytest.skip(f"no schema at {SCHEMA}")
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate


@pytest.mark.parametrize("source", [FILE, Source(in_iface="eth0"), Source()])
@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS.keys())
def test_every_alert_is_valid(valid, alert, source):
    valid(json.loads(encode(record(alert, source))))


def test_statistics_are_valid_and_complete(valid):
    counters = {"packets": 9, "bytes": 900, "contacts.evicted": 3}
    written = json.loads(encode(stats_record(START, counters, FILE)))
    valid(written)
    assert written["stats"]["decoder"] == {"pkts": 9, "bytes": 900}
    assert written["metadata"]["flowints"]["contacts.evicted"] == 3


def test_the_schema_check_can_fail(valid):
    with pytest.raises(jsonschema.ValidationError):
        valid(record(SCAN, FILE) | {"verdict": 1})


def test_a_scan_record_reads_as_designed():
    made = json.loads(encode(record(SCAN, FILE)))
    assert made["timestamp"] == "2026-09-21T14:13:20.123456+0000"
    assert (made["src_ip"], made["dest_ip"], made["dest_port"]) == ("10.0.0.5", "10.0.0.9", 445)
    assert (made["proto"], made["ip_v"], made["pcap_filename"]) == ("TCP", 4, "a.pcap")
    assert made["alert"]["signature_id"] == 9100901
    assert made["alert"]["metadata"]["analytic"] == ["AN1949", "AN1057", "AN1058", "AN2050"]
    assert made["alert"]["metadata"]["episode"] == ["F-7Q2KXM"]
    context = made["alert"]["context"]
    assert context["evidence"]["hosts"] == 214
    assert context["evidence"]["threshold"] == 25
    assert context["thresholds"]["unanswered"] == {"threshold": 0.5, "setting": "sweep.unanswered"}
    assert context["process"]["cmdline"] == "/tmp/x9 -r 10.20.0.0/24"
    assert context["process"]["parent"][0]["comm"] == "php-fpm"


def test_a_rule_record_names_packet_flow_and_peers_names():
    made = record(HIT, FILE)
    assert made["pcap_cnt"] == 17
    assert made["community_id"] == record(_turned(HIT), FILE)["community_id"]
    assert made["flow_id"] == record(_turned(HIT), FILE)["flow_id"]
    assert made["flow_id"] < 2**53
    assert made["alert"]["metadata"]["suricata"] == ["decoder.udp.hlen_too_small"]
    assert made["alert"]["metadata"]["offset"] == ["38"]
    icmp = record(ICMP_HIT, FILE)
    assert (icmp["icmp_type"], icmp["icmp_code"]) == (8, 0)
    assert "src_port" not in icmp


def _turned(alert):
    return changed(alert, source=alert.destination, destination=alert.source)


def test_community_id_is_that_of_its_specification():
    # The TCP example of the Community ID specification's baseline.
    alert = changed(
        HIT,
        source=endpoint("128.232.110.120", 34855),
        destination=endpoint("66.35.250.204", 80),
        protocol=6,
    )
    assert record(alert, FILE)["community_id"] == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="


def test_tier_b_without_context_is_an_anomaly():
    made = record(TIER_B, FILE)
    assert made["event_type"] == "anomaly"
    assert made["anomaly"] == {"type": "stream", "event": "tcp.odd"}
    (variable,) = made["metadata"]["flowvars"]
    certain = record(changed(TIER_B, in_context=True), FILE)
    assert (variable["key"], variable["value"]) == ("episode", TIER_B.episode)
    assert variable["alert"] == certain["alert"]


def test_a_record_is_one_line_that_no_terminal_obeys():
    line = encode(record(NASTY_SCAN, FILE))
    shown = line.decode()
    assert shown.count("\n") == 1
    assert not set(shown[:-1]) & set("\x1b\u202e\x9b\x7f\U000e0041")
    context = json.loads(line)["alert"]["context"]
    assert context["process"]["exe"] == NASTY.replace("\udcff", "?")


@given(st.text())
def test_any_text_survives_json_and_stays_on_its_line(anything):
    line = encode({"text": anything})
    assert json.loads(line)["text"] == anything.encode("utf-8", "replace").decode()
    assert printable(line.decode()[:-1]) == line.decode()[:-1]


@given(st.text(st.characters(codec=None)))
def test_printable_text_has_no_control_left(anything):
    shown = printable(anything)
    assert printable(shown) == shown
    assert not set(shown) & set("\x1b\n\r\x9b\u202e\u2066\u200b")


@pytest.mark.parametrize("time", [0, -1, START, 2**63 - 1, -(2**63)])
def test_any_time_has_a_timestamp(valid, time):
    valid({"event_type": "stats", "timestamp": timestamp(time)})


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.00004, "40 µs"),
        (0.0005, "0.5 ms"),
        (0.876, "876 ms"),
        (7.24, "7.2 s"),
        (38, "38 s"),
        (7199, "120 min"),
        (7200, "2 h"),
        (90_000, "25 h"),
        (7 * 86_400, "7 days"),
        (28 * 86_400, "4 weeks"),
    ],
)
def test_a_length_of_time_has_the_unit_that_fits(seconds, said):
    assert duration(seconds) == said


def test_what_is_too_long_for_a_time_is_not_remembered():
    text = "9" * 1000
    held = sys.getrefcount(text)
    assert nanoseconds(text) is None
    assert sys.getrefcount(text) == held


def test_each_alert_is_a_line():
    kinds = [json.loads(line)["event_type"] for line in lines([SCAN, HIT], FILE).splitlines()]
    assert kinds == ["alert", "alert"]


def test_a_scan_in_words():
    assert text(SCAN).splitlines() == [
        "HIGH    AN1949 AN1057 AN1058 AN2050  /tmp/x9 (pid 4711, www-data) tried 214 hosts "
        "in 38 s, last on tcp/445",
        "        parent: php-fpm   cmd: /tmp/x9 -r 10.20.0.0/24",
        "        97% not established · 200 in unbroken order · fanout.hosts is 25",
        "        F-7Q2KXM raised 2026-09-21T14:13:20.123456+0000 · scan.host_sweep",
    ]


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("colour", [False, True])
def test_words_fit_a_terminal_and_are_cut_between_them(width, colour):
    plain = [line.strip() for line in text(SCAN).splitlines()]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text(SCAN, colour, width)).splitlines()
    assert max(map(len, shown)) <= width
    assert " ".join(line.strip() for line in shown).split() == " ".join(plain).split()


def test_what_took_no_time_says_nothing_of_it():
    at_once = changed(SCAN, first=SCAN.last)
    assert "214 hosts, last on" in text(at_once)
    assert "214 hosts in 30 µs, last on" in text(changed(SCAN, first=SCAN.last - 30_000))


def test_a_finding_in_words():
    headline, why, *_ = text(HIT).splitlines()
    assert headline.endswith(
        "10.0.0.5:40000 -> 10.0.0.9:53 udp  Length field shorter than the UDP header"
    )
    assert "RFC 768, Length · packet 17, offset 38, 2 bytes" in why


def test_a_finding_says_whose_packet_it_is():
    sent = changed(HIT, process=PROCESS, ancestors=(PARENT,))
    assert text(sent).splitlines()[2].rsplit("   ", 1) == [
        " " * 8 + "sent by /tmp/x9 (pid 4711, www-data)",
        "cmd: /tmp/x9 -r 10.20.0.0/24",
    ]
    accepted = changed(sent, process=replace(PROCESS, attribution="inferred"), role=RECEIVER)
    assert "  likely received by /tmp/x9 (pid" in text(accepted)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS.keys())
def test_words_never_carry_controls(alert):
    shown = text(alert)
    assert len(shown.splitlines()) <= 4
    assert printable(shown.replace("\n", "")) == shown.replace("\n", "")


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in text(SCAN, colours(Terminal()))
    assert "\x1b[" not in text(SCAN, colours(io.StringIO()))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in text(SCAN, colours(Terminal()))


def test_numpy_numbers_never_reach_json():
    with pytest.raises(TypeError):
        encode({"count": np.uint32(3)})
