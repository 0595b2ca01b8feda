"""Who may watch a benchmark, and what watching costs: nobody, procwire with either loader, bpftrace
and bcc. The others only count connects by process and destination, the least to compare with.

Time in programs is the kernel's own statistic, of each hook in its cheapest round, since noise only
adds. What the statistic itself adds to each run, 60 to 80 ns, is measured in the same rounds by
programs that do nothing on the same hooks, and deducted.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from procwire.sensor import bcc_compiler

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
EMPTY = "empty programs"
IDLE_S = 5
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Runs(NamedTuple):
    """Of one program, or of several: nanoseconds inside, and how often they ran."""

    ns: int = 0
    times: int = 0

    def __sub__(self, other: Runs) -> Runs:
        return Runs(self.ns - other.ns, self.times - other.times)

    @property
    def each(self) -> float:
        return self.ns / self.times


@dataclass
class Watcher:
    """Who watches: nobody if the command is empty. costs: of the watched program, a figure for each
    round; hooks: runs by program, of its cheapest round; short_lived: the same while processes
    begin and end; bulk: the same of a transfer; start: seconds of CPU until ready; idle:
    share of a core while the machine does nothing but its own; resident: megabytes."""

    name: str
    command: list[str]
    sign: str = "ready"
    environment: dict[str, str] = field(default_factory=dict)
    costs: list[float] = field(default_factory=list)
    hooks: dict[str, Runs] = field(default_factory=dict)
    short_lived: dict[str, Runs] = field(default_factory=dict)
    bulk: dict[str, Runs] = field(default_factory=dict)
    start: float = 0.0
    idle: float = 1.0
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
            try:
                for line in process.stdout:
                    said.append(line)
                    if self.sign in line:
                        break
                else:
                    raise SystemExit(f"{self.name} ended:\n{''.join(said)}")
                self.start = cpu_seconds(process.pid)
                self.idle = min(self.idle, idle_share(process.pid))
                yield
                self.resident = resident_megabytes(process.pid)
            finally:
                process.terminate()
                process.communicate(timeout=60)

    @contextmanager
    def counting(self, before: set[int], hooks: dict[str, Runs]) -> Iterator[None]:
        """Notes in hooks the runs of the programs that are its own, which were not there before."""
        statistics = ctypes.CDLL("libbpf.so.1").bpf_enable_stats(0)
        quiet = program_runs()
        yield
        busy = program_runs()
        os.close(statistics)
        for number in (quiet.keys() & busy.keys()) - before:
            name, runs = busy[number]
            known, more = hooks.get(name), runs - quiet[number][1]
            if more.times and (known is None or more.each < known.each):
                hooks[name] = more


def clean_up_when_ended() -> None:
    """From now on SIGTERM ends as an exit does: what was made for the benchmark is taken away."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def cpu_seconds(pid: int) -> float:
    """Of the process and the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / CLOCK_TICKS


def idle_share(pid: int) -> float:
    """Of a core, by the scheduler's own account in ns: clock ticks are too coarse."""
    before = running_ns(pid)
    time.sleep(IDLE_S)
    return (running_ns(pid) - before) / IDLE_S / 1e9


def running_ns(pid: int) -> int:
    """Of all threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def program_runs() -> dict[int, tuple[str, Runs]]:
    """Every loaded program's name and runs, by its id."""
    said = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True).stdout
    return {
        program["id"]: (
            program.get("name", ""),
            Runs(program.get("run_time_ns", 0), program.get("run_cnt", 0)),
        )
        for program in json.loads(said)
    }


def missing() -> str | None:
    """Why nobody can be watched here; None if it can be."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [program for program in ("bpftool", "clang") if shutil.which(program) is None]
    return f"needs {lacking[0]} (apt-get install {lacking[0]})" if lacking else None


def watchers() -> list[Watcher]:
    procwire = str(Path(sys.executable).with_name("procwire"))
    watch = [procwire, "watch", "-o", "/dev/null", "--loader"]
    found = [
        Watcher("nobody", []),
        Watcher("procwire, libbpf", [*watch, "libbpf"], "watching"),
        Watcher(EMPTY, [sys.executable, str(Path(__file__).with_name("empty_programs.py"))]),
    ]
    if bcc_compiler.version():
        found.append(Watcher("procwire, bcc", [*watch, "bcc"], "watching"))
        headers = {"BCC_KERNEL_SOURCE": str(bcc_compiler.SOURCES / "bcc" / "headers")}
        command = [str(bcc_compiler.PYTHON), "-I", "-c", BCC]
        found.append(Watcher("bcc, counting", command, environment=headers))
    if shutil.which("bpftrace"):
        room = {"BPFTRACE_MAP_KEYS_MAX": "65536"}
        command = ["bpftrace", "-B", "line", "-e", BPFTRACE]
        found.append(Watcher("bpftrace, counting", command, environment=room))
    return found


def statistic_of(watched: list[Watcher]) -> Callable[[str], float]:
    """What its statistic adds to a run, in ns, by the hook's name: what an empty program takes
    there, or of a hook of another name the mean of all."""
    empty = next(watcher.hooks for watcher in watched if watcher.name == EMPTY)
    mean = sum(runs.ns for runs in empty.values()) / sum(runs.times for runs in empty.values())
    each = {name: runs.each for name, runs in empty.items()}
    return lambda name: each.get(name, mean)


def spent(
    hooks: dict[str, Runs], statistic: Callable[[str], float], per: int, each: int = 1
) -> float:
    """Nanoseconds in the programs per unit, without the statistic's own. per: units of a round;
    each: units for which a program has to run once: what runs for fewer runs for the rest of the
    machine."""
    return (
        sum(
            runs.ns - runs.times * statistic(name)
            for name, runs in hooks.items()
            if runs.times >= per / each / 2
        )
        / per
    )


def hooks_table(
    hooks: dict[str, Runs],
    statistic: Callable[[str], float],
    per: int,
    unit: str,
    each: int = 1,
) -> list[str]:
    """What each program took, a line each. per, each: as of spent()."""
    rows = sorted(hooks.items(), key=lambda hook: -hook[1].ns)
    return [
        f"  {name:<16} {runs.times / per:8.3f} runs per {unit}, {runs.each:5.0f} ns each, "
        f"{statistic(name):4.0f} of them the statistic's"
        for name, runs in rows
        if runs.times >= per / each / 2
    ]
