"""What a denied program reaches is cut off, by a watch or by who reads its records elsewhere: the
first destination, and each later one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from blocking import Blocking, feeding, is_block, watching
from inline_site import CLIENT, CLIENT_ADDRESS, SERVER, SERVER_ADDRESS, Inline, ip, site, within
from procwire.context.store import Store
from procwire.detect.habits import DENIED, PROGRAM
from procwire.detect.zones import UNKNOWN
from procwire.suricata import ruleset

pytestmark = [
    pytest.mark.suricata,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
]
SECOND_ADDRESS = "10.96.1.3"
Way = Callable[[Inline, Path, Path], AbstractContextManager[Blocking]]

# Accepts whoever comes, until its input ends.
SERVE = """
import socket, sys, threading
server = socket.create_server(("", 80))
threading.Thread(target=lambda: [server.accept() for _ in iter(int, 1)], daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
# Connects again and again until three in a row are silent, and then to the next address.
CONNECT = """
import socket, sys, time
for address in sys.argv[1:]:
    silent = 0
    for _ in range(600):
        try:
            socket.create_connection((address, 80), timeout=1).close()
            silent = 0
            print(address, "open")
        except TimeoutError:
            silent += 1
            print(address, "silent")
        if silent == 3:
            break
        time.sleep(0.1)
"""


@pytest.mark.parametrize(("version", "way"), [("7", feeding), ("8", watching)])
def test_cuts_a_denied_program_off(version: str, way: Way, tmp_path: Path) -> None:
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    program = Path(shutil.copy(Path(sys.executable).resolve(), tmp_path / "denied"))
    context = tmp_path / "context.db"
    with Store(context) as store, store.writing() as connection:
        connection.execute(
            "INSERT INTO habits (kind, role, zone, program, protocol, port, service, peer, state,"
            " count, first, last) VALUES (?, '', ?, ?, 0, 0, '', '', ?, 1, 1, 1)",
            (PROGRAM, UNKNOWN, str(program), DENIED),
        )
    with site(routed=False), Inline(version, tmp_path, "af-packet") as suricata:
        ip(SERVER, "address", "add", f"{SECOND_ADDRESS}/24", "dev", "v0")
        server = subprocess.Popen(
            within(SERVER, sys.executable, "-c", SERVE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        with way(suricata, tmp_path / "seen.json", context) as blocking:
            client = subprocess.run(
                within(CLIENT, str(program), "-c", CONNECT, SERVER_ADDRESS, SECOND_ADDRESS),
                env=os.environ | {"PYTHONHOME": sys.base_prefix},
                capture_output=True,
                text=True,
                timeout=240,
                check=True,
            )
        server.communicate(timeout=60)
    for address in (SERVER_ADDRESS, SECOND_ADDRESS):
        outcomes = [end for at, end in map(str.split, client.stdout.splitlines()) if at == address]
        assert (outcomes[0], outcomes[-3:]) == ("open", ["silent"] * 3), address
        assert f"{address} is blocked" in blocking.said
    drops = [one for one in suricata.records("alert") if is_block(one)]
    # The client's own packets do not pass either.
    assert CLIENT_ADDRESS in {one["src_ip"] for one in drops}
    if version == "8":
        shown = {one["alert"]["context"]["process"]["exe"] for one in drops}
        assert shown == {str(program)[:80]}
