"""Has bcc compile and load the programs: the loader for kernels without BTF.

Strategy: bcc_child.py does it under the distribution's Python and hands over the descriptors of
maps, programs and attached tracepoints; everything is detached when they close, however that comes
about. What the programs cannot read of a process, bcc_processes.py tells them before the first
connection is watched.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from procwire.errors import Unavailable
from procwire.event import FLOW_EVENT, PROCESS_EVENT, EventKind
from procwire.sensor.bcc_compiler import Child
from procwire.sensor.bcc_completion import Completion
from procwire.sensor.bcc_maps import Maps
from procwire.sensor.bcc_processes import identity, key_of, tell_of_processes
from procwire.sensor.blind_spots import BCC_GAPS
from procwire.sensor.counters import Counter
from procwire.sensor.executable import entry_offset, held_executables
from procwire.sensor.machine import cgroup2_root
from procwire.sensor.older_sockets import INTERNET, datagram_sender, flow_of
from procwire.sensor.open_sockets import open_sockets
from procwire.sensor.programs import Libbpf, Loader
from procwire.sensor.running import running_processes

CGROUP_HOOKS = {
    "on_socket": 2,
    "on_release": 34,
    "on_connect4": 10,
    "on_connect6": 11,
    "on_sendmsg4": 14,
    "on_sendmsg6": 15,
    "on_packet": 1,
}
"""Program and the enum bpf_attach_type it is made for."""
FLOW_HOOKS = {"on_bind4": 12, "on_bind6": 13, "on_flow": 1}
"""The same of those that are attached where flows are asked for."""
UNMATCHED = ("fexit/security_socket_connect", "tp_btf/sock_send_length")
"""Hooks of libbpf's programs that none of these stands for. What connect returns is seen."""
NEWER = {
    "tracepoint/sock:inet_sk_error_report": ("tp_btf/inet_sk_error_report", "5.14"),
}
"""Hooks that not every kernel has, what libbpf's programs call them, and the Linux that first had
them."""
UPROBES = Path("/sys/bus/event_source/devices/uprobe/type")

_REGISTERS = 512
_NO_UPROBES = (
    "fanout.skip_programs: without BTF an executable is known by a uprobe, and there are none"
)
_WITH_UPROBES = "boot a kernel with CONFIG_UPROBE_EVENTS=y, or clear the setting"


class BccPrograms:
    """The programs of sensor_bcc.c, attached; see Programs.

    settings: (1,) FANOUT_SETTINGS. Raises Unavailable, naming what is missing and the command that
    mends it.
    """

    loader = Loader.BCC
    gaps = BCC_GAPS

    def __init__(self, settings: NDArray[np.void]) -> None:
        self._bpf = Libbpf()
        self._ffi, self._lib = self._bpf.ffi, self._bpf.lib
        self._descriptors: dict[str, int] = {}
        self._maps = Maps(self._bpf, self._descriptors)
        self._cleanup = ExitStack()
        try:
            self._load(settings)
        except BaseException:
            self._cleanup.close()
            raise

    def close(self) -> None:
        self._cleanup.close()

    def ring(self, name: str) -> int:
        return self._descriptors[name]

    def counter(self, counter: Counter) -> int:
        per_cpu = np.zeros(self._lib.libbpf_num_possible_cpus(), np.uint64)
        self._maps.look_up("counters", int(counter), per_cpu)
        return int(per_cpu.sum())

    def snapshot(self) -> NDArray[np.void]:
        """See Programs. /proc is walked, and keys are completed with the execs seen since."""
        running = list(running_processes())
        keys = {process.pid: key_of(self._maps, process) for process in running}
        rows = np.zeros(len(running), PROCESS_EVENT)
        for row, process in zip(rows, running, strict=True):
            row["kind"] = EventKind.FORK
            row["time_ns"] = process.started
            row["process"] = keys[process.pid]
            row["parent"] = keys.get(process.ppid, (0, 0, 0))
            row["uid"], row["gid"], row["session"] = process.uid, process.gid, process.session
            row["comm"] = process.comm
            row["login_uid"], row["net_namespace"] = process.login_uid, process.network
            row["namespace_pid"] = process.numbers[-1]
        return rows

    def complete(self, processes: NDArray[np.void], *others: NDArray[np.void]) -> NDArray[np.void]:
        """See Programs."""
        return self._completion.complete(processes, *others)

    def find_files(self) -> NDArray[np.void]:
        """See Programs. Raw sockets and executables were taken up as the programs were loaded."""
        flows = [np.zeros(0, FLOW_EVENT)]
        for process in running_processes() if self._has_flows else ():
            key = key_of(self._maps, process)
            for found in open_sockets(process.pid):
                if found.family not in INTERNET:
                    continue
                flow = flow_of(found, key)
                if found.type == socket.SOCK_DGRAM:
                    row = datagram_sender(found, process, key, flow)
                    self._maps.keep("datagram_sockets", found, row)
                if flow is not None:
                    flows.append(flow)
        return np.concatenate(flows)

    def _load(self, settings: NDArray[np.void]) -> None:
        root = cgroup2_root()
        self._has_flows = bool(settings["flows"][0])
        with Child(root.stat().st_ino, self._has_flows) as child:
            self._receive(child)
            self._maps.update("settings", 0, settings)
            for zeros in range(1, _REGISTERS + 1):
                estimate = round(_REGISTERS * math.log(_REGISTERS / zeros))
                self._maps.update("linear_counts", zeros, np.array([estimate], np.uint32))
            programs = self._skip_programs()
            running = list(running_processes())
            self._completion = Completion(running)
            tell_of_processes(self._maps, running, programs, bool(settings["skip_children"][0]))
            child.go_on()
            self._receive(child)
        cgroup = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        hooks = {**CGROUP_HOOKS, **(FLOW_HOOKS if self._has_flows else {})}
        try:
            for name, kind in hooks.items():
                link = self._lib.bpf_link_create(
                    self._descriptors[name], cgroup, kind, self._ffi.NULL
                )
                if link < 0:
                    self._bpf.fail(f"attach {name} to the cgroup", -link)
                self._cleanup.callback(os.close, link)
        finally:
            os.close(cgroup)
        self.attached = (
            *(f"cgroup/{name.removeprefix('on_')}" for name in hooks),
            *(f"tracepoint/{hook}" for hook in self._descriptors if ":" in hook),
        )
        self.left_out: Mapping[str, str] = {
            **dict.fromkeys(UNMATCHED, "bcc's programs have none like it"),
            **{
                name: f"this kernel does not have it (Linux {since})"
                for hook, (alike, since) in NEWER.items()
                if hook not in self.attached
                for name in (hook, alike)
            },
        }

    def _receive(self, child: Child) -> None:
        received = child.receive()
        for descriptor in received.values():
            self._cleanup.callback(os.close, descriptor)
        self._descriptors.update(received)

    def _skip_programs(self) -> set[tuple[int, int]]:
        """Has processes marked that come to execute what this process holds with O_PATH: its device
        and inode. Raises Unavailable where the kernel gives no uprobe."""
        skipped = set()
        for held in held_executables():
            offset = entry_offset(held)
            if offset is None:
                continue
            if not UPROBES.exists():
                raise Unavailable(_NO_UPROBES, _WITH_UPROBES)
            link = self._lib.entry_attach(
                self._descriptors["on_program"], bytes(held), offset, int(UPROBES.read_text())
            )
            if link < 0:
                self._bpf.fail(f"watch the entry of {held.readlink()}", -link)
            self._cleanup.callback(os.close, link)
            skipped.add(identity(held))
        return skipped
