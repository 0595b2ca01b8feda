"""Every way in which a process tries others: who did it, how often, by what, in the kernel's count.

A row is a command that tries thirty targets or more, so that its last report holds its totals.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from procwire.errors import Unavailable
from procwire.event import FLAG_UNSEEN_PACKETS, Attempt, EventKind, Origin, Outcome
from procwire.sensor.loader import Sensor, SensorSettings
from procwire.sensor.machine import cgroup2_root
from procwire.sensor.processes import key_of
from sensing import SETTINGS, Sensing, namespace

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]

NAMESPACE = f"pwtest-ways-{os.getpid()}"
STORM = 200_000
AF_PACKET = 17

PREAMBLE = """
import asyncio, os, socket, struct, sys, threading
def host(n): return f"10.99.0.{n + 1}"
def syn(to):
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 0x50, 2, 1024, 0, 0)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 7, 0, 64, 6, 0,
        socket.inet_aton("10.99.0.250"), socket.inet_aton(to)) + tcp
"""
SENDTO = """
with socket.socket(type=socket.SOCK_DGRAM) as udp:
    for n in range(40): udp.sendto(b"x", (host(n), 7002))
"""
SENDMSG_MAPPED = """
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
    for n in range(40): udp.sendmsg([b"x"], [], 0, ("::ffff:" + host(n), 7002))
"""
SENDMMSG = """
import ctypes
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("size", ctypes.c_uint32), ("parts", ctypes.c_void_p),
        ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_size_t), ("sent", ctypes.c_size_t)]
part = (ctypes.c_size_t * 2)(ctypes.addressof(text := ctypes.create_string_buffer(b"x")), 1)
names = [ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H", 7002)
    + socket.inet_aton(host(n)) + bytes(8), 16) for n in range(40)]
messages = (Message * 40)(*(Message(ctypes.addressof(name), 16, ctypes.addressof(part), 1)
    for name in names))
with socket.socket(type=socket.SOCK_DGRAM) as udp:
    assert ctypes.CDLL(None).sendmmsg(udp.fileno(), messages, 40, 0) == 40
"""
FAST_OPEN = """
for n in range(40):
    with socket.socket() as tcp:
        try: tcp.sendto(b"x", socket.MSG_FASTOPEN, (host(n), 7002))
        except ConnectionRefusedError: pass
