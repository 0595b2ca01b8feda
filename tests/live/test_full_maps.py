"""What happens when there is no room: the sensor goes on, and counts what it could not keep.

Maps and rings are made as small as the kernel lets them be, so that a handful of processes fills
them; anybody's on this machine, so there is no self-test.
"""

from __future__ import annotations

import os
import time
from itertools import product
from mmap import PAGESIZE
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from procwire.event import EventKind, Measure
from procwire.sensor.libbpf_loader import LibbpfPrograms
from procwire.sensor.loader import Sensor
from senders import python
from sensing import POLL_MS, SETTINGS, WAIT_S, Sensing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]

# Twenty processes that have each tried one host and go on.
TWENTY_AT_A_TIME = """
children = []
for n in range(20):
    gate, opened = os.pipe()
    if os.fork() == 0:
        with socket.socket() as tcp: tcp.connect_ex((host(n), 7002))
        os.write(opened, b"x")
        time.sleep(30)
    children.append(os.read(gate, 1))
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.killpg(0, signal.SIGTERM)
"""
TWENTY_RAW_SOCKETS = """
held = [socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) for _ in range(20)]
"""
# So many that some of their sockets hash to one place, however evenly memory hands them out.
UNDER_WAY = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = []
for n in range(min(most - 100, 30_000)):
    held.append(tcp := socket.socket())
    tcp.setblocking(False)
    tcp.connect_ex(("10.97.0.2", 1 + n))
"""
FORKS = """
for _ in range(100):
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
"""
# Each ends as a session of its own, which is more jobs than there are places.
SESSIONS = """
for n in range(2300):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        with socket.socket() as tcp: tcp.connect_ex(("10.99.0.1", 7002))
        os._exit(0)
    os.waitpid(pid, 0)
"""
# Ports and hosts without order, each of which crosses thresholds of three windows.
CONNECTS = """
for n in range(600):
    with socket.socket() as tcp: tcp.connect_ex((host(n * n % 199), 7002 + n))
"""


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Sizes of maps, by name, for the sensors that a test makes."""
    chosen: dict[str, int] = {}
    whole = LibbpfPrograms._open

    def small(programs: LibbpfPrograms) -> Any:
        opened = whole(programs)
        for name, size in chosen.items():
            found = programs._lib.bpf_object__find_map_by_name(opened, name.encode())
            assert programs._lib.bpf_map__set_max_entries(found, size) == 0
        return opened

    monkeypatch.setattr(LibbpfPrograms, "_open", small)
    return chosen


@pytest.mark.parametrize(
    ("name", "size", "script", "counter", "least"),
    [
        ("subjects", 4, TWENTY_AT_A_TIME, "lost_process_map_full", 16),
        ("subjects", 4, TWENTY_AT_A_TIME, "lost_heir_map_full", 1),
        ("subjects", 8192 + 2048, SESSIONS, "lost_job_map_full", 2300 - 2048),
        ("raw_sockets", 4, TWENTY_RAW_SOCKETS, "lost_socket_map_full", 16),
        ("crowded_connections", 1, UNDER_WAY, "lost_connection_map_full", 5),
        ("process_ring", PAGESIZE, FORKS, "lost_process_ring_full", 100),
        ("socket_ring", PAGESIZE, 3 * TWENTY_RAW_SOCKETS, "lost_socket_ring_full", 1),
        ("connection_ring", PAGESIZE, CONNECTS, "lost_connection_ring_full", 500),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_what_had_no_room_is_counted(
    live: Sensing,
    sizes: dict[str, int],
    name: str,
    size: int,
    script: str,
    counter: str,
    least: int,
) -> None:
    sizes[name] = size
    with Sensor(SETTINGS, self_test=False) as sensor:
        before = sensor.counters()[counter]
        with Sensing(sensor, live.namespace).start("setsid", *python(script)) as running:
            running.communicate(timeout=60)
        assert running.returncode == 0
        assert sensor.counters()[counter] - before >= least


def test_a_report_that_had_no_room_is_sent_by_a_later_attempt(
    live: Sensing, sizes: dict[str, int]
) -> None:
    measures = (Measure.HOSTS, Measure.HOST_PORTS, Measure.FAILURES)
    every = set(product(SETTINGS.window_ns, measures))

    def told(rows: NDArray[np.void]) -> set[tuple[int, int]]:
        return set(zip(rows["window_ns"].tolist(), rows["measure"].tolist(), strict=True))

    sizes["fanout_ring"] = PAGESIZE
    with Sensor(SETTINGS, self_test=False) as sensor:
        seen = Sensing(sensor, live.namespace)
        with seen.start(*python(CONNECTS + "input()" + CONNECTS)) as running:
            # Until the first half is through nobody reads.
            deadline = time.monotonic() + WAIT_S
            while not sensor.counters()["lost_fanout_ring_full"] and time.monotonic() < deadline:
                time.sleep(POLL_MS / 1000)
            assert sensor.counters()["lost_fanout_ring_full"] > 0
            rows = seen.wait("fanout", running.pid, lambda rows: len(rows) > 0)
            assert not every <= told(rows)
            running.communicate("\n", timeout=60)
        rows = seen.wait("fanout", running.pid, lambda rows: every <= told(rows))
        assert every <= told(rows)
        rows = seen.wait("process", running.pid, lambda rows: EventKind.EXIT in rows["kind"])
        assert EventKind.EXIT in rows["kind"]


@pytest.mark.parametrize(("left", "is_told"), [(0, True), (1, False)])
def test_a_claim_that_could_not_be_deleted_silences_nobody(
    live: Sensing, left: int, is_told: bool
) -> None:
    """Of one that is held others keep away; of one that was released and is still there they do
    not."""
    with Sensor(SETTINGS, self_test=False) as sensor:
        seen = Sensing(sensor, live.namespace)
        claims, ffi = sensor._programs.ring("claims"), sensor._ffi
        with seen.start(*python("input()" + CONNECTS)) as running:
            subject = ffi.new("unsigned int[2]", [running.pid, 0])
            held = ffi.new("unsigned char *", left)
            assert sensor._lib.bpf_map_update_elem(claims, subject, held, 0) == 0
            running.communicate("\n", timeout=60)
        rows = seen.wait("process", running.pid, lambda rows: EventKind.EXIT in rows["kind"])
        assert EventKind.EXIT in rows["kind"]
        assert (len(seen.rows("fanout", running.pid)) > 0) == is_told
