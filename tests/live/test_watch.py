"""procwire watch and the demo on this host's kernel, with a real nmap in a namespace of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands_running import PROCWIRE, ROOT, completed, ended, records, started
from procwire.privilege import CAP_BPF, CAP_SYS_PTRACE

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
    pytest.mark.skipif(shutil.which("nmap") is None, reason="nmap is not installed"),
]
NAMESPACE = f"pwtest-watch-{os.getpid()}"
FINDINGS = 1
# More than ended processes are known of, with more targets than are.
SHORT_LIVED = """
import os, socket
for number in range(5000):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    for port in range(4):
        with socket.socket() as client:
            client.connect_ex((f"10.97.0.{number % 250 + 1}", number % 10_000 + port * 10_000 + 1))
    os._exit(0)
"""


@pytest.fixture
def namespace() -> Iterator[list[str]]:
    """Command prefix that runs in a namespace where every address of 10.97.0.0/24 is local."""
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        for command in (
            ["link", "set", "lo", "up"],
            ["route", "add", "local", "10.97.0.0/24", "dev", "lo"],
        ):
            subprocess.run(["ip", "-n", NAMESPACE, *command], check=True)
        yield ["ip", "netns", "exec", NAMESPACE]
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


def test_a_connect_scan_is_one_episode_with_its_process(namespace: list[str]) -> None:
    scan = ["nmap", "-sT", "-Pn", "-n", "-T5", "-p", "1-20", "10.97.0.0/26"]
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    watch = started([str(PROCWIRE), "watch"], "watching")
    scanner = completed([*namespace, *user, *scan])
    told, talk = records(watch)
    assert watch.returncode == 1
    scans = [
        record
        for record in told
        if record["event_type"] == "alert"
        and record["alert"]["context"].get("process", {}).get("pid") == scanner
    ]
    assert len({record["alert"]["metadata"]["episode"][0] for record in scans}) == 1
    assert len(scans) <= 5
    process = scans[0]["alert"]["context"]["process"]
    assert process["exe"] == shutil.which("nmap")
    assert process["cmdline"] == " ".join(scan)
    assert (process["user"], process["attribution"]) == ("nobody", "kernel")
    parents = [parent["pid"] for parent in process["parent"]]
    assert parents[0] == os.getpid()
    assert scans[0]["alert"]["context"]["targets"][0]["ip"].startswith("10.97.0.")
    last = scans[-1]["alert"]["context"]
    assert last["evidence"]["attempts"] == 64 * 20
    assert "connections attempted" in talk


def test_what_a_run_left_out_is_told_by_its_results(namespace: list[str], tmp_path: Path) -> None:
    results = tmp_path / "eve.json"
    watch = started([str(PROCWIRE), "watch", "-o", str(results)], "watching")
    scan = ["nmap", "-sT", "-Pn", "-n", "-T5", "-p", "1-5", "10.97.0.0/26"]
    subprocess.run([*namespace, *scan], check=True, stdout=subprocess.DEVNULL)
    records(watch)
    said = ended([str(PROCWIRE), "coverage", str(results)])
    told = json.loads(ended([str(PROCWIRE), "coverage", "--json", str(results)]).stdout)
    assert said.returncode == 0
    assert "AF_XDP" in said.stdout
    assert told["loader"] == "libbpf"
    analytics = {one["id"]: one for one in told["analytics"]}
    assert (analytics["AN1962"]["state"], analytics["AN1058"]["state"]) == ("blind", "in part")
    assert analytics["AN1058"]["latency"]["samples"] > 0
    assert "kernel.skipped_connection_detail" in [
        gap["what"] for gap in analytics["AN1949"]["blind"]
    ]
    left_out = {loss["name"]: loss["count"] for loss in told["left_out"]}
    assert left_out["kernel.skipped_connection_detail"] >= 5 * 64 - 16


def test_packets_of_an_interface(namespace: list[str]) -> None:
    twice = ["-i", "lo", "-i", "lo"]
    watch = started([*namespace, str(PROCWIRE), "watch", *twice], "watching")
    scan = ["nmap", "-sX", "-Pn", "-n", "-p", "1-30", "10.97.0.1"]
    subprocess.run([*namespace, *scan], check=True, stdout=subprocess.DEVNULL)
    told, _ = records(watch)
    probes = [
        record
        for record in told
        if record["event_type"] == "alert"
        and record["alert"]["metadata"]["rule"] == ["tcp.flags_null_xmas"]
    ]
    (episode,) = {record["alert"]["metadata"]["episode"][0] for record in probes}
    assert {record["in_iface"] for record in probes} == {"lo"}
    totals = [one for one in told if "findings" in one.get("alert", {}).get("context", {})]
    (end,) = (one["alert"] for one in totals if one["alert"]["metadata"]["episode"] == [episode])
    assert end["metadata"]["rule"] == ["scan.xmas"]
    assert end["context"]["findings"]["tcp.flags_null_xmas"] == 30


def test_a_scan_for_protocols_is_one_episode_with_its_process(namespace: list[str]) -> None:
    inside = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]
    watch = started([*inside, str(PROCWIRE), "watch", "-i", "lo"], "watching")
    # nmap 7.95 aborts at number 255.
    scan = ["nmap", "-sO", "-p", "0-254", "-Pn", "-n", "-T5", "10.97.0.1"]
    scanner = completed([*namespace, *scan])
    told, talk = records(watch)
    alerts = [one["alert"] for one in told if "alert" in one and one.get("in_iface") == "lo"]
    assert len({alert["metadata"]["episode"][0] for alert in alerts}) == 1, talk
    scans = [one for one in alerts if one["metadata"]["rule"] == ["scan.ip_protocols"]]
    assert scans[-1]["metadata"]["state"] == ["closed"]
    assert scans[-1]["context"]["evidence"]["host_protocols"] > 200
    processes = [alert["context"]["process"] for alert in scans]
    assert {(one["pid"], one["attribution"]) for one in processes} == {(scanner, "kernel")}


@pytest.mark.skipif(shutil.which("hping3") is None, reason="hping3 is not installed")
def test_a_flood_from_forged_sources_is_one_episode_with_its_process(namespace: list[str]) -> None:
    inside = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]
    watch = started([*inside, str(PROCWIRE), "watch", "-i", "lo"], "watching")
    flood = ["hping3", "--rand-source", "-S", "-p", "80", "-i", "u1000", "-c", "1000", "-q"]
    with subprocess.Popen([*namespace, *flood, "10.97.0.1"], stderr=subprocess.DEVNULL) as flooder:
        flooder.wait()
    told, talk = records(watch)
    alerts = [one["alert"] for one in told if "alert" in one and one.get("in_iface") == "lo"]
    forged = [one for one in alerts if one["metadata"]["rule"] == ["ipv4.martian_src"]]
    assert len({one["metadata"]["episode"][0] for one in forged}) == 1, talk
    assert forged[-1]["context"]["evidence"]["forged_sources"] >= 50
    assert {one["context"]["process"]["pid"] for one in forged} == {flooder.pid}


def test_two_scanners_with_one_address_are_both_named_by_packets(namespace: list[str]) -> None:
    inside = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]
    watch = started([*inside, str(PROCWIRE), "watch", "-i", "lo"], "watching")
    scan = ["nmap", "-sT", "-Pn", "-n", "-T5", "-p", "1-80", "10.97.0.1"]
    scanners = [completed([*namespace, *scan]) for _ in range(2)]
    told, talk = records(watch)
    alerts = [one["alert"] for one in told if "alert" in one and one.get("in_iface") == "lo"]
    assert len({alert["metadata"]["episode"][0] for alert in alerts}) == 1, talk
    named = [alert["context"]["process"]["pid"] for alert in alerts]
    assert set(named) == set(scanners)
    shares = {one["process"]["pid"]: one["attempts"] for one in alerts[-1]["context"]["shares"]}
    assert set(shares) == set(scanners)
    assert shares[scanners[1]] >= 60


def test_kernel_and_wire_name_the_same_process_and_a_replay_says_so_again(
    namespace: list[str], tmp_path: Path
) -> None:
    # ip netns exec would hide the hierarchy of cgroups, where the sensor is attached.
    inside = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]
    record, context = tmp_path / "record", ["--context", str(tmp_path / "context")]
    options = [*context, "-i", "lo", "--record", str(record), "tcp"]
    watch = started([*inside, str(PROCWIRE), "watch", *options], "watching")
    scan = ["nmap", "-sX", "-Pn", "-n", "-p", "1-30", "10.97.0.1"]
    subprocess.run([*namespace, *scan], check=True, stdout=subprocess.DEVNULL)
    watch.send_signal(signal.SIGTERM)
    out, talk = watch.communicate(timeout=60)
    again = ended([str(PROCWIRE), "read", str(record)]).stdout
    assert out.splitlines()[:-1] == again.splitlines()[:-1]
    told = [json.loads(line) for line in out.splitlines()]
    assert told[-1]["metadata"]["flowints"]["latency.samples"] > 0
    alerts = [one["alert"] | {"on": one.get("in_iface")} for one in told if "alert" in one]
    # The kernel tells of the whole machine, where other programs run.
    ours = [one for one in alerts if one["context"]["process"]["cmdline"] == " ".join(scan)]
    assert all(one in ours for one in alerts if one["on"] == "lo"), talk
    assert {one["context"]["process"]["attribution"] for one in ours} == {"kernel"}
    scans = [one for one in ours if one["metadata"]["rule"] == ["scan.xmas"]]
    assert {one["on"] for one in scans} == {None, "lo"}
    last = {one["on"]: one["metadata"] for one in scans}
    assert last[None]["related"] == last["lo"]["episode"]
    assert last["lo"]["related"] == last[None]["episode"]
    assert any(one["metadata"]["rule"] == ["tcp.flags_null_xmas"] for one in alerts)


def test_capabilities_are_dropped_once_it_watches() -> None:
    watch = started([str(PROCWIRE), "watch", "-i", "lo"], "watching")
    status = Path(f"/proc/{watch.pid}/status").read_text()
    told, talk = records(watch)
    held = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    wanted = 1 << CAP_SYS_PTRACE | 1 << CAP_BPF
    assert int(held["CapEff"], 16) == int(held["CapPrm"], 16) == wanted
    assert held["NoNewPrivs"] == "1"
    assert told[-1]["metadata"]["flowints"]["kernel.count_attempts"] >= 1, talk


def test_without_packets_it_needs_neither_numba_nor_much_memory(namespace: list[str]) -> None:
    watch = started([str(PROCWIRE), "watch", "-o", "/dev/null"], "watching")
    mapped = Path(f"/proc/{watch.pid}/maps").read_text()
    subprocess.run([*namespace, sys.executable, "-I", "-S", "-c", SHORT_LIVED], check=True)
    status = Path(f"/proc/{watch.pid}/status").read_text()
    _, talk = records(watch)
    fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert "llvmlite" not in mapped
    # The most that it ever was.
    assert int(fields["VmHWM"].split()[0]) < 60_000, talk


def test_a_full_disk_costs_results_and_not_the_watch(namespace: list[str]) -> None:
    scan = ["nmap", "-sT", "-Pn", "-n", "-T5", "-p", "1-20", "10.97.0.0/26"]
    watch = started([str(PROCWIRE), "watch", "-o", "/dev/full"], "watching")
    subprocess.run([*namespace, *scan], check=True, stdout=subprocess.DEVNULL)
    _, talk = records(watch)
    assert watch.returncode == FINDINGS
    assert talk.count("/dev/full: No space left on device; alerts are lost") == 1
    assert re.search(r"^  lost +(.*, )?output\.lost [1-9]", talk, re.MULTILINE), talk


def test_a_half_open_scan_and_a_loop_of_processes_name_who_did_it(namespace: list[str]) -> None:
    scan = ["nmap", "-sS", "-Pn", "-n", "-p", "1-60", "10.97.0.1"]
    loop = "for i in $(seq 1 30); do (echo > /dev/tcp/10.97.0.$i/81); done 2> /dev/null; true"
    watch = started([str(PROCWIRE), "watch"], "watching")
    scanner = completed([*namespace, *scan])
    shell = completed([*namespace, "bash", "-c", loop])
    ping = completed([*namespace, "ping", "-c", "2", "-i", "0.2", "10.97.0.1"])
    told, _ = records(watch)
    contexts = [record["alert"]["context"] for record in told if record["event_type"] == "alert"]
    by_pid = {one["process"]["pid"]: one for one in contexts}
    assert by_pid[scanner]["process"]["cmdline"] == " ".join(scan)
    assert by_pid[scanner]["evidence"]["sent_through"] == "raw socket"
    assert by_pid[shell]["evidence"]["by_children"] >= 20
    assert ping not in by_pid


def namespaces_of(demo: subprocess.Popen[bytes]) -> list[str]:
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    return [name for name in names if name.endswith(f"-{demo.pid}")]


@pytest.mark.parametrize(("number", "made"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_an_interrupted_demo_leaves_nothing_behind(number: signal.Signals, made: int) -> None:
    # Who starts this suite in the background of a script has it ignore the interrupt.
    command = ["env", "--default-signal=INT", sys.executable, str(ROOT / "packaging" / "demo.py")]
    demo = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(namespaces_of(demo)) < made and time.monotonic() < deadline and demo.poll() is None:
        time.sleep(0.002)
    assert namespaces_of(demo), "the demo made no namespaces"
    demo.send_signal(number)
    assert demo.wait(timeout=60) == 128 + number
    assert namespaces_of(demo) == []


def test_a_signal_ends_the_demo_also_where_python_drops_what_its_handler_raises() -> None:
    code = """if True:
        import signal, subprocess
        import demo

        class Given:
            def __del__(self):
                signal.raise_signal(signal.SIGTERM)

        def run(*command, **options):
            Given()

        subprocess.run = run
        signal.signal(signal.SIGTERM, demo.end)
        demo.run("true")
        print("went on")
    """
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "packaging", capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (128 + signal.SIGTERM, b""), ran.stderr