"""
ASYNCIO = """
async def one(n):
    try: await asyncio.open_connection(host(n % 200), 7002 + n // 200)
    except OSError: pass
async def all(): await asyncio.gather(*map(one, range(1000)))
asyncio.run(all())
"""
THREADS = """
def work(k):
    for n in range(20):
        with socket.socket() as tcp: tcp.connect_ex((host(20 * k + n), 7002))
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
for one in threads: one.start()
for one in threads: one.join()
"""
EXECUTES_ITSELF = """
n = int(sys.argv[1])
with socket.socket() as tcp: tcp.connect_ex((host(n), 7002))
if n < 39: os.execv(sys.executable, [*sys.orig_argv[:-1], str(n + 1)])
"""
RAW_IP = """
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    for n in range(40): raw.sendto(syn(host(n)), (host(n), 0))
"""
PACKET = """
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
    raw.bind(("hole", 0))
    if sys.argv[1:]: raw.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    frame = bytes.fromhex("020000000077 020000000001 0800")
    for n in range(40): raw.send(frame + syn(host(n)))
"""
LOOP = "for i in $(seq 1 40); do (echo > /dev/tcp/10.99.0.$i/7002); done 2> /dev/null; true"
ACCEPTS = """
server = socket.create_server(("10.99.0.1", 7009))
def ask():
    for _ in range(60): socket.create_connection(("10.99.0.1", 7009)).close()
if os.fork() == 0:
    ask()
    os._exit(0)
for _ in range(60): server.accept()[0].close()
"""


def python(script: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", PREAMBLE + script, *arguments)


@dataclass(frozen=True)
class Way:
    """attempts: exactly so many, or at least where `tool` makes its own choice."""

    name: str
    command: tuple[str, ...]
    attempts: int
    kind: Attempt = Attempt.CONNECT
    origin: Origin = Origin.CONNECT
    hosts: int = 40
    by_children: int = 0
    tool: bool = False


TARGETS = "10.99.0.0/26"
WAYS = (
    Way("sendto", python(SENDTO), 40, Attempt.DATAGRAM, Origin.SENDMSG),
    Way("sendmsg, IPv4 mapped", python(SENDMSG_MAPPED), 40, Attempt.DATAGRAM, Origin.SENDMSG),
    Way("sendmmsg", python(SENDMMSG), 40, Attempt.DATAGRAM, Origin.SENDMSG),
    Way("TCP fast open", python(FAST_OPEN), 40),
    Way("a thousand connects of asyncio", python(ASYNCIO), 1000, hosts=200),
    Way("threads", python(THREADS), 160, hosts=160),
    Way("a program that executes itself", python(EXECUTES_ITSELF, "0"), 40),
    Way("a process for each probe", ("bash", "-c", LOOP), 40, by_children=40),
    Way("a raw IP socket", python(RAW_IP), 40, origin=Origin.RAW),
    Way("AF_PACKET", python(PACKET), 40, origin=Origin.RAW),
    Way("nmap -sT", ("nmap", "-sT", "-Pn", "-n", "-p", "7002", TARGETS), 64, hosts=64, tool=True),
    Way(
        "nmap -sS",
        ("nmap", "-sS", "-Pn", "-n", "-p", "1-60", "10.99.0.1"),
        60,
        origin=Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -6 -sS",
        ("nmap", "-6", "-sS", "-Pn", "-n", "-p", "1-60", "::1"),
        60,
        origin=Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -sX",
        ("nmap", "-sX", "-Pn", "-n", "-p", "1-60", "10.99.0.1"),
        60,
        Attempt.XMAS,
        Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -sU",
        ("nmap", "-sU", "-Pn", "-n", "--max-retries", "0", "-p", "1-60", "10.99.0.1"),
        50,
        Attempt.DATAGRAM,
        Origin.RAW,
        hosts=1,
        tool=True,
    ),
    Way(
        "nmap -sn",
        ("nmap", "-sn", "-n", "--max-retries", "0", "10.97.0.0/26"),
        62,
        Attempt.NEIGHBOUR,
        Origin.RAW,
        hosts=62,
        tool=True,
    ),
    Way(
        "hping3",
        ("hping3", "-q", "-S", "-p", "++1", "-c", "60", "-i", "u1000", "10.99.0.1"),
        60,
        origin=Origin.RAW,
        hosts=1,
        tool=True,
    ),
)


@pytest.fixture(scope="module")
def live() -> Iterator[Sensing]:
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed (apt-get install iproute2)")
    with namespace(NAMESPACE):
        try:
            sensor = Sensor(SETTINGS)
        except Unavailable as error:
            pytest.skip(str(error))
        with sensor:
            yield Sensing(sensor, NAMESPACE)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_who_tried_how_often_and_by_what(live: Sensing, way: Way) -> None:
    if shutil.which(way.command[0]) is None:
        pytest.skip(f"{way.command[0]} is not installed (apt-get install {way.command[0]})")
    pid, _ = live.run(*way.command)
    rows = live.wait("fanout", pid, lambda rows: 0 in rows["measure"])
    rows = rows[(rows["attempt"] == way.kind) & (rows["origin"] == way.origin)]
    assert 0 in rows["measure"], f"no totals of {way.kind.name} from {way.origin.name}"
    totals = rows[rows["measure"] == 0][-1]
    if way.tool:
        assert totals["attempts"] >= way.attempts
    else:
        assert totals["attempts"] == way.attempts
    assert totals["by_children"] == way.by_children
    # Sketches of small sets are off by a few.
    assert abs(int(totals["hosts"]) - way.hosts) <= 2 + way.hosts // 10
    assert totals["net_namespace"] == live.namespace_id
    process = live.table.get(key_of(totals["process"]))
    assert process is not None
    assert process.argv[0] == way.command[0]
    assert process.attribution == "kernel"


def test_ping_of_one_host_is_an_echo_and_no_fan_out(live: Sensing) -> None:
    if shutil.which("ping") is None:
        pytest.skip("ping is not installed (apt-get install iputils-ping)")
    pid, _ = live.run("ping", "-c", "3", "-i", "0.2", "10.99.0.1")
    live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    assert len(live.rows("fanout", pid)) == 0


def test_who_accepts_tries_nobody(live: Sensing) -> None:
    pid, _ = live.run(*python(ACCEPTS))
    live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    rows = live.rows("fanout", pid)
    # The child asked one host and port: what it leaves to its parent is its own.
    assert np.all(rows["attempts"] == rows["by_children"])


def test_frames_past_every_hook_name_their_sender_without_destinations(live: Sensing) -> None:
    if "tp_btf/sock_send_length" in live.sensor.left_out:
        pytest.skip("this kernel has no sock_send_length (Linux 6.3)")
    before = live.sensor.counters()["lost_raw_destination"]
    pid, _ = live.run(*python(PACKET, "bypass"))
    rows = live.wait("socket", pid, lambda rows: len(rows) >= 2)
    assert rows["flags"].tolist() == [0, FLAG_UNSEEN_PACKETS]
    assert rows["family"].tolist() == [AF_PACKET] * 2
    assert live.sensor.counters()["lost_raw_destination"] - before == 40
    assert len(live.rows("fanout", pid)) == 0


def test_a_raw_socket_and_a_connect_older_than_the_sensor_are_attributed(live: Sensing) -> None:
    script = """
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
tcp = socket.socket()
tcp.setblocking(False)
tcp.connect_ex(("10.97.0.3", 80))
print("ready", flush=True)
input()
for n in range(40): raw.sendto(syn(host(n)), (host(n), 0))
"""
    command = ["ip", "netns", "exec", NAMESPACE, *python(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as older:
        assert older.stdout is not None
        assert older.stdout.readline() == b"ready\n"
        with Sensor(SETTINGS) as sensor:
            later = Sensing(sensor, NAMESPACE)
            older.communicate(b"\n", timeout=30)
            rows = later.wait("fanout", older.pid, lambda rows: 0 in rows["measure"])
            tried = later.wait("connection", older.pid, lambda rows: len(rows) > 0)
    totals = rows[rows["measure"] == 0][-1]
    assert (totals["attempts"], totals["origin"]) == (40, Origin.RAW)
    assert [Outcome(outcome) for outcome in tried["outcome"]] == [Outcome.ABORTED]
    process = later.table.get(key_of(totals["process"]))
    assert process is not None
    assert process.attribution == "snapshot"


def test_a_cgroup_program_that_forbids_is_told_apart_from_no_route(
    live: Sensing, tmp_path: Path
) -> None:
    """Forbids by a program of an inner cgroup, which runs before the sensor's."""
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed (apt-get install bpftool)")
    source = tmp_path / "forbid.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("cgroup/connect4") int forbid(struct bpf_sock_addr *context) { return 0; }\n'
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    built, pinned = tmp_path / "forbid.o", Path(f"/sys/fs/bpf/{NAMESPACE}")
    includes = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    compiled = ["clang", "-O2", "-g", "-target", "bpf", includes, "-c", str(source), "-o"]
    subprocess.run([*compiled, str(built)], check=True)

    group = Path(cgroup2_root()) / NAMESPACE
    group.mkdir()
    try:
        subprocess.run(["bpftool", "prog", "load", str(built), str(pinned)], check=True)
        attach = ["bpftool", "cgroup", "attach", str(group), "connect4", "pinned", str(pinned)]
        subprocess.run(attach, check=True)
        script = """
input()
with socket.socket() as tcp: print(tcp.connect_ex(("10.99.0.1", 7002)))
"""
        command = ["ip", "netns", "exec", NAMESPACE, *python(script)]
        pipe = subprocess.PIPE
        # Makes room: whatever else runs on the machine is told of as well.
        live.poll()
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as forbidden:
            (group / "cgroup.procs").write_text(str(forbidden.pid))
            said, _ = forbidden.communicate("\n", timeout=30)
        assert said.split() == ["1"]
        found = live.connections(forbidden.pid, 1)
    finally:
        pinned.unlink(missing_ok=True)
        group.rmdir()
    assert found == [("10.99.0.1", 7002, Outcome.DENIED)]


def test_two_hundred_thousand_connects_are_counted_and_cost_a_few_events(live: Sensing) -> None:
    """As fast as the machine goes: counts and losses add up to what was made, and who reads is
    told in tens of events."""
    script = f"""
for n in range({STORM}):
    with socket.socket() as tcp: tcp.connect_ex((host(n % 200), 7002))
"""
    with Sensor(SensorSettings(window_ns=SETTINGS.window_ns, detail_limit=8)) as sensor:
        storm = Sensing(sensor, NAMESPACE)
        before = sensor.counters()
        pid, _ = storm.run(*python(script))
        rows = storm.wait("fanout", pid, lambda rows: 0 in rows["measure"])
        after = sensor.counters()
        told = len(rows) + len(storm.rows("connection", pid))
    made = {name: after[name] - before[name] for name in after}
    totals = rows[rows["measure"] == 0][-1]
    missed = made["lost_process_map_full"] + made["lost_connection_map_full"]
    assert int(totals["attempts"]) + missed == STORM
    assert int(totals["refused"]) + missed == STORM
    assert made["count_attempts"] >= STORM
    assert told < 100
