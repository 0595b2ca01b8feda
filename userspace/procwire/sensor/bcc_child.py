"""Runs under the distribution's Python: compiles and loads sensor_bcc.c, attaches its tracepoints,
and hands every descriptor to the process that asked.

A process of its own, because only that Python can import bcc, because 100 MB of compiler end with
it, and because detaching needs no code: the hooks live as long as the descriptors. It imports
nothing of procwire.

Arguments: the number of a Unix socket, the folder of the source, the id of the root cgroup, and 1
if flows are told of, or 0.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

PROCESS_HOOKS = {
    "task:task_newtask": "on_fork",
    "sched:sched_process_exit": "on_exit",
    "syscalls:sys_enter_exit_group": "on_exit_group",
    "syscalls:sys_enter_exit": "on_exit_call",
    "signal:signal_generate": "on_signal_sent",
    "signal:signal_deliver": "on_signal_taken",
    "syscalls:sys_exit_setsid": "on_setsid",
    "syscalls:sys_enter_unshare": "on_unshare",
    "syscalls:sys_exit_unshare": "on_unshare_return",
    "syscalls:sys_enter_setns": "on_setns",
    "syscalls:sys_exit_setns": "on_setns_return",
    "syscalls:sys_exit_set_tid_address": "on_tid_address_return",
    "syscalls:sys_enter_execve": "on_execve",
    "syscalls:sys_enter_execveat": "on_execveat",
    "syscalls:sys_exit_execve": "on_execve_return",
    "syscalls:sys_exit_execveat": "on_execveat_return",
    "sched:sched_process_exec": "on_exec",
    "syscalls:sys_enter_socket": "on_socket_call",
}
CONNECTION_HOOKS = {
    "syscalls:sys_exit_connect": "on_connect_return",
    "sock:inet_sock_set_state": "on_state",
    "syscalls:sys_enter_sendto": "on_sendto",
    "syscalls:sys_enter_sendmsg": "on_sendmsg",
    "syscalls:sys_enter_sendmmsg": "on_sendmmsg",
}
# The second where the kernel, before Linux 5.14, does not have the first.
ERROR_HOOKS = ("sock:inet_sk_error_report", "tcp:tcp_receive_reset")
# Program, its type in bcc and enum bpf_attach_type; whoever asked attaches them.
CGROUP_HOOKS = (
    ("on_socket", "CGROUP_SOCK", 2),
    ("on_release", "CGROUP_SOCK", 34),
    ("on_connect4", "CGROUP_SOCK_ADDR", 10),
    ("on_connect6", "CGROUP_SOCK_ADDR", 11),
    ("on_sendmsg4", "CGROUP_SOCK_ADDR", 14),
    ("on_sendmsg6", "CGROUP_SOCK_ADDR", 15),
    ("on_packet", "CGROUP_SKB", 1),
)
# Those of flows.
FLOW_HOOKS = (
    ("on_bind4", "CGROUP_SOCK", 12),
    ("on_bind6", "CGROUP_SOCK", 13),
    ("on_flow", "CGROUP_SKB", 1),
)
# By their place in the map, enum counting_program.
TAIL_CALLS = ("on_attempt", "on_outcome", "on_end", "on_heir", "on_frame", "on_targets")
# At the entry of each program to skip.
ENTRY = "on_program"
MAPS = (
    "process_ring",
    "socket_ring",
    "connection_ring",
    "fanout_ring",
    "flow_ring",
    "counters",
    "settings",
    "linear_counts",
    "processes",
    "raw_sockets",
    "datagram_sockets",
    "counting",
)
# Linux 6.1 gives up on loops that this one walks with ease. Written out they take twice as long to
# compile.
WALKS_LOOPS = (6, 12)
TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def mount_tracefs() -> None:
    """bcc reads the layout of tracepoints from tracefs; where it is not mounted, this process
    alone gets to see one."""
    if any((folder / "events").is_dir() for folder in TRACEFS):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for call, arguments in (
        (libc.unshare, (CLONE_NEWNS,)),
        (libc.mount, (None, b"/", None, MS_REC | MS_PRIVATE, None)),
        (libc.mount, (b"tracefs", bytes(TRACEFS[0]), b"tracefs", 0, None)),
    ):
        if call(*arguments) < 0:
            raise OSError(ctypes.get_errno(), f"cannot mount tracefs at {TRACEFS[0]}")


def main(number: str, folder: str, root_cgroup: str, flows: str) -> None:
    answer = socket.socket(fileno=int(number))
    mount_tracefs()
    try:
        import bcc
    except ImportError:
        bcc = None
    if not hasattr(bcc, "BPF"):
        # PyPI's bcc is another library.
        answer.sendall(json.dumps({"missing": f"{sys.executable} has no bcc of iovisor"}).encode())
        return
    errors = ERROR_HOOKS[0] if exists(ERROR_HOOKS[0]) else ERROR_HOOKS[1]
    connection_hooks = {**CONNECTION_HOOKS, errors: "on_error"}
    absent = [hook for hook in (*PROCESS_HOOKS, *connection_hooks) if not exists(hook)]
    if absent:
        answer.sendall(json.dumps({"absent": absent}).encode())
        return
    flags = [f"-I{folder}", f"-DROOT_CGROUP={int(root_cgroup)}ULL", f"-DFLOWS={flows}"]
    bpf = bcc.BPF(text=source(Path(folder)), cflags=[*flags, *what_is_new()])
    for place, name in enumerate(TAIL_CALLS):
        program = bpf.load_func(name, bcc.BPF.TRACEPOINT)
        bpf["counting"][ctypes.c_int(place)] = ctypes.c_int(program.fd)
    cgroup = {
        name: bpf.load_func(name, getattr(bcc.BPF, kind), None, place).fd
        for name, kind, place in (*CGROUP_HOOKS, *(FLOW_HOOKS if flows == "1" else ()))
    }
    cgroup[ENTRY] = bpf.load_func(ENTRY, bcc.BPF.KPROBE).fd
    maps = {name: bpf[name].map_fd for name in MAPS}
    hand_over(answer, {**maps, **cgroup, **attach(bpf, PROCESS_HOOKS)})
    # Connections are watched once every process is known.
    if answer.recv(1):
        hand_over(answer, attach(bpf, connection_hooks))
    # bcc would disable, as it ends, the events that now belong to another process.
    os._exit(0)


def source(folder: Path) -> str:
    """bcc rewrites the map calls of one text, so the parts that have some become one."""
    whole = (folder / "sensor_bcc.c").read_text()
    part = re.compile(r'^#include "(bcc/\w+\.h)"$', re.MULTILINE)
    return part.sub(lambda include: (folder / include[1]).read_text(), whole)


def what_is_new() -> list[str]:
    """What the kernel's tracepoints tell, and its verifier walks, and older ones did not: as
    definitions of the compiler."""
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    layouts = (Path(folder, "events/sched/sched_process_exit/format") for folder in TRACEFS)
    new = {
        "EXIT_TELLS_GROUP": any(
            "group_dead" in layout.read_text() for layout in layouts if layout.exists()
        ),
        "TELLS_ERRORS": exists(ERROR_HOOKS[0]),
        "WALKS_LOOPS": (int(major), int(minor)) >= WALKS_LOOPS,
    }
    return [f"-D{name}" for name, is_new in new.items() if is_new]


def exists(hook: str) -> bool:
    return any(Path(folder, "events", *hook.split(":"), "format").exists() for folder in TRACEFS)


def attach(bpf: Any, hooks: dict[str, str]) -> dict[str, int]:
    """The descriptors of the perf events that hold the programs, by hook."""
    for hook, program in hooks.items():
        bpf.load_func(program, bpf.TRACEPOINT)
        bpf.attach_tracepoint(tp=hook, fn_name=program)
    return {hook: bpf.tracepoint_fds[hook.encode()] for hook in hooks}


def hand_over(answer: socket.socket, descriptors: dict[str, int]) -> None:
    socket.send_fds(
        answer,
        [json.dumps({"descriptors": list(descriptors)}).encode()],
        list(descriptors.values()),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
