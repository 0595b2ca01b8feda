"""What it costs a program that connects to be watched: by procwire with either loader, by bpftrace
and by bcc, in one run.

A storm of refused connects in a network namespace of its own, no destination twice. The rounds take
turns, so that a noisy machine is noisy for all. The others only count connects by process and
destination, the least that could be compared. Time in programs is the kernel's own statistic, which
itself adds some 40 ns to each run.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
from procwire.sensor import bcc_loader

NAMESPACE = f"procwire-bench-{os.getpid()}"
STORM = """
import socket, sys, time
count = int(sys.argv[1])
before = time.process_time()
for number in range(count):
    with socket.socket() as client:
        client.connect_ex((f"127.1.{number >> 8 & 255}.{number & 255}", 9))
print((time.process_time() - before) / count)
"""
BPFTRACE = """
tracepoint:sock:inet_sock_set_state /args->newstate == 2/ {
    @[pid, comm, ntop(args->daddr), args->dport] = count();
}
BEGIN { printf("ready\\n"); }
"""
BCC = """
import time
from bcc import BPF
programs = BPF(text='''
struct key { u32 pid; u32 address; u16 port; u16 padding; };
BPF_TABLE("hash", struct key, u64, connects, 65536);
TRACEPOINT_PROBE(sock, inet_sock_set_state) {
    struct key key = {};
    if (args->newstate != 2)
        return 0;
    key.pid = bpf_get_current_pid_tgid() >> 32;
    __builtin_memcpy(&key.address, args->daddr, 4);
    key.port = args->dport;
    connects.increment(key);
    return 0;
}
''')
print("ready", flush=True)
time.sleep(3600)
"""
# bpftrace and bcc need it; not every machine has it mounted.
WITH_TRACEFS = 'mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec "$@"'
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watcher:
    """Who watches: nobody if the command is empty. Figures: seconds per connect, of the connecting
    program and inside the watcher's programs; seconds of CPU until ready; resident megabytes."""

    name: str
    command: list[str]
    sign: str = "ready"
    environment: dict[str, str] = field(default_factory=dict)
    connect: list[float] = field(default_factory=list)
    programs: list[float] = field(default_factory=list)
    start: float = 0.0
    resident: float = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        if not self.command:
            yield
            return
        with subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", WITH_TRACEFS, "sh", *self.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self.environment},
        ) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if self.sign in line:
                    break
            else:
                raise SystemExit(f"{self.name} ended:\n{''.join(said)}")
            self.start = cpu_seconds(process.pid)
            yield
            self.resident = resident_megabytes(process.pid)
            process.terminate()
            process.communicate(timeout=60)


def cpu_seconds(pid: int) -> float:
    """Of the process and the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / CLOCK_TICKS


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def program_times() -> dict[int, int]:
    """Nanoseconds spent in every loaded program, by its id."""
    said = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True).stdout
    return {program["id"]: program.get("run_time_ns", 0) for program in json.loads(said)}


def storm(connects: int) -> float:
    """CPU seconds per connect of the program that connects."""
    command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-I", "-S", "-c", STORM]
    ran = subprocess.run([*command, str(connects)], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def run_round(watcher: Watcher, connects: int, libbpf: ctypes.CDLL) -> None:
    before = program_times()
    with watcher.watching():
        storm(connects // 10)
        watcher.connect.append(storm(connects))
        statistics = libbpf.bpf_enable_stats(0)
        quiet = program_times()
        storm(connects)
        busy = program_times()
        os.close(statistics)
    spent = sum(
        busy[number] - quiet[number] for number in (quiet.keys() & busy.keys()) - before.keys()
    )
    watcher.programs.append(spent / 1e9 / connects)


@contextmanager
def namespace() -> Iterator[None]:
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


def watchers() -> list[Watcher]:
    procwire = str(Path(sys.executable).with_name("procwire"))
    watch = [procwire, "watch", "-o", "/dev/null", "--loader"]
    found = [
        Watcher("nobody", []),
        Watcher("procwire, libbpf", [*watch, "libbpf"], "watching"),
    ]
    if bcc_loader.version():
        found.append(Watcher("procwire, bcc", [*watch, "bcc"], "watching"))
        headers = {"BCC_KERNEL_SOURCE": str(bcc_loader.SOURCES / "bcc" / "headers")}
        command = [str(bcc_loader.PYTHON), "-I", "-c", BCC]
        found.append(Watcher("bcc, counting", command, environment=headers))
    if shutil.which("bpftrace"):
        room = {"BPFTRACE_MAP_KEYS_MAX": "65536"}
        command = ["bpftrace", "-B", "line", "-e", BPFTRACE]
        found.append(Watcher("bpftrace, counting", command, environment=room))
    return found


@click.command()
@click.option("--connects", default=20_000, show_default=True, help="Connects of one storm.")
@click.option("--rounds", default=3, show_default=True)
def main(connects: int, rounds: int) -> None:
    """Compare what watching costs a program that connects, and the watcher itself."""
    if os.geteuid() != 0 or shutil.which("bpftool") is None:
        click.echo("sensor_storm: left out, it needs root and bpftool (apt-get install bpftool)")
        return
    libbpf = ctypes.CDLL("libbpf.so.1")
    contestants = watchers()
    with namespace():
        for number in range(rounds):
            for watcher in contestants:
                click.echo(f"round {number + 1} of {rounds}: {watcher.name}", err=True)
                run_round(watcher, connects, libbpf)
                time.sleep(1)
    alone = median(contestants[0].connect)
    click.echo(f"{connects:,} refused connects, medians of {rounds} rounds\n")
    click.echo("watched by          connect  added  in programs    start  resident")
    for watcher in contestants:
        each = median(watcher.connect)
        click.echo(
            f"{watcher.name:<18} {each * 1e6:5.1f} us {each / alone - 1:6.0%} "
            f"{median(watcher.programs) * 1e6:9.2f} us {watcher.start:6.1f} s "
            f"{watcher.resident:6.0f} MB"
        )


if __name__ == "__main__":
    main()
