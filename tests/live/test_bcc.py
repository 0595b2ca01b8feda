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
from pathlib import Path

import numpy as np
import pytest
from differences import differences
from jobs import JOBS
from numpy.typing import NDArray
from places import PLACES
from procwire.errors import Unavailable
from procwire.event import FLAG_ANY_ADDRESS, Attempt, EventKind, FlowRole, Origin
from procwire.output.address import mapped
from procwire.sensor import bcc_compiler
from procwire.sensor.bcc_loader import CGROUP_HOOKS
from procwire.sensor.loader import Sensor
from procwire.sensor.programs import Loader
from scenarios import SCENARIOS, Scenario
from senders import MANY_FRAMES, python
from sensing import SETTINGS, Sensing, namespace
from test_left_counts import test_they_are_forgotten
from test_places import (
    test_a_cgroup_program_that_forbids_is_told_apart_from_no_route,
    test_behind_a_proxy_the_client_asks_the_proxy_and_the_proxy_the_targets,
    test_firewall_rules_are_a_refusal_an_unreachable_host_and_a_timeout,
)
from test_scripts_live import (
    script,
    test_a_script_is_known_by_its_whole_path,
    test_its_executable_is_the_interpreter_without_any_look_into_proc,
    test_what_runs_behind_options_is_the_interpreter_s,
)
from test_sensor import (
    test_a_killed_process_keeps_what_it_tried,
    test_a_storm_is_counted_to_the_last_attempt,
    test_a_thread_is_no_process,
    test_nmap_is_named_with_command_line_user_and_parents,
    test_what_ran_before_is_known_by_the_same_key,
)
from test_skipped_programs import (
    allowed,
    begun,
    test_its_processes_older_ones_too_and_their_forks_are_not_counted_and_others_are,
    test_what_it_starts_is_skipped_where_asked_for,
)
from test_ways_out import (
    older,
    test_a_hundred_thousand_connects_are_counted_and_cost_a_few_events,
    test_a_raw_socket_older_than_the_sensor_is_attributed,
    test_io_uring,
    test_ping_of_one_host_is_an_echo_and_no_fan_out,
    uring,
)
from ways import WAYS, Way, holds

