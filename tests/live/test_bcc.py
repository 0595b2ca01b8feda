"""bcc as the loader: what libbpf's programs must tell, bcc's must tell too, but for what they say
they cannot see.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from differences import differences
from jobs import JOBS
from places import PLACES
from procwire.errors import Unavailable
from procwire.event import Attempt, Origin, Outcome
from procwire.sensor import bcc_compiler
from procwire.sensor.bcc_loader import CGROUP_HOOKS
from procwire.sensor.loader import Sensor
from procwire.sensor.programs import Loader
from scenarios import CONNECT, SCENARIOS, Scenario
from senders import MANY_FRAMES, python
from sensing import SETTINGS, Sensing, namespace
from test_places import (
    test_a_cgroup_program_that_forbids_is_told_apart_from_no_route,
    test_behind_a_proxy_the_client_asks_the_proxy_and_the_proxy_the_targets,
    test_firewall_rules_are_a_refusal_an_unreachable_host_and_a_timeout,
)
from test_sensor import (
    test_a_storm_is_counted_to_the_last_attempt,
    test_a_thread_is_no_process,
    test_nmap_is_named_with_command_line_user_and_parents,
    test_what_ran_before_is_known_by_the_same_key,
    wait_for_syn,
)
from test_skipped_programs import (
    allowed,
    test_its_processes_and_their_forks_are_not_counted_and_others_are,
    test_one_that_runs_already_is_skipped,
    test_what_it_starts_is_skipped_where_asked_for,
)
from test_ways_out import (
    older,
    test_a_raw_socket_older_than_the_sensor_is_attributed,
    test_io_uring,
    test_ping_of_one_host_is_an_echo_and_no_fan_out,
    test_two_hundred_thousand_connects_are_counted_and_cost_a_few_events,
    uring,
)
from ways import WAYS, Way, holds

__all__ = [
    "allowed",
    "older",
    "test_a_cgroup_program_that_forbids_is_told_apart_from_no_route",
    "test_a_raw_socket_older_than_the_sensor_is_attributed",
    "test_a_storm_is_counted_to_the_last_attempt",
    "test_a_thread_is_no_process",
    "test_behind_a_proxy_the_client_asks_the_proxy_and_the_proxy_the_targets",
    "test_firewall_rules_are_a_refusal_an_unreachable_host_and_a_timeout",
    "test_io_uring",
    "test_its_processes_and_their_forks_are_not_counted_and_others_are",
    "test_nmap_is_named_with_command_line_user_and_parents",
    "test_one_that_runs_already_is_skipped",
    "test_ping_of_one_host_is_an_echo_and_no_fan_out",
    "test_two_hundred_thousand_connects_are_counted_and_cost_a_few_events",
    "test_what_it_starts_is_skipped_where_asked_for",
    "test_what_ran_before_is_known_by_the_same_key",
    "uring",
]

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
    pytest.mark.skipif(
        not bcc_compiler.SOURCES.exists(),
        reason="the source for bcc was not built (python setup.py build_ext --inplace)",
    ),
]

NAMESPACE = f"procwire-bcc-{os.getpid()}"
# Its network and its pid inside are not seen.
PLACES_SEEN = [name for name in PLACES if name != "a container is named by its cgroup"]
HIDE_BTF = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'
HOLD_SENSOR = """
import re, sys
from pathlib import Path
from procwire.sensor.bcc_loader import CGROUP_HOOKS
from procwire.sensor.loader import Sensor
with Sensor() as sensor:
    descriptors = Path("/proc/self/fdinfo").iterdir()
    holds = "".join(path.read_text() for path in descriptors if path.exists())
    print(sensor.loader, *re.findall(r"^prog_id:\\s*(\\d+)", holds, re.MULTILINE), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def live() -> Iterator[Sensing]:
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed (apt-get install iproute2)")
    with namespace(NAMESPACE):
        try:
            sensor = Sensor(SETTINGS, loader=Loader.BCC)
        except Unavailable as error:
            pytest.skip(str(error))
        with sensor:
            live = Sensing(sensor, NAMESPACE)
            live.namespace_id = 0  # not seen
            yield live


@pytest.fixture(autouse=True)
def nothing_waits(live: Sensing) -> None:
    """Another sensor takes so long to compile that nobody reads this one's rings meanwhile."""
    live.poll()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(live: Sensing, scenario: Scenario) -> None:
    if scenario.hook in live.sensor.left_out:
        pytest.skip(f"{scenario.hook}: {live.sensor.left_out[scenario.hook]}")
    assert differences(live, replace(scenario, exit_code=0)) == []


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_who_tried_how_often_and_by_what(live: Sensing, way: Way) -> None:
    if shutil.which(way.command[0]) is None:
        pytest.skip(f"{way.command[0]} is not installed (apt-get install {way.command[0]})")
    holds(live, way)


@pytest.mark.parametrize("name", PLACES_SEEN)
def test_it_is_known_there(live: Sensing, name: str) -> None:
    PLACES[name](live)


@pytest.mark.parametrize("name", JOBS)
def test_the_job_is_told_of_and_no_process_of_it(live: Sensing, name: str) -> None:
    JOBS[name](live)


def test_of_many_frames_in_one_call_the_first_are_counted_and_the_rest_as_lost(
    live: Sensing,
) -> None:
    before = live.sensor.counters()["lost_raw_destination"]
    pid, _ = live.run(*python(MANY_FRAMES))
    rows = live.wait("fanout", pid, lambda rows: 0 in rows["measure"])
    last = rows[rows["measure"] == 0]
    assert last[["attempts", "origin"]].tolist() == [(32, Origin.RAW)]
    assert live.sensor.counters()["lost_raw_destination"] - before == 8
    assert live.rows("socket", pid)["family"].tolist() == [socket.AF_PACKET]


def test_a_killed_process_keeps_what_it_tried(live: Sensing) -> None:
    process = live.start(sys.executable, "-I", "-c", CONNECT, "10.97.0.3@80")
    live.wait("process", process.pid, lambda rows: len(rows) >= 3)
    assert wait_for_syn(process.pid)
    process.kill()
    process.communicate(timeout=10)
    assert live.connections(process.pid, 1) == [("10.97.0.3", 80, Outcome.ABORTED)]


def test_the_arguments_of_a_failed_exec_are_not_those_of_the_next(live: Sensing) -> None:
    script = """
import os
try:
    os.execv("/nonexistent/program", ["wrong", "arguments"])
except OSError:
    os.execv("/bin/true", ["true", "right"])
"""
    pid, _ = live.python(script)
    rows = live.wait("process", pid, lambda rows: len(rows) >= 5)
    assert rows["argv"][3] == b"true\0right"


def test_datagrams_are_counted_by_process(live: Sensing) -> None:
    script = """
import socket
with socket.socket(type=socket.SOCK_DGRAM) as client:
    for number in range(1, 61):
        client.sendto(b"?", (f"10.99.0.{number}", 53))
"""
    pid, _ = live.python(script)
    rows = live.wait("fanout", pid, lambda rows: bool(np.any(rows["measure"] == 0)))
    assert set(rows["attempt"].tolist()) == {Attempt.DATAGRAM}
    assert set(rows["origin"].tolist()) == {Origin.SENDMSG}
    assert rows["attempts"][rows["measure"] == 0].tolist() == [60]


def test_what_ended_children_tried_is_their_parents(live: Sensing) -> None:
    probe = "import socket, sys; socket.socket().connect_ex(('10.99.0.' + sys.argv[1], 7002))"
    loop = f'for number in $(seq 1 30); do "$0" -I -S -c "{probe}" $number; done; exit 0'
    pid, _ = live.run("/bin/sh", "-c", loop, sys.executable)
    rows = live.wait("fanout", pid, lambda rows: bool(np.any(rows["measure"] == 0)))
    last = rows[rows["measure"] == 0]
    assert last[["attempts", "by_children", "refused"]].tolist() == [(30, 30, 30)]


def test_without_btf_bcc_is_chosen_and_leaves_nothing_attached_when_killed(live: Sensing) -> None:
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed (apt-get install bpftool)")
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", HIDE_BTF, "sh", sys.executable, "-c", HOLD_SENSOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        loader, *programs = holder.stdout.readline().decode().split()
        holder.send_signal(signal.SIGKILL)
    assert loader == Loader.BCC
    assert len(programs) >= len(CGROUP_HOOKS)
    for program in programs:
        found = subprocess.run(
            ["bpftool", "prog", "show", "id", program], capture_output=True, text=True
        )
        assert found.returncode != 0, found.stdout


def test_a_python_without_bcc_is_named_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcc_compiler, "PYTHON", Path(sys.executable))
    with pytest.raises(Unavailable, match="no bcc of iovisor; apt-get install python3-bpfcc"):
        Sensor(loader=Loader.BCC)
