"""The systemd unit, and what a crash leaves behind: nothing may need a clean end to be detached."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from commands_running import PROCWIRE, ROOT, records, started
from nobody import needs_open_folders
from sensing import namespace as network

CONFINED = Path(__file__).with_name("confined.py")
UNIT = ROOT / "packaging" / "procwire.service"
# systemd's own scale: 0 is a service without rights, 10 one with all of root's.
EXPOSURE_LIMIT = 2.6

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs")
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (apt-get install systemd)",
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the path of this checkout's procwire."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/usr/local/bin/procwire", str(PROCWIRE)))
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@needs_systemd
def test_systemd_accepts_every_line_of_the_unit(unit: Path) -> None:
    done = analyze("verify", "--man=no", str(unit))
    # It loads the machine's own units as well, and tells what is amiss there.
    ours = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, ours) == (0, [])


@needs_systemd
def test_the_service_is_confined(unit: Path) -> None:
    threshold = f"--threshold={EXPOSURE_LIMIT * 10:.0f}"
    done = analyze("security", "--offline=true", "--no-pager", threshold, str(unit))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze judges no unit files (systemd 250 does)")
    assert done.returncode == 0, done.stdout


def as_the_unit_says(*command: str) -> list[str]:
    """The command with the capabilities of the unit, as nobody, on files that nobody may write."""
    service = service_of_the_unit()
    names = service["AmbientCapabilities"].split()
    assert names == service["CapabilityBoundingSet"].split()
    only = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names)])
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs"]
    nobody += [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    locked = 'mount -o remount,bind,ro / && exec "$@"'
    return ["unshare", "-m", "sh", "-c", locked, "sh", *nobody, *command]


def service_of_the_unit() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(UNIT)
    return unit["Service"]


def test_no_file_is_wanted_before_its_folder_is_made() -> None:
    """systemd opens standard output before LogsDirectory=: a first start would fail."""
    assert ":" not in service_of_the_unit().get("StandardOutput", "journal")


@needs_root
@needs_open_folders
@pytest.mark.live
def test_the_capabilities_of_the_unit_are_enough_on_files_that_nobody_may_write() -> None:
    watch = started(as_the_unit_says(str(PROCWIRE), "watch"), "watching")
    watch.send_signal(signal.SIGTERM)
    told, _ = watch.communicate(timeout=30)
    assert watch.returncode in (0, 1)
    assert json.loads(told.splitlines()[-1])["metadata"]["flowints"]["kernel.count_attempts"] >= 1


@needs_root
@needs_systemd
@pytest.mark.live
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter is made for x86-64")
def test_packets_are_watched_under_the_system_call_filter_of_the_unit() -> None:
    """As root, whose compiled kernels are there already."""
    name = f"service-{os.getpid()}"
    # Unlike ip netns exec it leaves the cgroups' file system where it is.
    within = ["nsenter", f"--net=/run/netns/{name}"]
    calls = service_of_the_unit()["SystemCallFilter"]
    filtered = [sys.executable, str(CONFINED), calls, str(PROCWIRE), "watch", "-i", "lo"]
    scan = ["nmap", "-sX", "-Pn", "-n", "-p", "1-30", "10.99.0.1"]
    with network(name):
        watch = started([*within, *filtered], "watching")
        status = Path(f"/proc/{watch.pid}/status").read_text()
        subprocess.run([*within, *scan], check=True, stdout=subprocess.DEVNULL)
        told, talk = records(watch)
    assert "Seccomp:\t2" in status
    assert told[-1]["metadata"]["flowints"]["kernel.count_raw_packets"] >= 30, talk
    assert "lo" in {record.get("in_iface") for record in told if record["event_type"] == "alert"}, (
        talk
    )


@needs_root
@needs_open_folders
@pytest.mark.live
def test_packets_are_watched_by_a_user_who_has_compiled_nothing() -> None:
    """From a cache that is empty, with what whoever installed the project compiled."""
    name = f"unit-{os.getpid()}"
    within = ["nsenter", f"--net=/run/netns/{name}"]
    # The one place that stays writable.
    with network(name), tempfile.TemporaryDirectory(dir="/dev/shm") as cache:
        shutil.chown(cache, "nobody", "nogroup")
        kept = ["env", f"NUMBA_CACHE_DIR={cache}"]
        watch = started(
            [*within, *as_the_unit_says(*kept, str(PROCWIRE), "watch", "-i", "lo")], "watching"
        )
        told, talk = records(watch)
    assert watch.returncode in (0, 1), talk
    assert "capture.lo.received" in told[-1]["metadata"]["flowints"]


def held(pid: int) -> dict[str, set[int]]:
    """Ids of the eBPF programs, links and maps that the process has open, by kind."""
    found: dict[str, set[int]] = {"prog": set(), "link": set(), "map": set()}
    for descriptor in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            lines = descriptor.read_text().splitlines()
        except FileNotFoundError:
            # Closed since it was listed.
            continue
        for line in lines:
            name, _, value = line.partition(":")
            if name.endswith("_id") and name.removesuffix("_id") in found:
                found[name.removesuffix("_id")].add(int(value))
    return found


def alive(own: dict[str, set[int]]) -> list[str]:
    """Those of them that the kernel still has."""
    # bpftool 7.5 shows links and fails all the same.
    return [
        f"{kind} {number}"
        for kind, numbers in own.items()
        for number in sorted(numbers)
        if subprocess.run(
            ["bpftool", kind, "show", "id", str(number)], capture_output=True, check=False
        ).stdout
    ]


@needs_root
@pytest.mark.live
@pytest.mark.skipif(
    shutil.which("bpftool") is None, reason="bpftool is not installed (apt-get install bpftool)"
)
def test_a_crash_leaves_nothing_attached() -> None:
    watch = started([str(PROCWIRE), "watch"], "watching")
    try:
        own = held(watch.pid)
        assert all(own.values())
        assert len(alive(own)) == sum(map(len, own.values()))
    finally:
        watch.kill()
        watch.communicate(timeout=30)
    # The kernel frees them once no processor can still run them.
    deadline = time.monotonic() + 60
    while alive(own) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(own) == []
