"""A client, a sensor and a server in network namespaces of their own: what the client sends reaches
the server through a Suricata inline, by AF_PACKET or through a queue of netfilter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import real_suricata
from procwire import examples

CLIENT, SENSOR, SERVER = (f"pwtest-{side}-{os.getpid()}" for side in ("client", "sensor", "server"))
CLIENT_ADDRESS, SERVER_ADDRESS = "10.96.1.1", "10.96.1.2"
# Where the sensor routes for a queue, the server's network is another one.
ROUTED_SERVER, CLIENT_GATEWAY, SERVER_GATEWAY = "10.96.2.2", "10.96.1.254", "10.96.2.254"
# Of the examples' frames: where they come from, where they go to, and the sensor's own address.
EXAMPLE_SOURCES, EXAMPLE_SERVERS, GATEWAY_LINK = "192.0.2.0/24", "198.51.100.0/24", "2:0:0:0:0:2"
STARTING_S = SILENCE_S = 60
NO_OFFLOADS = [f"{name} off".split() for name in ("rx", "tx", "sg", "tso", "gso", "gro")]

AF_PACKET = """
af-packet:
  - {{interface: s0, threads: 1, cluster-id: 98, {shared}, copy-iface: s1}}
  - {{interface: s1, threads: 1, cluster-id: 97, {shared}, copy-iface: s0}}
""".format(
    shared="cluster-type: cluster_flow, defrag: no, use-mmap: yes, tpacket-v3: no, "
    "checksum-checks: no, copy-mode: ips"
)
QUEUE = "nfq: {mode: accept, fail-open: yes}\n"
# Several workers would change the order of packets.
IN_ORDER = ["-q", "0", "--runmode", "workers"]
HOW = {"af-packet": (AF_PACKET, ["--af-packet"]), "nfq": (QUEUE, IN_ORDER)}

GOODBYE = b"procwire says goodbye"
# Nobody drops it, whoever is blocked.
LAST = bytes.fromhex("020000000002 0200ffffffff 0800") + examples.ipv4(
    b"", 17, examples.transport("udp", b"\xc0\0\xc0\1", GOODBYE)
)

# Sends the frames of a file, each a line of hexadecimal digits.
SEND = """
import socket, sys, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("c0", 0))
for line in open(sys.argv[1]):
    wire.send(bytes.fromhex(line))
    time.sleep(0.002)
"""
# Writes what arrives, and when, by the kernel's clock, until a frame holds the goodbye.
RECEIVE = """
import socket, struct, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("v0", 0))
wire.settimeout(float(sys.argv[3]))
# SO_TIMESTAMPNS; and SO_RCVBUFFORCE: all that is sent has room, however late this process is.
wire.setsockopt(socket.SOL_SOCKET, 35, 1)
wire.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
print("ready", flush=True)
with open(sys.argv[1], "w") as out:
    try:
        while True:
            frame, ((_, _, stamp),), _, _ = wire.recvmsg(65536, 64)
            seconds, nanoseconds = struct.unpack("qq", stamp)
            print(seconds * 10**9 + nanoseconds, frame.hex(), file=out)
            if sys.argv[2] in frame.hex():
                break
    except TimeoutError:
        pass
"""


class Arrived(NamedTuple):
    """A frame that reached the server at a time, ns since the epoch."""

    time: int
    frame: bytes


def within(namespace: str, *command: str) -> list[str]:
    """The command that runs `command` in a namespace."""
    return ["ip", "netns", "exec", namespace, *command]


def run(*command: str) -> None:
    """Run a command; it has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


def ip(namespace: str, *arguments: str) -> None:
    run("ip", "-n", namespace, *arguments)


