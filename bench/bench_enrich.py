"""EVE records per second that `enrich` joins with a history of a hundred thousand flows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from procwire.event import FlowRole
from procwire.output.timestamp import timestamp
from procwire.owners.enrich import Enricher
from procwire.owners.history import Claim, Described, Hold, Local
from procwire.owners.past_owners import History
from pytest_benchmark.fixture import BenchmarkFixture

FLOWS, RECORDS = 100_000, 20_000
START = 1_790_000_000_000_000_000
KEY = (77, 4711, 2)
PROCESS = {"pid": 4711, "exe": "/usr/bin/curl", "cmdline": "curl -s http://10.0.0.2/", "parent": []}
# What a Suricata 8 with its usual settings says of a request.
REQUEST = {
    "hostname": "10.0.0.2",
    "url": "/index.html",
    "http_user_agent": "curl/8.14.1",
    "http_content_type": "text/html",
    "http_method": "GET",
    "protocol": "HTTP/1.1",
    "status": 200,
    "length": 4096,
}


def record(number: int) -> bytes:
    """Of three records one is of a flow that the history knows, one came to a server of its host,
    one has nobody."""
    return (
        msgspec.json.encode(
            {
                "timestamp": timestamp(START + number * 1_000_000),
                "flow_id": number,
                "in_iface": "eth0",
                "event_type": "http",
                "src_ip": "10.0.0.1",
                "src_port": 1024 + number % 60000,
                "dest_ip": "10.0.0.2",
                "dest_port": 443 if number % 3 == 1 else 80,
                "proto": "TCP",
                "ip_v": 4,
                "pkt_src": "wire/pcap",
                "community_id": f"1:{number if number % 3 == 0 else -number}",
                "tx_id": 0,
                "http": REQUEST,
            }
        )
        + b"\n"
    )


@pytest.fixture
def history(tmp_path: Path) -> History:
    path = tmp_path / "history.jsonl"
    lines = [msgspec.json.encode(Described(KEY, PROCESS))]
    claims = (Claim(START, KEY, f"1:{number}", 1024 + number % 60000) for number in range(FLOWS))
    lines += map(msgspec.json.encode, claims)
    listener = Hold(START, KEY, FlowRole.LISTENS, 6, "", 443)
    lines += map(msgspec.json.encode, (Local(START, ["10.0.0.2/32"]), listener))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return History(path)


def test_enrich(benchmark: BenchmarkFixture, history: History) -> None:
    lines = [record(number) for number in range(RECORDS)]
    enricher = Enricher(history)
    benchmark(enricher.lines, lines)
    assert enricher.counters()["enriched"] * 3 >= enricher.counters()["records"] * 2
    benchmark.extra_info["records per second"] = round(RECORDS / benchmark.stats.stats.min)
