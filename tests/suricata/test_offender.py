"""Whom records give reason to block, who is protected from it, and that changes of either count at
once. What answers here stands for a Suricata."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from answering import Answering, wait_until
from procwire.alert import SOURCE_PROVEN
from procwire.context.inventory import Asset, Inventory, replace_all
from procwire.context.store import Store
from procwire.output.eve import encode
from procwire.output.timestamp import timestamp
from procwire.settings.processes import BlockSettings
from procwire.settings.section import NANOSECONDS
from procwire.suricata import protected as protection
from procwire.suricata.block import MOST_DESTINATIONS, Blocker
from procwire.suricata.offender import offender
from procwire.suricata.protected import Protected, Surroundings, surroundings

PROCWIRE = Path(sys.executable).with_name("procwire")
PROGRAM = "/tmp/x9"
CONNECTED = {"process": {"pid": 7, "exe": PROGRAM, "role": "sender"}}
ATTACKED = {"process": {"pid": 8, "exe": "/usr/sbin/sshd", "role": "receiver"}}
RAW = CONNECTED | {"evidence": {"sent_through": "raw socket"}}
PROVEN = {"evidence": {SOURCE_PROVEN: "completed a handshake"}}
REFUSED_AGAIN = CONNECTED | {"evidence": {"state": "denied"}}
WIRE = {"in_iface": "eth0"}
AROUND = Surroundings(
    frozenset([ip_address("10.0.0.254"), ip_address("fe80::1")]),
    frozenset([ip_address("10.0.0.53")]),
    (ip_network("10.0.0.1/32"),),
)


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "surroundings", lambda: AROUND)


def record(rule: str = "scan.host_sweep", state: str = "raised", **more: Any) -> dict[str, Any]:
    fields = {name: more.pop(name) for name in ("src_ip", "in_iface") if name in more}
    metadata = {"rule": [rule], "state": [state]}
    alert = {"severity": 2, "metadata": metadata, "context": more}
    return {"src_ip": "10.9.0.1", "dest_ip": "10.9.0.2", "alert": alert} | fields


def denied_flow(address: str, key: str = "denied") -> dict[str, Any]:
    variable = {"key": key, "value": PROGRAM, "process": CONNECTED["process"]}
    return {"event_type": "flow", "dest_ip": address, "metadata": {"flowvars": [variable]}}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (record(**CONNECTED), ("10.9.0.1", True)),
        (record(**RAW), ("10.9.0.1", False)),
        (record(**CONNECTED, **WIRE), ("10.9.0.1", False)),
        (record(**CONNECTED, **PROVEN, **WIRE), ("10.9.0.1", True)),
        (record(**WIRE), ("10.9.0.1", False)),
        (record(**PROVEN, **WIRE), ("10.9.0.1", True)),
        (record(**ATTACKED), ("10.9.0.1", False)),
        (record(**CONNECTED, state="closed"), None),
        (record(**CONNECTED, src_ip="x"), None),
        (record("first_seen.program", **REFUSED_AGAIN), ("10.9.0.2", True)),
        (record("first_seen.use", **REFUSED_AGAIN), ("10.9.0.2", True)),
        (record("first_seen.program", **CONNECTED, evidence={"state": "pending"}), None),
        (record("first_seen.program", evidence={"state": "denied"}), None),
        (record("first_seen.zone_flow", **REFUSED_AGAIN), None),
        (record("udp.len_mismatch", **CONNECTED), None),
        *(
            ({"src_ip": "10.9.0.1", "alert": {"severity": 2, "metadata": metadata}}, None)
            for metadata in ({"rule": []}, {"rule": "scan.host_sweep"}, ["scan.host_sweep"])
        ),
        (denied_flow("10.9.0.2"), ("10.9.0.2", True)),
        (denied_flow("10.9.0.2", "process"), None),
        (denied_flow("x"), None),
        ({"event_type": "flow", "dest_ip": "10.9.0.2", "metadata": {"flowvars": ["x"]}}, None),
    ],
)
def test_whom_records_tell_of(one: dict[str, Any], expected: tuple[str, bool] | None) -> None:
    found = offender(one, severity=2)
    assert (found and (str(found.address), found.proven)) == expected
    lesser = offender(one, severity=1)
    assert lesser == (None if found is None or found.is_source else found)


def at(one: dict[str, Any], age_s: float) -> dict[str, Any]:
    """The record as if it had been told so long ago."""
    return one | {"timestamp": timestamp(time.time_ns() - round(age_s * NANOSECONDS))}


@pytest.fixture
def suricata(tmp_path: Path) -> Answering:
    return Answering(tmp_path / "socket")


def test_refuses_whom_it_must_and_says_so(suricata: Answering, tmp_path: Path) -> None:
    said: list[str] = []
    refused = {
        "10.0.0.254": "gateway",
        "fe80::1": "link-local",
        "10.0.0.53": "resolver",
        "10.0.0.1": "this host",
        "10.7.0.1": "block.protected",
        "10.8.0.1": "block.protected",
        "10.9.0.9": "may be forged",
    }
    settings = BlockSettings(protected=("10.7.0.0/16", "::ffff:10.8.0.0/112"))
    blocker = Blocker(tmp_path / "socket", settings, Protected(settings.protected), said.append)
    told = record("first_seen.program", **REFUSED_AGAIN)
    contacts = [told | {"dest_ip": address} for address in refused if address != "10.9.0.9"]
    forged = record(src_ip="10.9.0.9", **WIRE)
    own = record(src_ip="10.0.0.1", **RAW)
    gateway = record(src_ip="10.0.0.254", **CONNECTED)
    blocker.consider([*contacts, forged, own, gateway, *contacts, forged], now=0)
    assert suricata.held == {"10.0.0.1"}, "a host is blocked for what its own processes send"
    reasons = {line.partition(" ")[0]: line for line in said if "is not blocked" in line}
    assert {address: refused[address] in reasons[address] for address in refused} == dict.fromkeys(
        refused, True
    )
    assert len(said) == len(refused) + 1
    counts = {name: n for name, n in blocker.counters().items() if n}
    assert counts == {"block.blocked": 1, "block.refused": 6, "block.unproven": 1}
    blocker.close()
    chosen = BlockSettings(unproven=True)
    blocker = Blocker(tmp_path / "socket", chosen, Protected(()), said.append)
    blocker.consider([forged], now=0)
    assert "10.9.0.9" in suricata.held


def test_what_cannot_be_asked_for_stays_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    protected = Protected(())
    monkeypatch.setattr(protection, "LOOK_EVERY_S", 0)
    monkeypatch.setattr(protection, "surroundings", no_answer)
    assert not protected.renew()
    assert protected.why(ip_address("10.0.0.254"), is_source=True) is not None


def no_answer() -> Surroundings:
    raise OSError("no answer")


def test_what_denied_programs_reach_is_bounded(suricata: Answering, tmp_path: Path) -> None:
    said: list[str] = []
    blocker = Blocker(tmp_path / "socket", BlockSettings(), Protected(()), said.append)
    contacts = [denied_flow(f"10.{i >> 8}.{i & 255}.1") for i in range(2 * MOST_DESTINATIONS)]
    blocker.consider(contacts, now=0)
    assert len(suricata.held) == MOST_DESTINATIONS
    blocker.consider([record(src_ip="172.16.0.1", **CONNECTED)], now=0)
    assert "172.16.0.1" in suricata.held, "scanners find room"
    blocker.keep(now=4000)
    assert not suricata.held
    blocker.consider(contacts[1:6], now=4000)
    assert len(suricata.held) == 5
    blocker.close()
    assert not suricata.held, "nobody would let them go any more"


def test_scanners_that_denied_programs_reach_take_the_room_of_scanners(
    suricata: Answering, tmp_path: Path
) -> None:
    blocker = Blocker(tmp_path / "socket", BlockSettings(), Protected(()), [].append)
    contacts = [denied_flow(f"10.{i >> 8}.{i & 255}.1") for i in range(MOST_DESTINATIONS + 5)]
    scans = [record(src_ip=one["dest_ip"], **PROVEN, **WIRE) for one in contacts[:5]]
    blocker.consider([*scans, *contacts[:5]], now=0)
    blocker.keep(now=4000)
    assert not suricata.held
    blocker.consider(contacts, now=4000)
    assert len(suricata.held) == MOST_DESTINATIONS
    blocker.close()


def test_who_was_to_be_let_go_is_let_go_once_suricata_answers_again(
    suricata: Answering, tmp_path: Path
) -> None:
    said: list[str] = []
    blocker = Blocker(tmp_path / "socket", BlockSettings(), Protected(()), said.append)
    blocker.consider([record(src_ip="172.16.0.1", **CONNECTED)], now=0)
    suricata.deaf_to = {"dataset-remove"}
    moments = itertools.count(4000, 10)

    def is_let_go() -> bool:
        blocker.keep(now=next(moments))
        return not suricata.held

    wait_until(is_let_go)
    assert any("trying again" in line for line in said)
    assert blocker.counters()["block.expired"] == 1
    blocker.close()


def test_who_is_blocked_is_let_go_at_the_end_where_the_connection_was_lost(
    suricata: Answering, tmp_path: Path
) -> None:
    blocker = Blocker(tmp_path / "socket", BlockSettings(), Protected(()), [].append)
    blocker.consider([record(src_ip="172.16.0.1", **CONNECTED)], now=0)
    suricata.deaf_to = {"ruleset-reload-time"}
    blocker.keep(now=10)
    blocker.close()
    assert not suricata.held


def test_feed_follows_records_and_the_inventory(suricata: Answering, tmp_path: Path) -> None:
    context, eve = tmp_path / "context.db", tmp_path / "eve.json"
    with Store(context) as store:
        replace_all(store, Inventory())
    command = [PROCWIRE, "suricata", "feed", tmp_path / "socket", eve, "--context", context]
    feed = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    assert feed.stderr is not None
    patience = threading.Timer(120, feed.kill)
    patience.start()
    try:
        assert "blocking" in feed.stderr.readline()
        told = [
            at(record(src_ip="10.9.0.7", **CONNECTED), age_s=4000),
            at(record(**CONNECTED), age_s=5),
        ]
        eve.write_bytes(b"[" * 100_000 + b"\n\xff\n" + b"".join(map(encode, told)))
        assert "10.9.0.1 is blocked for" in feed.stderr.readline()
        wait_until(lambda: suricata.held == {"10.9.0.1"})
        assets = [Asset(f"plc-{host}", f"10.9.0.{host}", "plc", "critical") for host in (1, 3)]
        with Store(context) as store:
            replace_all(store, Inventory((), assets))
        assert "10.9.0.1 is blocked no more" in feed.stderr.readline()
        with eve.open("a") as more:
            more.write(json.dumps(record(src_ip="10.9.0.3", **CONNECTED)) + "\n")
        assert "the inventory protects plc-3" in feed.stderr.readline()
        with eve.open("a") as more:
            more.write(json.dumps(denied_flow("10.9.0.4")) + "\n")
        assert "10.9.0.4 is blocked for 3600 s" in feed.stderr.readline()
        wait_until(lambda: suricata.held == {"10.9.0.4"})
    finally:
        patience.cancel()
        feed.send_signal(signal.SIGTERM)
        feed.communicate(timeout=60)
    wait_until(lambda: not suricata.held)


def test_knows_what_this_host_depends_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = tmp_path / "resolv.conf"
    written.write_text("# nameserver 1.1.1.1\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nx\n")
    monkeypatch.setattr(protection, "RESOLVERS", (written, tmp_path / "missing"))
    found = surroundings()
    assert found.resolvers == {ip_address("10.0.0.53"), ip_address("fe80::1")}
    assert any(ip_address("127.0.0.1") in network for network in found.local)


NAMESPACE = f"pwtest-routes-{os.getpid()}"
ROUTES = """
link add v0 type veth peer name v1
link set v1 up
address add 10.5.0.1/24 dev v0
link set v0 up
route add default via 10.5.0.254
route add 10.6.0.0/16 nexthop via 10.5.0.2 nexthop via 10.5.0.3
route add 10.8.0.0/16 via inet6 fe80::7 dev v0
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a network namespace")
def test_every_next_hop_is_a_gateway() -> None:
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        for line in ROUTES.strip().splitlines():
            subprocess.run(["ip", "-n", NAMESPACE, *line.split()], check=True)
        script = "from procwire.sensor.networks import gateways as g; print(*sorted(map(str, g())))"
        command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", script]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)
    assert done.stdout.split() == ["10.5.0.2", "10.5.0.254", "10.5.0.3", "fe80::7"]
