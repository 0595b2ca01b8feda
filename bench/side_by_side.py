"""procwire, tcpdump, tshark and Suricata over the same capture in one run, as ratios.

Figures are CPU seconds of the whole process, medians over the rounds; the rounds take turns so that
a noisy machine is noisy for all. What a program needs before its first packet is measured on a
capture of one packet, right before, and taken off: packets per second are those of the packet path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
from captures import CACHE, REPOSITORY, TRAFFIC, ethernet_capture

EVENT_RULES = "*-events.rules"
RULE_FOLDERS = ("usr/share/suricata/rules", "etc/suricata/rules")
# What Suricata needs to run at all, with every output off.
SURICATA_SETTINGS = """%YAML 1.1
---
vars:
  address-groups: {HOME_NET: any, EXTERNAL_NET: any, DNP3_SERVER: any, DNP3_CLIENT: any,
                   MODBUS_SERVER: any, MODBUS_CLIENT: any, ENIP_SERVER: any, ENIP_CLIENT: any}
  port-groups: {DNP3_PORTS: any, MODBUS_PORTS: any}
classification-file: /dev/null
reference-config-file: /dev/null
stats: {enabled: no}
outputs: []
logging: {outputs: [{console: {enabled: yes}}]}
"""


@dataclass
class Contestant:
    """A command whose "{capture}" is filled in; `missing` says why it cannot run."""

    name: str
    command: list[str]
    rounds: int
    missing: str = ""
    cpu: list[float] = field(default_factory=list)
    start_up: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    def run(self, capture: Path) -> tuple[float, float]:
        """CPU seconds and peak resident megabytes of one run over `capture`."""
        command = [part.format(capture=capture) for part in self.command]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        talk = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        # 1 is procwire's "there were findings".
        if process.returncode not in (0, 1):
            sys.exit(f"{self.name} ended with {process.returncode}: {talk.decode()[-500:]}")
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def contestants(folder: Path) -> list[Contestant]:
    """procwire first: the others are compared with it."""
    procwire = Path(sys.executable).with_name("procwire")
    found = [
        Contestant("procwire", [str(procwire), "read", "{capture}", "-o", "/dev/null"], 3),
        Contestant("tcpdump -w", ["tcpdump", "-r", "{capture}", "-w", "/dev/null"], 3),
        Contestant("tshark -n", ["tshark", "-n", "-r", "{capture}"], 1),
        suricata(folder),
    ]
    for contestant in found:
        if not contestant.missing and shutil.which(contestant.command[0]) is None:
            contestant.missing = f"{contestant.command[0]} is not installed"
    return found


def suricata(folder: Path) -> Contestant:
    """Suricata 7, one thread, its own decoder and stream event rules, outputs off."""
    program = CACHE / "suricata7" / "suricata"
    found = Contestant("Suricata 7", [str(program)], 2)
    if not program.exists():
        found.missing = f"{program.relative_to(REPOSITORY)} is not there; run `make setup-test`"
        return found
    root = program.parent / "root" if not program.is_symlink() else Path("/")
    rules = [rule for place in RULE_FOLDERS for rule in sorted((root / place).glob(EVENT_RULES))]
    (folder / "all.rules").write_text("\n".join(rule.read_text() for rule in rules))
    (folder / "suricata.yaml").write_text(SURICATA_SETTINGS)
    settings = ["-c", str(folder / "suricata.yaml"), "-S", str(folder / "all.rules")]
    found.command += [*settings, "-l", str(folder), "--runmode", "single", "-r", "{capture}"]
    return found


@click.command()
@click.option("--packets", default=1_000_000, show_default=True, help="Size of the capture.")
def main(packets: int) -> None:
    """Print packets per CPU second of each program and its ratio to procwire."""
    if not TRAFFIC.is_dir():
        sys.exit(f"no traffic corpus at {TRAFFIC}; the comparison needs real packets")
    capture, single = ethernet_capture(packets), ethernet_capture(1)
    with tempfile.TemporaryDirectory() as folder:
        runners = contestants(Path(folder))
        for turn in range(max(runner.rounds for runner in runners)):
            for runner in runners:
                if runner.missing or turn >= runner.rounds:
                    continue
                print(f"round {turn + 1}: {runner.name}", file=sys.stderr)
                runner.start_up.append(runner.run(single)[0])
                seconds, peak = runner.run(capture)
                runner.cpu.append(seconds)
                runner.peak_mb = max(runner.peak_mb, peak)
    report(runners, packets, capture)


def report(runners: list[Contestant], packets: int, capture: Path) -> None:
    """Print the table."""
    size = capture.stat().st_size / 1e6
    print(f"{packets:,} packets, {size:,.0f} MB of the traffic corpus; CPU seconds, whole process")
    print(f"{'':<12}{'CPU s':>8}{'start-up s':>12}{'packets/s':>12}{'peak MB':>9}  procwire is")
    rates = {}
    for runner in runners:
        if runner.missing:
            print(f"{runner.name:<12}not run: {runner.missing}")
            continue
        whole, start_up = median(runner.cpu), median(runner.start_up)
        pairs = zip(runner.cpu, runner.start_up, strict=True)
        rates[runner.name] = packets / median(cpu - before for cpu, before in pairs)
        ratio = rates["procwire"] / rates[runner.name]
        print(
            f"{runner.name:<12}{whole:>8.2f}{start_up:>12.2f}"
            f"{rates[runner.name]:>12,.0f}{runner.peak_mb:>9.0f}  {ratio:.2f} x as fast"
        )


if __name__ == "__main__":
    main()
