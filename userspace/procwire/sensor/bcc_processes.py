"""What bcc's programs cannot read of processes that run before them, told to them from /proc."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np

from procwire.event import COMM_SIZE, PROCESS_KEY
from procwire.record import ProcessId
from procwire.sensor.bcc_maps import NOT_EXISTING, Maps
from procwire.sensor.older_sockets import INTERNET, sender
from procwire.sensor.open_sockets import open_sockets
from procwire.sensor.proc import started_ns
from procwire.sensor.running import Running

# struct known_process of kernel/bcc/types.h.
_KNOWN_PROCESS = np.dtype(
    [
        ("key", PROCESS_KEY),
        ("parent", PROCESS_KEY),
        ("job", [("number", "u8"), ("kind", "u8")]),
        ("told", "u8"),
        ("threads", "u4"),
        ("session", "u4"),
        ("network", "u4"),
        ("namespace_pid", "u4"),
        ("exit_code", "u4"),
        ("is_ending", "u1"),
        ("signal", "u1"),
        ("entering", "u1"),
        ("apart", "u1"),
        ("skipped", "u1"),
        ("packet_sockets", "u1"),
        ("announced", "u1"),
        ("used", "u1", 11),
        ("padding", "u2"),
        ("comm", f"S{COMM_SIZE}"),
    ]
)
_SENDS_FRAMES, _SENDS_PACKETS = 1, 2
_APART_ITSELF, _APART_CHILDREN = 1, 2


def key_of(maps: Maps, process: Running) -> ProcessId:
    """The process's key as events have it: started_ns, pid, exec_count."""
    known = np.zeros(1, _KNOWN_PROCESS)
    if maps.look_up("processes", process.pid, known):
        key = known["key"][0]
        return int(key["started_ns"]), process.pid, int(key["exec_count"])
    return process.started, process.pid, 0


def tell_of_processes(
    maps: Maps, running: list[Running], programs: set[tuple[int, int]], children: bool
) -> None:
    """Enters processes and their raw sockets. Forks, execs and exits are followed already: what
    they say of a process counts. programs: those to skip, by device and inode; children: and what
    they started."""
    keys = {process.pid: key_of(maps, process) for process in running}
    skipped = _skipped(running, programs, children)
    for process in running:
        key = keys[process.pid]
        row = np.zeros(1, _KNOWN_PROCESS)
        row["key"], row["parent"] = key, keys.get(process.ppid, (0, 0, 0))
        row["threads"], row["session"] = process.threads, process.session
        row["job"] = process.job
        row["network"] = process.network
        row["namespace_pid"] = process.numbers[-1]
        row["apart"] = _APART_ITSELF * (len(process.numbers) > 1)
        row["apart"] |= _APART_CHILDREN * process.children_apart
        row["comm"] = process.comm
        row["skipped"] = process.pid in skipped
        row["packet_sockets"] = _tell_of_sockets(maps, process, key)
        maps.update("processes", process.pid, row, NOT_EXISTING)
        if started_ns(process.pid) is None:
            maps.delete("processes", process.pid)


def _tell_of_sockets(maps: Maps, process: Running, key: ProcessId) -> int:
    """Keeps the process's raw sockets; what its AF_PACKET ones take, as bits."""
    takes = 0
    for found in open_sockets(process.pid):
        if found.family == socket.AF_PACKET:
            packets = found.type == socket.SOCK_DGRAM
            takes |= _SENDS_PACKETS if packets else _SENDS_FRAMES
        elif found.type == socket.SOCK_RAW and found.family in INTERNET:
            maps.keep("raw_sockets", found, sender(found, process, key))
    return takes


def identity(file: Path) -> tuple[int, int]:
    """Device and inode of a file."""
    found = file.stat()
    return found.st_dev, found.st_ino


def _skipped(running: list[Running], programs: set[tuple[int, int]], children: bool) -> set[int]:
    """The pids of processes that run one of these programs, by device and inode; children: and of
    what they started."""
    skipped = set()
    for process in running if programs else ():
        try:
            if identity(Path(f"/proc/{process.pid}/exe")) in programs:
                skipped.add(process.pid)
        except OSError:
            continue
    more = bool(skipped) and children
    while more:
        started = {process.pid for process in running if process.ppid in skipped}
        more = not started <= skipped
        skipped |= started
    return skipped
