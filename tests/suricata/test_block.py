"""A scan through an inline Suricata is cut off once procwire has seen it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import real_suricata
from blocking import is_block, watching
from inline_site import (
    CLIENT,
    CLIENT_ADDRESS,
    SERVER_ADDRESS,
    Arrived,
    Inline,
    arriving,
    site,
    within,
)
from procwire.context.inventory import Asset, Inventory, replace_all
from procwire.context.store import MEMORY, Store
from procwire.settings.processes import BlockSettings
from procwire.suricata import commands, ruleset
from procwire.suricata.block import Blocker
from procwire.suricata.commands import BLOCKED, CommandSocket, Refused
from procwire.suricata.protected import Protected

pytestmark = pytest.mark.suricata
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PATIENCE_S = 60
PROCWIRE = Path(sys.executable).with_name("procwire")
PROTECTED = Inventory((), (Asset("gateway", "10.1.0.1", "router", "critical"),))

# Connects to one port after the other, where nobody listens; ends after five silent ones.
SCAN = """
import socket, sys, time
silent = 0
for port in range(1000, 7000):
    client = socket.socket()
    client.settimeout(1)
    try:
        client.connect((sys.argv[1], port))
    except ConnectionRefusedError:
        print(port, "refused")
        silent = 0
    except TimeoutError:
        print(port, "silent")
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
    asked = CommandSocket(suricata.socket, PATIENCE_S)
    try:
        asked.ask("dataset-lookup", setname=BLOCKED, settype="ip", datavalue=address)
    except Refused:
        return False
    finally:
        asked.close()
    return True


def waited_s(pid: int) -> float:
    """How long the threads of a process were ready to run and had no processor, seconds."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[1]) for one in threads) / 1e9


@needs_root
@pytest.mark.parametrize("version", real_suricata.VERSIONS)
def test_cuts_a_scan_off(
    version: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Within a second of the connect that made it a scan no more of it passes, by the kernel's time
    at the far side. What the machine keeps procwire and Suricata waiting for a processor is not
    theirs."""
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    with (
        site(routed=False),
        Inline(version, tmp_path, "af-packet") as suricata,
        watching(suricata, tmp_path / "seen.json", tmp_path / "context.db") as watch,
        arriving(tmp_path) as arrived,
    ):
        waited = waited_s(watch.pid) + waited_s(suricata.pid)
        scan = subprocess.Popen(
            within(CLIENT, sys.executable, "-c", SCAN, SERVER_ADDRESS),
            stdout=subprocess.PIPE,
            text=True,
        )
        out, _ = scan.communicate(timeout=300)
        waited = waited_s(watch.pid) + waited_s(suricata.pid) - waited
    tried = [int(line.split()[0]) for line in out.splitlines()]
    assert [line.split()[1] for line in out.splitlines()[-5:]] == ["silent"] * 5
    assert f"{CLIENT_ADDRESS} is blocked" in watch.said
    passed = {struct.unpack(">H", one.frame[36:38])[0]: one.time for one in arrived if is_scan(one)}
    assert list(passed) == tried[: len(passed)], "what follows the first that is dropped is, too"
    seen = [json.loads(line) for line in (tmp_path / "seen.json").read_text().splitlines()]
    scans = [one for one in seen if one.get("src_ip") == CLIENT_ADDRESS and "alert" in one]
    raised = min(datetime.fromisoformat(one["timestamp"]) for one in scans)
    delay = max(passed.values()) / 1e9 - raised.timestamp()
    record_property("seconds from the alert to the last that passed", round(delay, 3))
    record_property("of them without a processor, at most", round(waited, 3))
    assert delay < 1 + waited
    drops = [one for one in suricata.records("alert") if is_block(one)]
    assert {one["alert"]["action"] for one in drops} == {"blocked"}
    if version == "8":
        assert {one["alert"]["context"]["process"]["pid"] for one in drops} == {scan.pid}


def is_scan(one: Arrived) -> bool:
    """Whether it is a SYN of the client's."""
    client, is_tcp = ip_address(CLIENT_ADDRESS).packed, one.frame[12:14] + one.frame[23:24]
    return is_tcp == b"\x08\0\6" and one.frame[26:30] == client and one.frame[47] & 0x12 == 2


@needs_root
@pytest.mark.parametrize("version", real_suricata.VERSIONS)
def test_blocks_anew_what_suricata_forgot(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "ANSWER_S", PATIENCE_S)
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    said: list[str] = []
    with site(routed=False), Inline(version, tmp_path, "af-packet") as suricata:
        settings = BlockSettings(expire_s=100, protected=("10.2.0.0/16",))
        store = Store(MEMORY)
        replace_all(store, PROTECTED)
        protected = Protected(settings.protected, store)
        blocker = Blocker(suricata.socket, settings, protected, said.append)
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
        CommandSocket(suricata.socket, PATIENCE_S).ask("ruleset-reload-rules")
        blocker.keep(now=10)
        assert is_blocked(suricata, "10.9.9.9")
        suricata.stop()
        blocker.keep(now=20)
        suricata.start()
        blocker.keep(now=21)
        assert not is_blocked(suricata, "10.9.9.9")
        for now in range(30, 90):
            blocker.keep(now)
            if is_blocked(suricata, "10.9.9.9"):
                break
            time.sleep(0.1)
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