__all__ = [
    "allowed",
    "begun",
    "older",
    "script",
    "test_a_cgroup_program_that_forbids_is_told_apart_from_no_route",
    "test_a_hundred_thousand_connects_are_counted_and_cost_a_few_events",
    "test_a_killed_process_keeps_what_it_tried",
    "test_a_raw_socket_older_than_the_sensor_is_attributed",
    "test_a_script_is_known_by_its_whole_path",
    "test_a_storm_is_counted_to_the_last_attempt",
    "test_a_thread_is_no_process",
    "test_behind_a_proxy_the_client_asks_the_proxy_and_the_proxy_the_targets",
    "test_firewall_rules_are_a_refusal_an_unreachable_host_and_a_timeout",
    "test_io_uring",
    "test_its_executable_is_the_interpreter_without_any_look_into_proc",
    "test_its_processes_older_ones_too_and_their_forks_are_not_counted_and_others_are",
    "test_nmap_is_named_with_command_line_user_and_parents",
    "test_ping_of_one_host_is_an_echo_and_no_fan_out",
    "test_they_are_forgotten",
    "test_what_it_starts_is_skipped_where_asked_for",
    "test_what_ran_before_is_known_by_the_same_key",
    "test_what_runs_behind_options_is_the_interpreter_s",
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

ENDS = FlowRole.ENDS
NAMESPACE = f"procwire-bcc-{os.getpid()}"
HIDE_BTF = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'
# uname(2) then says 2.6.
OLD = ["setarch", "--uname-2.6"]
HIDE_ERRORS = """
events=/sys/kernel/tracing
# Most systems have it mounted, and do not mount it twice.
mountpoint -q $events || mount -t tracefs none $events
mount -t tmpfs none $events/events/sock/inet_sk_error_report && exec "$@"
"""
# A connect that waits, and one that does not.
REFUSED = """
import os, select, socket
from procwire.event import Outcome
from procwire.sensor.loader import Sensor
from procwire.sensor.programs import Loader
with Sensor(loader=Loader.BCC) as sensor:
    print("tp_btf/inet_sk_error_report" in sensor.left_out)
    with socket.socket() as first, socket.socket() as second:
        first.connect_ex(("127.0.0.1", 7002))
        second.setblocking(False)
        second.connect_ex(("127.0.0.1", 7002))
        select.select([], [second], [])
    for _ in range(10):
        for row in sensor.poll(100).connection:
            if row["process"]["pid"] == os.getpid() and row["destination_port"] == 7002:
                print(Outcome(row["outcome"]).name)
"""
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
    if bcc_compiler.version() is None:
        pytest.skip(f"bcc is not installed ({bcc_compiler.REMEDY})")
    with namespace(NAMESPACE), Sensor(SETTINGS, loader=Loader.BCC) as sensor:
        yield Sensing(sensor, NAMESPACE)


@pytest.fixture(autouse=True)
def nothing_waits(live: Sensing) -> None:
    """Another sensor takes so long to compile that nobody reads this one's rings meanwhile."""
    live.poll()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(live: Sensing, scenario: Scenario) -> None:
    if scenario.hook in live.sensor.left_out:
        pytest.skip(f"{scenario.hook}: {live.sensor.left_out[scenario.hook]}")
    assert differences(live, scenario) == []


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_who_tried_how_often_and_by_what(live: Sensing, way: Way) -> None:
    if shutil.which(way.command[0]) is None:
        pytest.skip(f"{way.command[0]} is not installed (apt-get install {way.command[0]})")
    holds(live, way)


@pytest.mark.parametrize("name", PLACES)
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


def test_what_a_process_starts_is_in_the_network_that_it_entered(live: Sensing) -> None:
    """Where it ends too soon to be asked itself."""
    waits = live.start("/bin/sh", "-c", "read line; /bin/true; exit 0")
    live.wait("process", waits.pid, lambda rows: len(rows) >= 3)
    waits.communicate("\n", timeout=30)

    def started() -> NDArray[np.void]:
        rows = live.all("process")
        return rows[rows["parent"]["pid"] == waits.pid]

    rows = live.until(started, lambda rows: EventKind.EXIT in rows["kind"])
    assert rows["kind"].tolist() == [EventKind.FORK, EventKind.EXEC, EventKind.EXIT]
    assert set(rows["net_namespace"].tolist()) == {live.namespace_id}


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


def test_whose_its_flows_are_is_told_and_that_its_sockets_hold_them_no_more(live: Sensing) -> None:
    script = """
import socket
bound, free, waits, anywhere = (socket.socket(type=way) for way in (2, 2, 1, 1))
bound.bind(("", 7301))
free.sendto(b"?", ("10.99.0.1", 7302))
waits.bind(("127.0.0.1", 7303))
waits.listen()
anywhere.listen()
with socket.socket() as client:
    client.connect_ex(("10.99.0.1", 7304))
for held in (bound, free, waits, anywhere):
    held.close()
"""
    pid, _ = live.python(script)
    rows = live.wait("flow", pid, lambda rows: np.count_nonzero(rows["role"] == ENDS) >= 4)
    bound, free, waits, anywhere, asks, *ended = rows
    assert bound[["role", "protocol", "source_port"]].tolist() == (FlowRole.SENDS, 17, 7301)
    assert bound["flags"] == FLAG_ANY_ADDRESS
    assert free[["role", "protocol"]].tolist() == (FlowRole.SENDS, 17)
    assert free["source"].tobytes() == mapped(socket.inet_aton("10.99.0.1"))
    assert waits[["role", "protocol", "source_port"]].tolist() == (FlowRole.LISTENS, 6, 7303)
    assert waits["source"].tobytes() == mapped(socket.inet_aton("127.0.0.1"))
    assert anywhere[["role", "flags"]].tolist() == (FlowRole.LISTENS, FLAG_ANY_ADDRESS)
    assert asks[["role", "protocol", "destination_port"]].tolist() == (FlowRole.CONNECTS, 6, 7304)
    assert asks["source_port"] > 0
    assert asks["destination"].tobytes() == mapped(socket.inet_aton("10.99.0.1"))
    assert [row["role"] for row in ended] == [ENDS] * 4
    held = [row["socket"] for row in (bound, free, waits, anywhere)]
    assert [row["socket"] for row in ended] == held
    networks = {int(row["net_namespace"]) for row in (bound, free, waits, asks)}
    assert networks == {live.namespace_id}


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


def test_before_the_kernel_told_of_errors_a_refusal_is_known_by_the_reset(live: Sensing) -> None:
    """As on Linux 5.10, which has no such tracepoint and wants loops written out."""
    ran = subprocess.run(
        [*OLD, "unshare", "--mount", "sh", "-c", HIDE_ERRORS, "sh", sys.executable, "-c", REFUSED],
        capture_output=True,
        text=True,
    )
    hidden, *outcomes = ran.stdout.split()
    assert hidden == "True", ran.stderr
    assert outcomes == ["REFUSED", "REFUSED"]


def test_a_python_without_bcc_is_named_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcc_compiler, "PYTHON", Path(sys.executable))
    with pytest.raises(Unavailable, match="no bcc of iovisor; apt-get install python3-bpfcc"):
        Sensor(loader=Loader.BCC)
