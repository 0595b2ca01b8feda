"""procwire, tcpdump, tshark and Suricata over the same captures in one run, as ratios.

Figures are CPU seconds of the whole process, medians over the rounds; the rounds take turns so that
a noisy machine is noisy for all. Each program reads a capture and its tenfold: what the nine parts
more cost is the packet path without start-up. It is taken within a round: machines change their
speed within minutes, and a start that was slow would count as packets.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
from captures import CACHE, REPOSITORY, TRAFFIC, ethernet_capture

EVENT_RULES = "*-events.rules"
RULE_FOLDERS = ("usr/share/suricata/rules", "etc/suricata/rules")
# The configuration that Debian ships, but for what is written, and with the parsers on whose events
# the rules name.
SURICATA_OUTPUTS = re.compile(r"^outputs:\n(?:[ #].*\n|\n)*", re.MULTILINE)
SURICATA_CHANGES = (
    "stats.enabled=no",
    *(f"app-layer.protocols.{name}.enabled=yes" for name in ("modbus", "dnp3", "enip")),
)
TWO_CORES = "  two cores"
# As shipped it drops segments of a capture of hosts by the million once these are reached.
UNCAPPED = "  all memory"
SURICATA_CAPS = ("flow.memcap", "stream.memcap", "stream.reassembly.memcap")
REFUSED_RULE = "error parsing signature"
PIECE = 1 << 20


class Run(NamedTuple):
    """CPU and elapsed seconds and peak resident megabytes of one run."""

    cpu: float
    elapsed: float
    peak_mb: float


@dataclass
class Contestant:
    """A command whose "{capture}" is filled in; `tenth` reads a tenth of what the others read;
    `missing` says why it cannot run."""

    name: str
    command: list[str]
    rounds: int
    tenth: bool = False
    missing: str = ""
    runs: dict[int, list[Run]] = field(default_factory=dict)

    def run(self, packets: int) -> None:
        """Read a capture of so many packets, which is in memory, and note what it took."""
        capture = ethernet_capture(packets)
        _read(capture)
        command = [part.format(capture=capture) for part in self.command]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        talk = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        # 1 is procwire's "there were findings".
        if process.returncode not in (0, 1) or REFUSED_RULE in talk:
            sys.exit(f"{self.name} ended with {process.returncode}: {talk[-500:]}")
        cpu = usage.ru_utime + usage.ru_stime
        run = Run(cpu, time.monotonic() - began, usage.ru_maxrss / 1024)
        self.runs.setdefault(packets, []).append(run)

    def cpu(self, packets: int) -> float:
        """Median CPU seconds for that many packets."""
        return median(run.cpu for run in self.runs[packets])

    def elapsed(self, packets: int) -> float:
        """Median elapsed seconds for that many packets."""
        return median(run.elapsed for run in self.runs[packets])

    def more(self, size: int) -> float:
        """CPU nanoseconds of each packet that a capture of that size has more than the next
        smaller one."""
        return self._more(size, lambda run: run.cpu)

    def more_elapsed(self, size: int) -> float:
        """The same by the clock."""
        return self._more(size, lambda run: run.elapsed)

    def _more(self, size: int, taken: Callable[[Run], float]) -> float:
        smaller = max(other for other in self.runs if other < size)
        rounds = zip(self.runs[smaller], self.runs[size], strict=True)
        return (
            median(taken(much) - taken(little) for little, much in rounds) * 1e9 / (size - smaller)
        )


def contestants(folder: Path) -> list[Contestant]:
    """procwire first: the others are compared with it."""
    procwire = Path(sys.executable).with_name("procwire")
    read = [str(procwire), "read", "{capture}", "-o", "/dev/null", "--workers"]
    found = [
        Contestant("procwire", [*read, "1"], 3),
        Contestant(TWO_CORES, [*read, "2"], 3),
        Contestant("tcpdump -w", ["tcpdump", "-r", "{capture}", "-w", "/dev/null"], 3),
        *suricata(folder),
        Contestant("tshark -n", ["tshark", "-n", "-r", "{capture}"], 1, tenth=True),
    ]
    for contestant in found:
        if not contestant.missing and shutil.which(contestant.command[0]) is None:
            contestant.missing = f"{contestant.command[0]} is not installed"
    return found


def suricata(folder: Path) -> list[Contestant]:
    """Suricata 7, one thread, its shipped configuration and event rules, outputs off; and the same
    with memory for every segment."""
    program = CACHE / "suricata7" / "suricata"
    if not program.exists():
        missing = f"{program.relative_to(REPOSITORY)} is not there; run `make setup-test`"
        return [Contestant("Suricata 7", [], 1, missing=missing)]
    root = program.parent / "root" if not program.is_symlink() else Path("/")
    rules = [rule for place in RULE_FOLDERS for rule in sorted((root / place).glob(EVENT_RULES))]
    (folder / "all.rules").write_text("\n".join(rule.read_text() for rule in rules))
    shipped = (root / "etc/suricata/suricata.yaml").read_text()
    shipped, cut = SURICATA_OUTPUTS.subn("outputs: []\n", shipped)
    assert cut == 1
    settings = folder / "suricata.yaml"
    settings.write_text(shipped.replace("/etc/suricata/", f"{root / 'etc/suricata'}/"))
    command = [str(program), "--runmode", "single", "-l", str(folder), "-r", "{capture}"]
    command += ["-c", str(settings), "-S", str(folder / "all.rules")]
    command += [part for change in SURICATA_CHANGES for part in ("--set", change)]
    caps = [part for cap in SURICATA_CAPS for part in ("--set", f"{cap}=16gb")]
    return [Contestant("Suricata 7", command, 1), Contestant(UNCAPPED, [*command, *caps], 1)]


@click.command()
@click.option("--packets", default=1_000_000, show_default=True, help="Size of the capture.")
def main(packets: int) -> None:
    """Print what a packet costs in each program, and what procwire takes at three sizes."""
    if not TRAFFIC.is_dir():
        sys.exit(f"no traffic corpus at {TRAFFIC}; the comparison needs real packets")
    kept = set(CACHE.glob("*.pcap"))
    sizes = (packets // 10, packets, 10 * packets)
    # A program's peak is at least that of whoever started it, which therefore makes no capture.
    with ProcessPoolExecutor(1) as elsewhere:
        tenfold = list(elsewhere.map(ethernet_capture, sizes))[-1]
    try:
        with tempfile.TemporaryDirectory() as folder:
            runners = contestants(Path(folder))
            for turn in range(max(runner.rounds for runner in runners)):
                for runner in runners:
                    if runner.missing or turn >= runner.rounds:
                        continue
                    print(f"round {turn + 1}: {runner.name}", file=sys.stderr)
                    runner.run(packets // 10)
                    runner.run(packets)
                    if not runner.tenth:
                        runner.run(10 * packets)
    finally:
        # Some gigabytes.
        if tenfold not in kept:
            tenfold.unlink()
    report(runners)


def _read(capture: Path) -> None:
    """Have a capture in memory. While others ran, the kernel may have taken its pages for what
    nobody wants any more, and whoever comes then waits for the disk, and for memory that is new."""
    with capture.open("rb", buffering=0) as file:
        while file.read(PIECE):
            pass


def report(runners: list[Contestant]) -> None:
    """Print both tables."""
    print("CPU of the whole process over packets of the traffic corpus; Suricata with the shipped")
    print(
        "configuration and its event rules, outputs off, which drops segments at its memory caps;"
    )
    print("and with caps beyond what the captures need. A packet: between a size and its tenfold")
    print(f"{'':<12}{'packets':>12}{'CPU s':>9}{'a packet':>12}{'packets/s':>12}  procwire is")
    first = runners[0]
    for runner in runners:
        if runner.missing:
            print(f"{runner.name:<12}not run: {runner.missing}")
            continue
        size = max(runner.runs)
        net = runner.more(size)
        print(
            f"{runner.name:<12}{size:>12,}{runner.cpu(size):>9.2f}{net:>9.0f} ns{1e9 / net:>12,.0f}"
            f"  {net / first.more(max(first.runs)):.2f} x as fast"
        )
    second = next(runner for runner in runners if runner.name == TWO_CORES)
    print(f"\n{'':<12}{'packets':>12}{'CPU s':>9}{'elapsed s':>12}{'peak MB':>10}  each more")
    for runner in (first, second):
        smallest = min(runner.runs)
        for size, runs in sorted(runner.runs.items()):
            cpu, elapsed = runner.cpu(size), runner.elapsed(size)
            peak = max(run.peak_mb for run in runs)
            line = f"{runner.name:<12}{size:>12,}{cpu:>9.2f}{elapsed:>12.2f}{peak:>10.0f}"
            if size > smallest:
                line += f"{runner.more(size):>8.0f} ns"
            print(line)
    gain = first.more_elapsed(max(first.runs)) / second.more_elapsed(max(second.runs))
    print(f"A second core: {gain:.2f} x as fast by the clock, without start-up")


if __name__ == "__main__":
    main()
