"""EVE records are valid by Suricata's schema and safe to show."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from procwire.output.eve import Source, encode, lines, record, stats_record
from procwire.output.printable import printable
from procwire.output.timestamp import duration, nanoseconds, timestamp
from told_alerts import (
    ALERTS,
    FILE,
    HIT,
    ICMP_HIT,
    NASTY,
    NASTY_SCAN,
    SCAN,
    START,
    TIER_B,
    endpoint,
)

SCHEMA = Path(__file__).parent.parent.parent / "shared" / "facts" / "eve-schema-8.json"


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


def test_numpy_numbers_never_reach_json():
    with pytest.raises(TypeError):
        encode({"count": np.uint32(3)})
