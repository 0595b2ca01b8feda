"""What procwire is for, on real input: a scan that is caught with its process, and broken packets.

Makes two network namespaces of its own, joined by a veth pair: in one a user without privileges
scans a /24 of the other with nmap while the sensor watches this host's kernel. Then a capture with
malformed packets is read. Everything made is removed again, also when interrupted.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

SCANNER, TARGET = (f"procwire-{side}-{os.getpid()}" for side in ("scanner", "target"))
NETWORK = "10.99.0.0/24"
PORTS = "1-100"
PROCWIRE = Path(sys.executable).with_name("procwire")
ended_by: list[int] = []
START_SECONDS, SCAN_SECONDS, END_SECONDS = 60, 240, 30
FINDINGS, UNAVAILABLE = 1, 4
# Rules whose first example goes into the capture; one of each layer.
BROKEN = (
    "arp.bad_sender",
    "ipv4.bad_hlen",
    "ipv4.source_route",
    "ipv4.land",
    "ipv6.rh0",
    "icmp6.nd_hlim",
    "tcp.flags_null_xmas",
    "tcp.opt_malformed",
    "udp.len_mismatch",
)


def say(text: str) -> None:
    """A line about what happens, apart from what procwire says."""
    print(f"\n=== {text}", flush=True)


def end(number: int, _: object) -> None:
    """A signal ends the demo."""
    ended_by.append(number)
    sys.exit(128 + number)


def run(*command: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # Python drops what a handler raises while an object is given up, as the command's just was.
    if ended_by:
        sys.exit(128 + ended_by[0])


def ip(*arguments: str) -> None:
    """Run `ip`, which says itself why it fails."""
    try:
        run("ip", *arguments)
    except subprocess.CalledProcessError as error:
        print(
            f"demo: `ip {' '.join(arguments)}` ended with {error.returncode}; the scan needs"
            " network namespaces: run it on a machine, or in a container started with --privileged",
            file=sys.stderr,
        )
        sys.exit(UNAVAILABLE)


@contextmanager
def namespaces() -> Iterator[None]:
    """Scanner 10.98.0.1 and target 10.98.0.2, which answers for every address of NETWORK."""
    made = []
    try:
        for name in (SCANNER, TARGET):
            # Noted first: an interrupt may come between its making and the next line.
            made.append(name)
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        veth = ("type", "veth", "peer", "name", "veth0", "netns", TARGET)
        ip("-n", SCANNER, "link", "add", "veth0", *veth)
        for name, address in ((SCANNER, "10.98.0.1/24"), (TARGET, "10.98.0.2/24")):
            ip("-n", name, "address", "add", address, "dev", "veth0")
            ip("-n", name, "link", "set", "veth0", "up")
        ip("-n", SCANNER, "route", "add", NETWORK, "via", "10.98.0.2")
        ip("-n", TARGET, "route", "add", "local", NETWORK, "dev", "lo")
        yield
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which does not outlive the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def watching(sensor: subprocess.Popen[str]) -> bool:
    """Wait until the sensor says that it watches; False if it ends instead."""
    assert sensor.stderr is not None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if select.select([sensor.stderr], [], [], 1.0)[0]:
            line = sensor.stderr.readline()
            if not line:
                return False
            print(line, end="", file=sys.stderr, flush=True)
            if "watching" in line:
                return True
    sys.exit(f"the sensor did not start within {START_SECONDS} s")


def catch_a_scan() -> bool:
    """Scan under the sensor's eyes. True if the scan was caught with its process, or if this
    kernel refuses the sensor, which then said why."""
    command = [str(PROCWIRE), "watch", "--format", "text"]
    with ExitStack() as stack:
        say("procwire watch --format text")
        sensor = stack.enter_context(
            ended(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
        )
        if not watching(sensor):
            if sensor.wait() == UNAVAILABLE:
                say("no processes on this kernel, for the reason above; packets all the same")
                return True
            sys.exit(f"the sensor ended with {sensor.returncode}")
        stack.enter_context(namespaces())
        scan = ["nmap", "-sT", "-Pn", "-n", "-T5", "-p", PORTS, NETWORK]
        say(f"as nobody, in a namespace of its own: {' '.join(scan)}")
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        subprocess.run(
            ["ip", "netns", "exec", SCANNER, *user, *scan],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=SCAN_SECONDS,
        )
        sensor.send_signal(signal.SIGTERM)
        alerts, talk = sensor.communicate(timeout=END_SECONDS)
        print(alerts, end="")
        print(talk, end="", file=sys.stderr, flush=True)
        return sensor.returncode == FINDINGS and "/nmap" in alerts and "nobody" in alerts


def check_packets(folder: Path) -> bool:
    """Read a capture of malformed packets. True if every one was found."""
    capture = folder / "malformed.pcap"
    say(f"procwire rules capture {capture.name} {' '.join(BROKEN)}")
    run(str(PROCWIRE), "rules", "capture", str(capture), *BROKEN)
    say(f"procwire read --format text {capture.name}")
    read = subprocess.run(
        [str(PROCWIRE), "read", "--format", "text", capture.name],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    print(read.stdout, end="", flush=True)
    print(read.stderr, end="", file=sys.stderr, flush=True)
    return read.returncode == FINDINGS and all(rule in read.stdout for rule in BROKEN)


def main() -> int:
    """0 if everything was found that was put there."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    with tempfile.TemporaryDirectory() as folder:
        caught = catch_a_scan()
        found = check_packets(Path(folder))
    if not caught:
        print("demo: the scan was not reported with its process", file=sys.stderr)
    if not found:
        print("demo: not every malformed packet was reported", file=sys.stderr)
    return 0 if caught and found else 1


if __name__ == "__main__":
    sys.exit(main())