@contextmanager
def site(routed: bool) -> Iterator[None]:
    """The three namespaces. routed: the sensor forwards between two networks; else it is a wire."""
    with ExitStack() as stack:
        for namespace in (CLIENT, SENSOR, SERVER):
            run("ip", "netns", "add", namespace)
            stack.callback(run, "ip", "netns", "del", namespace)
            within_settings = within(namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            run(*within_settings)
        for name, namespace, peer in (("c0", CLIENT, "s0"), ("v0", SERVER, "s1")):
            wire = f"{name} netns {namespace} type veth peer {peer} netns {SENSOR}"
            run("ip", "link", "add", *wire.split())
            for end, where in ((name, namespace), (peer, SENSOR)):
                for setting in NO_OFFLOADS:
                    run(*within(where, "ethtool", "-K", end, *setting))
                ip(where, "link", "set", end, "up")
        ip(CLIENT, "address", "add", f"{CLIENT_ADDRESS}/24", "dev", "c0")
        server = ROUTED_SERVER if routed else SERVER_ADDRESS
        ip(SERVER, "address", "add", f"{server}/24", "dev", "v0")
        ip(SERVER, "link", "set", "lo", "up")
        if routed:
            ip(SENSOR, "address", "add", f"{CLIENT_GATEWAY}/24", "dev", "s0")
            ip(SENSOR, "address", "add", f"{SERVER_GATEWAY}/24", "dev", "s1")
            ip(CLIENT, "route", "add", "default", "via", CLIENT_GATEWAY)
            ip(SERVER, "route", "add", "default", "via", SERVER_GATEWAY)
            ip(SENSOR, "link", "set", "s0", "address", GATEWAY_LINK)
            ip(SENSOR, "route", "add", EXAMPLE_SOURCES, "via", CLIENT_ADDRESS)
            ip(SENSOR, "route", "add", EXAMPLE_SERVERS, "via", ROUTED_SERVER)
            run(*within(SENSOR, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
            queue = ["-I", "FORWARD", "-j", "NFQUEUE", "--queue-num", "0", "--queue-bypass"]
            run(*within(SENSOR, "iptables", *queue))
        yield


class Inline:
    """A Suricata that runs inline. directory: its rules, settings and logs."""

    def __init__(self, version: str, directory: Path, how: str) -> None:
        self.directory = directory
        self.socket = directory / "command.socket"
        extra, self._mode = HOW[how]
        text = real_suricata.SETTINGS.format(directory=directory) + extra
        text = text.replace("[alert, stats]", "[alert, drop, stats]")
        enabled = f"unix-command: {{enabled: yes, filename: {self.socket}}}"
        text = text.replace("unix-command: {enabled: no}", enabled) + "exception-policy: ignore\n"
        text = text.replace("interval: 1000", "interval: 1")
        names = f"default-rule-path: {directory}\nrule-files: [procwire.rules]"
        text = text.replace(f"default-rule-path: {directory}", names)
        (directory / "suricata.yaml").write_text(text)
        self._program = real_suricata.program(version)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Inline:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until packets pass."""
        self.socket.unlink(missing_ok=True)
        command = [str(self._program), "-c", str(self.directory / "suricata.yaml")]
        command += ["-l", str(self.directory), "-k", "none", *self._mode]
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(within(SENSOR, *command), stdout=log, stderr=log)
        deadline = time.monotonic() + STARTING_S
        while not self._answers():
            ended = self._process.poll() is not None or time.monotonic() > deadline
            assert not ended, (self.directory / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it; its logs are complete then."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=60)

    @property
    def pid(self) -> int:
        """That of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def records(self, kind: str) -> list[dict[str, Any]]:
        """What it has logged of one type of event."""
        lines = (self.directory / "eve.json").read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["event_type"] == kind]

    def _answers(self) -> bool:
        """Whether it forwards: it does some time after it takes commands."""
        if not self.socket.exists():
            return False
        target = SERVER_ADDRESS if self._mode == HOW["af-packet"][1] else ROUTED_SERVER
        ping = within(CLIENT, "ping", "-c1", "-W1", target)
        return subprocess.run(ping, capture_output=True, check=False).returncode == 0


@contextmanager
def arriving(directory: Path) -> Iterator[list[Arrived]]:
    """What reaches the server meanwhile; filled in at the end."""
    received, arrived = directory / "received", list[Arrived]()
    command = [sys.executable, "-c", RECEIVE, str(received), GOODBYE.hex(), str(SILENCE_S)]
    receiver = subprocess.Popen(within(SERVER, *command), stdout=subprocess.PIPE)
    assert receiver.stdout is not None and receiver.stdout.readline() == b"ready\n"
    yield arrived
    send([LAST], directory)
    receiver.communicate(timeout=2 * SILENCE_S)
    lines = map(str.split, received.read_text().splitlines())
    arrived += [Arrived(int(time), bytes.fromhex(frame)) for time, frame in lines]


def send(frames: Iterable[bytes], directory: Path) -> None:
    """Have the client send frames."""
    sent = directory / "sent"
    sent.write_text("".join(f"{frame.hex()}\n" for frame in frames))
    run(*within(CLIENT, sys.executable, "-c", SEND, str(sent)))
