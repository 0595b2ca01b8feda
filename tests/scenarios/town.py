"""What answers at the far end, on every address that is there: serve(folder) says "ready" and runs
until it is killed. HTTP gives the files of `folder`."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ordinary import DNS, NTP, SNMP, answer, datagrams

HTTP, MODBUS, PEER = 80, 502, 30303
# linux/in.h; Python's socket module has it from 3.14 on.
IP_PKTINFO = 8
# Read holding registers (Modbus application protocol 6.3): ten, all zero.
REGISTERS = b"\x03\x14" + bytes(20)


class Files(SimpleHTTPRequestHandler):
    """Says nothing of what it gives, nor of who does not wait for it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *about: object) -> None:
        """Not a word."""

    def handle(self) -> None:
        """Until the caller is gone."""
        with suppress(ConnectionError):
            super().handle()


class DualStack(ThreadingHTTPServer):
    """On every address of both families."""

    address_family = socket.AF_INET6
    request_queue_size = 512


def poll_of(client: socket.socket) -> None:
    """Registers, as often as they are asked for."""
    while len(asked := client.recv(12)) == 12:
        unit = asked[6:7]
        client.sendall(asked[:4] + struct.pack(">H", 1 + len(REGISTERS)) + unit + REGISTERS)


def chat(client: socket.socket) -> None:
    """A peer's words, given back."""
    while said := client.recv(4096):
        client.sendall(said)


def accepting(server: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    """Every caller in a thread of its own."""

    def attend(client: socket.socket) -> None:
        with client, suppress(OSError):
            talk(client)

    while True:
        threading.Thread(target=attend, args=(server.accept()[0],), daemon=True).start()


def streams(port: int) -> socket.socket:
    family = socket.AF_INET6
    return socket.create_server(("::", port), family=family, backlog=512, dualstack_ipv6=True)


def answering(server: socket.socket, port: int) -> None:
    """Answers from the address that was asked (ip(7), IP_PKTINFO), unlike a plain socket."""
    server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    while True:
        asked, ((_, _, info), *_), _, peer = server.recvmsg(2048, socket.CMSG_SPACE(12))
        here = [(socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + info[8:12] + bytes(4))]
        server.sendmsg([answer(port, asked)], here, 0, peer)


def serve(folder: str) -> None:
    """Everything."""
    give = partial(Files, directory=folder)
    works: list[tuple[Any, ...]] = [(DualStack(("", HTTP), give).serve_forever,)]
    works += [(accepting, streams(MODBUS), poll_of), (accepting, streams(PEER), chat)]
    works += [(answering, datagrams(port), port) for port in (DNS, NTP, SNMP)]
    for work, *about in works:
        threading.Thread(target=work, args=about, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()
