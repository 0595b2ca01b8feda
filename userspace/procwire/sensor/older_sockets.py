"""Whose the flows of sockets are that were open before the sensor, for programs that cannot walk
the kernel's list of files. What libbpf's programs tell of them, kernel/older.bpf.h says."""

from __future__ import annotations

import fcntl
import os
import socket
import time

import numpy as np
from numpy.typing import NDArray

from procwire.event import (
    COMM_SIZE,
    FLAG_ANY_ADDRESS,
    FLAG_OLDER,
    FLOW_EVENT,
    PROCESS_KEY,
    EventKind,
    FlowRole,
)
from procwire.output.address import mapped
from procwire.record import ProcessId
from procwire.sensor.open_sockets import OpenSocket
from procwire.sensor.running import Running

INTERNET = (socket.AF_INET, socket.AF_INET6)
# Structs of kernel/owner.h and kernel/bcc/types.h.
SENDING_SOCKET = np.dtype(
    [
        ("key", PROCESS_KEY),
        ("uid", "u4"),
        ("net_namespace", "u4"),
        ("comm", f"S{COMM_SIZE}"),
        ("told", "u8"),
    ]
)
DATAGRAM_SOCKET = np.dtype(
    [
        *SENDING_SOCKET.descr,
        ("end", [("hi", "u8"), ("lo", "u8"), ("port", "u4"), ("protocol", "u4")]),
    ]
)
_STREAMS = (socket.IPPROTO_TCP, getattr(socket, "IPPROTO_MPTCP", 262))
_WITH_PORTS = (socket.IPPROTO_UDP, socket.IPPROTO_UDPLITE)
# enum of the kernel's net/tcp_states.h.
_CLOSE, _LISTEN = 7, 10
_SIOCGSKNS = 0x894C
_NOBODY = bytes(16), 0
_SOCKET_BITS = 0xFFFFFFFF


def sender(
    found: OpenSocket,
    process: Running,
    key: ProcessId,
    kind: np.dtype[np.void] = SENDING_SOCKET,
) -> NDArray[np.void]:
    """(1,) of a kind: a socket as the programs keep it, and that the process sends through it."""
    row = np.zeros(1, kind)
    row["key"], row["uid"], row["comm"] = key, process.uid, process.comm
    row["net_namespace"] = namespace_of(found)
    return row


def datagram_sender(
    found: OpenSocket, process: Running, key: ProcessId, flow: NDArray[np.void] | None
) -> NDArray[np.void]:
    """The same, (1,) DATAGRAM_SOCKET. flow: what is told of it, if anything; again once another
    process sends."""
    row = sender(found, process, key, DATAGRAM_SOCKET)
    if flow is not None:
        end = row["end"]
        row["told"] = 1
        end["hi"], end["lo"] = flow["source"][0].view(">u8")
        end["port"], end["protocol"] = flow["source_port"], flow["protocol"]
    return row


def number_of(found: OpenSocket) -> int:
    """What names the socket in flow events."""
    return found.cookie & _SOCKET_BITS


def namespace_of(found: OpenSocket) -> int:
    """Inode number of the socket's network namespace; 0 where the kernel does not tell."""
    try:
        opened = fcntl.ioctl(found.copy, _SIOCGSKNS)
    except OSError:
        return 0
    try:
        return os.fstat(opened).st_ino
    finally:
        os.close(opened)


def flow_of(found: OpenSocket, key: ProcessId) -> NDArray[np.void] | None:
    """What a process of this key holds with a socket, (1,) FLOW_EVENT, time since boot; None if it
    holds nothing."""
    try:
        role = _role(found.copy)
        own, peer = _end(found.copy.getsockname()), _peer(found.copy)
    except OSError:
        # It has just been closed.
        return None
    if role is None or (own[1] == 0 and peer == _NOBODY):
        return None
    row = np.zeros(1, FLOW_EVENT)
    row["time_ns"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    row["process"], row["kind"], row["role"] = key, EventKind.FLOW, role
    row["flags"] = FLAG_OLDER | (0 if any(own[0]) else FLAG_ANY_ADDRESS)
    row["net_namespace"] = namespace_of(found)
    is_stream = found.type == socket.SOCK_STREAM
    row["protocol"] = socket.IPPROTO_TCP if is_stream else found.copy.proto
    row["source"], row["destination"] = (np.frombuffer(end[0], np.uint8) for end in (own, peer))
    if is_stream or found.copy.proto in _WITH_PORTS:
        row["source_port"], row["destination_port"] = own[1], peer[1]
    row["socket"] = number_of(found)
    return row


def _role(copy: socket.socket) -> FlowRole | None:
    if copy.type == socket.SOCK_DGRAM:
        return FlowRole.SENDS if _peer(copy) == _NOBODY else FlowRole.CONNECTS
    if copy.type != socket.SOCK_STREAM or copy.proto not in _STREAMS:
        return None
    state = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    if state == _CLOSE:
        return None
    return FlowRole.LISTENS if state == _LISTEN else FlowRole.CONNECTS


def _peer(copy: socket.socket) -> tuple[bytes, int]:
    try:
        return _end(copy.getpeername())
    except OSError:
        return _NOBODY


def _end(name: tuple[str, int]) -> tuple[bytes, int]:
    """As in events: IPv4 mapped, zero for every address."""
    address, port = name[:2]
    six = ":" in address
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
    return (mapped(packed) if any(packed) else bytes(16)), port
