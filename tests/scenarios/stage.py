"""Where scenarios play: a host that is watched, the network it sees, and records of both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from procwire.errors import Unavailable
from procwire.settings import Settings
from rows import FOLDER
from two_hosts import FAR, FAR_4, FAR_6, NEAR, NEAR_4, WIRE, ip, run, server, two_hosts, within

HERE = Path(__file__).parent
# Behind the far end all addresses of these are there, and nothing answers of those.
THERE = ("10.97.0.0/16", "11.0.0.0/8", "2001:db8:97::/64")
SILENT = ("10.99.0.0/16", "9.0.0.0/8", "2001:db8:99::/64")
# What a control zone beside the watched host has.
PANELS = ("10.98.0.170/24", "2001:db8:98::aa/64")
MIRRORS = ("10.97.80.1", "10.97.80.2", "10.97.80.3")
PACKAGES = 30
PLAY_S, NUDGE_S = 300, 10
# Every connection is told, so that windows can be counted anew at other times.
TOLD_IN_FULL = Settings.model_validate({"fanout": {"detail_limit": 1_000_000}})


@dataclass(frozen=True)
class Played:
    """A scenario that was recorded. folder: the record; rounds: when each began, as its program
    said, ns since the epoch; lost: what the sensor and the capture lost, by name."""

    folder: Path
    rounds: tuple[int, ...]
    lost: dict[str, int]


@contextmanager
def network(folder: Path) -> Iterator[None]:
    """Both ends of the wire, routes, and services at the far end. folder: for keys and packages."""
    write_packages(folder)
    with two_hosts():
        for route in (*THERE, *SILENT):
            ip("-n", NEAR, "route", "add", route, "via", FAR_6 if ":" in route else FAR_4)
        for route in THERE:
            ip("-n", FAR, "route", "add", "local", route, "dev", "lo")
        for panel in PANELS:
            ip("-n", FAR, "address", "add", panel, "dev", WIRE)
        for route in SILENT:
            ip("-n", FAR, "route", "add", "blackhole", route)
        # Questions for routers, and limits of what the kernel tells, are not what is played.
        run(NEAR, "sysctl", "-qw", "net.ipv6.conf.all.accept_ra=0", "net.ipv4.tcp_syn_retries=1")
        run(FAR, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv4.ip_forward=1")
        run(FAR, "sysctl", "-qw", "net.ipv6.icmp.ratelimit=0", "net.ipv6.conf.all.forwarding=1")
        paths = [str(HERE), str(HERE.parent / "live")]
        serve = f"import sys; sys.path[:0] = {paths}; import town; town.serve({str(folder)!r})"
        with server(FAR, serve), ssh_server(folder):
            yield


@contextmanager
def ssh_server(folder: Path) -> Iterator[None]:
    """dropbear at the far end, which lets the key in the folder in."""
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    key, host_key = folder / "key", folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (home / ".ssh" / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    make = ["dropbearkey", "-t", "ed25519", "-f", str(host_key)]
    subprocess.run(make, check=True, capture_output=True)
    # ip netns exec gives it mounts of its own, where its home, with the keys, is ours.
    there = ("sh", "-c", f'mount --bind {home} /root && exec "$@"', "sh")
    serve = ("dropbear", "-F", "-E", "-s", "-p", "22", "-P", "", "-r", str(host_key))
    with subprocess.Popen(within(FAR, *there, *serve), stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        assert "Not backgrounding" in daemon.stderr.readline()
        try:
            yield
        finally:
            daemon.kill()


def write_packages(folder: Path) -> None:
    """A flat repository (sources.list(5)), and the list that names it on each mirror."""
    listed = []
    for number in range(1, PACKAGES + 1):
        content = f"package {number}".encode() * 1000
        (folder / f"pkg{number}.deb").write_bytes(content)
        listed.append(
            f"Package: pkg{number}\nVersion: 1\nArchitecture: all\nFilename: ./pkg{number}.deb\n"
            f"Size: {len(content)}\nSHA256: {sha256(content).hexdigest()}\n"
        )
    (folder / "Packages").write_text("\n".join(listed))
    sources = "".join(f"deb [trusted=yes] http://{mirror} ./\n" for mirror in MIRRORS)
    (folder / "sources.list").write_text(sources)


class Watching:
    """The watched host. settings: of its sensor; folder: with the keys and packages. Raises
    Unavailable where the sensor does not start."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, str(HERE / "recorder.py"), WIRE, settings.model_dump_json()]
        self._process = subprocess.Popen(
            # Unlike ip netns exec, it leaves the mounts alone, among them that of the cgroups.
            ["nsenter", f"--net=/run/netns/{NEAR}", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        said = self._hear()
        if said != "ready":
            self.close()
            raise Unavailable(said)

    def play(self, command: tuple[str, ...], record: Path, blind: bool = False) -> Played:
        """Run a command at the near end to its end, recorded into a folder of its own. blind:
        without packets."""
        self._say(f"{'processes' if blind else 'packets'} {record}")
        assert self._hear() == "watching"
        here = [word.replace(FOLDER, str(self._folder)) for word in command]
        with subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{NEAR}", *here],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as played:
            try:
                said = _said(played, nudged=command[0] == "masscan")
            finally:
                played.kill()
                self._say("")
                lost = json.loads(self._hear())
        assert played.returncode == 0, (command, said)
        rounds = tuple(int(line) for line in said.splitlines() if line.isdigit())
        return Played(record, rounds, lost)

    def close(self) -> None:
        """End the sensor."""
        self._process.communicate(timeout=60)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")


def _said(played: subprocess.Popen[str], nudged: bool) -> str:
    """What it says until it ends. nudged: a packet comes to whoever waits for one more."""
    deadline = time.monotonic() + PLAY_S
    while nudged and time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            return played.communicate(timeout=NUDGE_S)[0]
        # masscan 1.3 ends with the first packet after its last probe, and there may be none.
        run(FAR, "ping", "-c1", NEAR_4)
    return played.communicate(timeout=PLAY_S)[0]


@dataclass
class Stage:
    """folder: with keys and packages; window: the kernel's arithmetic; hosts: the watched one, by
    whether its sensor tells every connection."""

    folder: Path
    window: Any
    cleanup: ExitStack
    hosts: dict[bool, Watching] = field(default_factory=dict)

    def host(self, in_full: bool) -> Watching:
        """The watched host. Its sensor starts when it is asked for; without one the test skips."""
        if in_full not in self.hosts:
            settings = TOLD_IN_FULL if in_full else Settings()
            try:
                self.hosts[in_full] = Watching(settings, self.folder)
            except Unavailable as missing:
                pytest.skip(str(missing))
            self.cleanup.callback(self.hosts[in_full].close)
        return self.hosts[in_full]
