"""Where the process is that tries others, and what befalls it: what places.py has for every kernel;
firewalls, proxies and a cgroup's programs, which need what not every machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from identity import is_whole, process_of
from places import PLACES
from procwire.event import Outcome
from senders import ASKS_A_PROXY, CONNECTS, python
from sensing import Sensing, cgroup

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]

# Each port's fate.
FIREWALL = """
table inet procwire {
    chain outgoing {
        type filter hook output priority 0
        tcp dport 7101 reject with tcp reset
        tcp dport 7102 reject
        tcp dport 7103 reject with icmpx type admin-prohibited
        tcp dport 7104 drop
    }
}
"""
CONNECTS_TO_PORTS = """
def one(port):
    with socket.socket() as tcp: ended[port] = tcp.connect_ex((host(0), port))
ended = {}
threads = [threading.Thread(target=one, args=(port,)) for port in range(7101, 7105)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*(ended[port] for port in sorted(ended)))
"""


def need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (apt-get install {package})")


@pytest.mark.parametrize("name", PLACES)
def test_it_is_known_there(live: Sensing, name: str) -> None:
    PLACES[name](live)


def test_firewall_rules_are_a_refusal_an_unreachable_host_and_a_timeout(live: Sensing) -> None:
    """As for the program: nothing tells the kernel's socket that it was a rule of its own."""
    need("nft", "nftables")
    command = ["ip", "netns", "exec", live.namespace, "nft", "-f", "-"]
    subprocess.run(command, input=FIREWALL, text=True, check=True)
    pid, said = live.run(*python(CONNECTS_TO_PORTS))
    assert said.split() == ["111", "111", "113", "110"]
    assert sorted(live.connections(pid, 4)) == [
        ("10.99.0.1", 7101, Outcome.REFUSED),
        ("10.99.0.1", 7102, Outcome.REFUSED),
        ("10.99.0.1", 7103, Outcome.UNREACHABLE),
        ("10.99.0.1", 7104, Outcome.TIMED_OUT),
    ]
    is_whole(live, live.rows("connection", pid)[0], python(CONNECTS_TO_PORTS))


def test_a_cgroup_program_that_forbids_is_told_apart_from_no_route(
    live: Sensing, tmp_path: Path
) -> None:
    """Forbids by a program of an inner cgroup, which runs before the sensor's."""
    need("bpftool", "bpftool")
    source = tmp_path / "forbid.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("cgroup/connect4") int forbid(struct bpf_sock_addr *context) { return 0; }\n'
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    built, pinned = tmp_path / "forbid.o", Path(f"/sys/fs/bpf/{live.namespace}")
    includes = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    compiled = ["clang", "-O2", "-g", "-target", "bpf", includes, "-c", str(source), "-o"]
    subprocess.run([*compiled, str(built)], check=True)
    try:
        subprocess.run(["bpftool", "prog", "load", str(built), str(pinned)], check=True)
        with cgroup(live.namespace) as group:
            attach = ["bpftool", "cgroup", "attach", str(group), "connect4", "pinned", str(pinned)]
            subprocess.run(attach, check=True)
            pid, _ = live.run(*python(CONNECTS), cgroup=group)
    finally:
        pinned.unlink(missing_ok=True)
    found = live.connections(pid, 40)
    assert found == [(f"10.99.0.{n}", 7002, Outcome.DENIED) for n in range(1, 41)]
    inside = f"/{live.namespace}"
    is_whole(live, live.rows("connection", pid)[0], python(CONNECTS), cgroup=inside)


def test_behind_a_proxy_the_client_asks_the_proxy_and_the_proxy_the_targets(
    live: Sensing, tmp_path: Path
) -> None:
    """ssh -D: what the client tries shows where the far end of the tunnel is."""
    need("dropbear", "dropbear-bin")
    need("ssh", "openssh-client")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    key = home / ".ssh" / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (home / ".ssh" / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    host_key = tmp_path / "host"
    subprocess.run(
        ["dropbearkey", "-t", "ed25519", "-f", str(host_key)], check=True, capture_output=True
    )
    # Its home, where it looks for keys, is ours in a mount namespace of its own.
    there = ["unshare", "-m", "sh", "-c", f'mount --bind {home} /root && exec "$@"', "sh"]
    serve = ["dropbear", "-F", "-E", "-s", "-p", "127.0.0.1:7022", "-P", "", "-r", str(host_key)]
    ssh = ("ssh", "-F", "none", "-N", "-D", "127.0.0.1:7080", "-p", "7022", "-i", str(key))
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    tunnel = (*ssh, *(f"-o{option}" for option in options), "root@127.0.0.1")
    with live.start(*there, *serve) as server:
        try:
            listens(live, 7022)
            with live.start(*tunnel) as proxy:
                try:
                    listens(live, 7080)
                    client, _ = live.run(*python(ASKS_A_PROXY, "7080"))
                finally:
                    proxy.terminate()
        finally:
            server.terminate()
    assert live.connections(client, 40) == [("127.0.0.1", 7080, Outcome.ESTABLISHED)] * 40
    is_whole(live, live.rows("connection", client)[0], python(ASKS_A_PROXY, "7080"))
    assert live.connections(proxy.pid, 1) == [("127.0.0.1", 7022, Outcome.ESTABLISHED)]
    # The server makes a process for each connection; that one asks the targets.
    fanouts = np.concatenate([batch.fanout for batch in live.seen])
    sweeps = fanouts[(fanouts["comm"] == b"dropbear") & (fanouts["measure"] == 0)]
    assert sweeps[["attempts", "refused"]].tolist() == [(40, 40)]
    process = process_of(live, sweeps[0])
    assert [one.key[1] for one in live.table.ancestry(process.key)][0] == server.pid
    assert process.argv == tuple(serve)


def listens(live: Sensing, port: int) -> None:
    """Waits until something in the namespace accepts connections at the port."""
    script = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
    for _ in range(50):
        command = ["ip", "netns", "exec", live.namespace, "python3", "-S", "-c", script]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens at port {port}")
