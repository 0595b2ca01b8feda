"""What the sensor says it cannot see: named, with reasons, and tied to hooks that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from procwire.errors import UsageError
from procwire.output.statistics import last_statistics
from procwire.sensor.bcc_loader import NEWER
from procwire.sensor.blind_spots import BCC_GAPS, BLIND_SPOTS, WIRE_SPOTS, blind_spots
from procwire.sensor.counters import EXPLANATIONS, Counter
from procwire.sensor.coverage import Unseen, circumstances, of_run

SECTIONS = re.findall(
    r'^SEC\("(\S+)"\)$', (Path(__file__).parent.parent / "kernel/sensor.bpf.c").read_text(), re.M
)


def test_each_blind_spot_has_a_name_and_a_reason():
    assert all(spot.name and spot.reason for spot in BLIND_SPOTS)
    assert len({spot.name for spot in BLIND_SPOTS}) == len(BLIND_SPOTS)


def test_what_a_missing_hook_hides_is_said_only_where_it_is_missing():
    tied = {hook for spot in BLIND_SPOTS for hook in spot.without}
    assert tied
    assert tied <= {*SECTIONS, *NEWER}
    assert set(blind_spots(tied)) == set(BLIND_SPOTS)
    assert {spot.without for spot in blind_spots(())} == {()}
    # Either hook shows who sends past the queueing discipline.
    either = ("senders with PACKET_QDISC_BYPASS", "tp_btf/sock_send_length")
    assert either[0] not in {spot.name for spot in blind_spots(either[1:])}


def test_the_counters_of_a_run_tell_its_coverage():
    hook = "tp_btf/sock_send_length"
    counters = {
        "kernel.count_attempts": 7,
        "kernel.lost_raw_destination": 3,
        "kernel.lost_argv_unreadable": 0,
        "capture.eth0.dropped": 5,
        "kernel.skipped_program": 1,
        "decode.skipped": 2,
        **circumstances("libbpf", (hook,)),
    }
    told = of_run(counters)
    assert (told.loader, told.missing_hooks) == ("libbpf", (hook,))
    assert told.lost == (
        Unseen("kernel.lost_raw_destination", 3, EXPLANATIONS[Counter.LOST_RAW_DESTINATION]),
        Unseen("capture.eth0.dropped", 5, "packets that came faster than they were read"),
    )
    assert [unseen.name for unseen in told.left_out] == ["kernel.skipped_program"]
    assert told.not_seen == blind_spots((hook,))
    # What bcc's programs lack comes first; of a run without a sensor there is one thing to say.
    assert set(of_run(circumstances("bcc", ())).not_seen) > set(BCC_GAPS)
    packets_only = of_run({"packets": 3}).not_seen
    assert [packets_only[0].name, *packets_only[1:]] == ["processes", *WIRE_SPOTS]


def test_what_packets_break_is_not_what_a_run_lost():
    alerts = {"episodes.rule.tcp.opt_malformed": 1, "episodes.severity.3.tcp.opt_malformed": 1}
    told = of_run({**alerts, "layers.udp_malformed": 2})
    assert told.lost == told.left_out == ()
    assert [one.name for one in of_run({"records.malformed": 1}).lost] == ["records.malformed"]


def record(time: str, counters: dict[str, int]) -> str:
    record = {"timestamp": time, "event_type": "stats", "metadata": {"flowints": counters}}
    return json.dumps(record, separators=(",", ":")) + "\n"


def test_the_last_statistics_are_found_from_the_end(tmp_path: Path):
    results = tmp_path / "eve.json"
    alert = json.dumps({"event_type": "alert", "padding": "x" * 999}) + "\n"
    # Longer than a block, between two of them and behind the last.
    results.write_text(
        record("old", {"packets": 1}) + alert * 90 + record("new", {"packets": 2}) + alert * 200
    )
    assert last_statistics(results).counters == {"packets": 2}
    # Suricata's own, and one that is still being written.
    with results.open("a") as more:
        more.write('{"event_type":"stats","stats":{}}\n' + record("newest", {"packets": 3})[:-9])
    assert last_statistics(results).time == "new"


@pytest.mark.parametrize("text", ["", "\n", "no JSON at all", "x" * 3_000_000])
def test_a_file_without_statistics_is_refused(tmp_path: Path, text: str):
    results = tmp_path / "eve.json"
    results.write_text(text)
    with pytest.raises(UsageError, match="no statistics of procwire"):
        last_statistics(results)
    with pytest.raises(UsageError, match="No such file"):
        last_statistics(tmp_path / "missing")
