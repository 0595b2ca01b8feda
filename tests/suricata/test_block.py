"""A scan through an inline Suricata is cut off once procwire has seen it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import real_suricata
from inline_site import CLIENT, CLIENT_ADDRESS, SERVER_ADDRESS, Inline, site, within
from procwire.compiler.to_suricata import BLOCKED_SID
from procwire.context.inventory import Asset, Inventory
from procwire.errors import Unavailable
from procwire.settings.processes import BlockSettings
from procwire.suricata import ruleset
from procwire.suricata.block import Blocker, by_inventory
from procwire.suricata.commands import BLOCKED, CommandSocket, Refused

pytestmark = pytest.mark.suricata
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PROCWIRE = Path(sys.executable).with_name("procwire")
PROTECTED = Inventory((), (Asset("gateway", "10.1.0.1", "router", "critical"),))

# Connects to one port after the other, where nobody listens; ends after five silent ones.
SCAN = """
import socket, sys, time
silent = 0
for port in range(1000, 1600):
    client = socket.socket()
    client.settimeout(0.3)
    before = time.time()
    try:
        client.connect((sys.argv[1], port))
    except ConnectionRefusedError:
        print(before, "refused")
        silent = 0
    except TimeoutError:
        print(before, "silent")
        silent += 1
    client.close()
    if silent == 5:
        break
    time.sleep(0.01)
"""


def scan_record(address: str, severity: int = 2, rule: str = "scan.ports", **context: Any) -> Any:
    alert = {"severity": severity, "metadata": {"rule": [rule], "state": ["raised"]}}
    return {"event_type": "alert", "src_ip": address, "alert": alert | {"context": context}}


SPOILT = [
    {"alert": alert}
    for alert in (
        None,
        {"severity": "high"},
        {"severity": 1, "metadata": ["rule"]},
        {"severity": 1, "metadata": {"rule": []}},
        {"severity": 1, "metadata": {"rule": "scan.ports"}, "context": "process"},
    )
]
"""Records whose parts are not what EVE says."""


def is_blocked(suricata: Inline, address: str) -> bool:
    asked = CommandSocket(suricata.socket)
    try:
        asked.ask("dataset-lookup", setname=BLOCKED, settype="ip", datavalue=address)
    except Refused:
        return False
    finally:
        asked.close()
    return True


@needs_root
@pytest.mark.parametrize("version", real_suricata.VERSIONS)
def test_cuts_a_scan_off(version: str, tmp_path: Path) -> None:
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    with site(routed=False), Inline(version, tmp_path, "af-packet") as suricata:
        options = ["--suricata", suricata.socket, "--context", tmp_path / "context.db"]
        command = [PROCWIRE, "watch", "-o", tmp_path / "seen.json", *options]
        watch = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        assert watch.stderr is not None
        try:
            assert any("watching" in line for line in watch.stderr), "it ended too early"
            scan = subprocess.Popen(
                within(CLIENT, sys.executable, "-c", SCAN, SERVER_ADDRESS),
                stdout=subprocess.PIPE,
                text=True,
            )
            out, _ = scan.communicate(timeout=120)
        finally:
            watch.send_signal(signal.SIGINT)
            _, talk = watch.communicate(timeout=60)
    tried = [line.split() for line in out.splitlines()]
    assert [outcome for _, outcome in tried[-5:]] == ["silent"] * 5
    assert f"{CLIENT_ADDRESS} is blocked" in talk
    seen = [json.loads(line) for line in (tmp_path / "seen.json").read_text().splitlines()]
    raised = min(one["timestamp"] for one in seen if one["event_type"] == "alert")
    last_answer = max(float(at) for at, outcome in tried if outcome == "refused")
    assert last_answer - datetime.fromisoformat(raised).timestamp() < 1
    drops = [one for one in suricata.records("alert") if is_block(one)]
    assert {one["alert"]["action"] for one in drops} == {"blocked"}
    if version == "8":
        assert {one["alert"]["context"]["process"]["pid"] for one in drops} == {scan.pid}


def is_block(record: dict[str, Any]) -> bool:
    return bool(record["alert"]["signature_id"] == BLOCKED_SID)


@needs_root
@pytest.mark.parametrize("version", real_suricata.VERSIONS)
def test_blocks_anew_what_suricata_forgot(version: str, tmp_path: Path) -> None:
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    said: list[str] = []
    with site(routed=False), Inline(version, tmp_path, "af-packet") as suricata:
        settings = BlockSettings(expire_s=100, protected=("10.2.0.0/16",))
        blocker = Blocker(suricata.socket, settings, by_inventory(PROTECTED), said.append)
        addresses = "10.9.9.9", "2001:db8::9", "10.1.0.1", "10.2.0.9", "127.0.0.1"
        process = {"pid": 1, "exe": '/tmp/"' * 300, "cmdline": "\x1b\udcff" * 4000, "cwd": None}
        records = [scan_record(address, process=process) for address in addresses]
        blocker.consider(records, now=0)
        blocker.consider([scan_record("10.3.0.1", severity=3)], now=0)
        blocker.consider([scan_record("10.3.0.2", rule="udp.len_mismatch")], now=0)
        blocker.consider([spoilt | {"src_ip": "10.3.0.1"} for spoilt in SPOILT], now=0)
        blocked = {one: is_blocked(suricata, one) for one in (*addresses, "10.3.0.1", "10.3.0.2")}
        assert [one for one in blocked if blocked[one]] == list(addresses[:2])
        assert any("10.1.0.1 is not blocked" in line and "gateway" in line for line in said)
        CommandSocket(suricata.socket, timeout_s=60).ask("ruleset-reload-rules")
        blocker.keep(now=10)
        assert is_blocked(suricata, "10.9.9.9")
        suricata.stop()
        blocker.keep(now=20)
        suricata.start()
        blocker.keep(now=21)
        assert not is_blocked(suricata, "10.9.9.9")
        blocker.keep(now=30)
        assert is_blocked(suricata, "10.9.9.9")
        blocker.keep(now=101)
        assert not is_blocked(suricata, "10.9.9.9")
        blocker.close()
    counted = {name: n for name, n in blocker.counters().items() if n}
    assert counted == {
        "block.blocked": 2,
        "block.refused": 3,
        "block.expired": 2,
        "block.reconnected": 1,
    }


def test_says_that_nobody_answers(tmp_path: Path) -> None:
    (tmp_path / "no-socket").write_text("")
    for path in (tmp_path / "missing", tmp_path / "no-socket"):
        with pytest.raises(Unavailable, match="unix-command"):
            Blocker(path, BlockSettings(), lambda address: None, print)


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"", Unavailable), (b"no json\n", Refused), (b"[]\n", Refused), (b'{"return":1}\n', Refused)],
)
def test_takes_any_answer(tmp_path: Path, answer: bytes, error: type[Exception]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(error):
            CommandSocket(tmp_path / "socket")
        thread.join()
