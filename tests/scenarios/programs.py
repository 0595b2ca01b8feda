"""What plays at the near end: programs.py NAME ARGUMENTS... runs the function of that name.

Before each round a program prints the time, ns since the epoch: a record may be moved apart there.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice, product
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "live"))
from ordinary import DNS, NTP, SNMP, question  # noqa: E402

# Where nobody answers no answer is waited for; everywhere else one comes, however busy the machine.
SILENT = ("9.", "10.99.", "2001:db8:99:")
NO_TIME_S, ENOUGH_S = 0.02, 60
# Around the time that is printed.
STILL_S = 0.002
HTTP, MODBUS, PEER = 80, 502, 30303
SOCKS = 1080
USERS = range(20_000, 20_010)


def begin_round() -> None:
    """What went before has ended; what comes begins."""
    time.sleep(STILL_S)
    print(time.time_ns(), flush=True)
    time.sleep(STILL_S)


def patience_s(host: str) -> float:
    return NO_TIME_S if host.startswith(SILENT) else ENOUGH_S


def end(client: socket.socket) -> None:
    """Closes when the other end has, so that nothing comes later."""
    client.shutdown(socket.SHUT_WR)
    while client.recv(4096):
        pass


def connected(host: str, port: int, say: bytes = b"") -> bool:
    """Try once; whether somebody was there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(patience_s(host))
        try:
            client.connect((host, port))
        except OSError:
            return False
        client.sendall(say)
        end(client)
        return True


def hosts(network: str, count: int) -> list[str]:
    return [str(host) for host in islice(ipaddress.ip_network(network).hosts(), count)]


def in_child(probe: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        probe()
        os._exit(0)
    os.waitpid(child, 0)


def scan(network: str, count: str, ports: str, order: str, way: str) -> None:
    """Try the ports FIRST-LAST of `count` hosts: in order, at random, or a port of its own on each
    host. way: itself, in a child for each try (child), or in one of many users."""
    first, last = map(int, ports.split("-"))
    targets = list(product(hosts(network, int(count)), range(first, last + 1)))
    if order == "port-each":
        targets = targets[:: last - first + 2]
    elif order == "random":
        random.Random(int(count)).shuffle(targets)
    for number, (host, port) in enumerate(targets):
        begin_round()
        if way == "itself":
            connected(host, port)
        else:
            user = USERS[number % len(USERS)] if way == "users" else os.getuid()
            in_child(partial(connected_as, user, host, port))


def connected_as(user: int, host: str, port: int) -> None:
    os.setuid(user)
    connected(host, port)


def proxy(port: str) -> None:
    """A SOCKS 5 proxy (RFC 1928): no authentication, CONNECT to IPv4 addresses."""
    with socket.create_server(("127.0.0.1", int(port)), backlog=128) as server:
        print("ready", flush=True)
        while True:
            client = server.accept()[0]
            threading.Thread(target=forward, args=(client,), daemon=True).start()


def forward(client: socket.socket) -> None:
    """One client's connection, which ends when the target has said everything."""
    with client, socket.socket() as target, suppress(OSError):
        client.recv(3)
        client.sendall(b"\5\0")
        asked = client.recv(10)
        host = socket.inet_ntoa(asked[4:8])
        target.settimeout(patience_s(host))
        failed = target.connect_ex((host, *struct.unpack("!H", asked[8:])))
        client.sendall(bytes((5, 5 if failed else 0, 0, 1)) + bytes(6))
        if not failed:
            target.sendall(client.recv(4096))
            while said := target.recv(4096):
                client.sendall(said)


@contextmanager
def behind_a_proxy() -> Iterator[None]:
    """The proxy, a program of its own, while there is work for it."""
    command = [sys.executable, "-I", "-S", __file__, "proxy", str(SOCKS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            serving.kill()


def through_proxy(host: str, port: int, say: bytes = b"") -> None:
    with socket.create_connection(("127.0.0.1", SOCKS)) as client:
        client.sendall(b"\5\1\0")
        client.recv(2)
        client.sendall(b"\5\1\0\1" + socket.inet_aton(host) + struct.pack("!H", port))
        if client.recv(10)[1:2] == b"\0":
            client.sendall(say)
            while client.recv(4096):
                pass


def scan_through_proxy(network: str, count: str, port: str) -> None:
    with behind_a_proxy():
        for host in hosts(network, int(count)):
            begin_round()
            through_proxy(host, int(port))


GET = b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"


def busy_proxy() -> None:
    """Three clients, each asking ninety servers, of which one in fifteen is down."""
    servers = mixed("97.80", "99.80", 90, 15)
    with behind_a_proxy():
        clients = [
            threading.Thread(
                target=lambda first: [through_proxy(one, HTTP, GET) for one in servers[first::3]],
                args=(first,),
            )
            for first in range(3)
        ]
        begin_round()
        for client in clients:
            client.start()
        for client in clients:
            client.join()


def mixed(there: str, silent: str, count: int, each: int) -> list[str]:
    """So many addresses, every such one of which does not answer."""
    return [f"10.{silent if n % each == each - 1 else there}.{n + 1}" for n in range(count)]


def ask(kind: int, host: str, number: int) -> None:
    """One question by UDP, from a port of its own; no answer is no trouble."""
    with socket.socket(type=socket.SOCK_DGRAM) as client, suppress(OSError):
        client.settimeout(patience_s(host))
        client.sendto(question(kind, number), (host, kind))
        client.recv(2048)


def resolver() -> None:
    """A recursive one: ten names each from sixty servers of zones, of which one in twenty fails."""
    servers = mixed("97.53", "99.53", 60, 20)
    for number in range(600):
        if number % 60 == 0:
            begin_round()
        ask(DNS, servers[number % 60], number + 1)


def browser() -> None:
    """Pages of forty hosts, six at a time: a name, IPv6 without a route, two connections by IPv4.
    Every tenth host is gone."""

    def load(host: str) -> None:
        ask(DNS, "10.97.53.1", int(host.rpartition(".")[2]))
        connected("2001:db8:dead::" + host.rpartition(".")[2], HTTP)
        for _ in range(2):
            with suppress(OSError):
                page = http.client.HTTPConnection(host, HTTP, timeout=patience_s(host))
                page.request("GET", "/", headers={"Connection": "close"})
                page.getresponse().read()

    begin_round()
    with ThreadPoolExecutor(6) as pages:
        list(pages.map(load, mixed("97.90", "99.90", 40, 10)))


def ipv6_first() -> None:
    """Sixty hosts by IPv6, to which there is no route, and then at once by IPv4 (RFC 8305)."""
    begin_round()
    for number, host in enumerate(hosts("10.97.90.0/24", 60), 1):
        connected(f"2001:db8:dead::{number:x}", HTTP)
        connected(host, HTTP, GET)


def poller(rounds: str) -> None:
    """Each round an echo, a web page's port and an SNMP question of forty hosts; two are down."""
    watched = mixed("97.20", "99.20", 40, 20)
    # As they are called, not as they are numbered.
    random.Random(2).shuffle(watched)
    for number in range(int(rounds)):
        begin_round()
        ping(watched, number)
        for host in watched:
            connected(host, HTTP)
            ask(SNMP, host, number + 1)


def ping(watched: list[str], number: int) -> None:
    """An echo request to each, by a raw socket; answers are not waited for."""
    echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    for host in watched:
        header = struct.pack(">BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, number)
        total = sum(struct.unpack(">4H", header))
        total = (total >> 16) + (total & 0xFFFF)
        echo.sendto(header[:2] + struct.pack(">H", ~total & 0xFFFF) + header[4:], (host, 0))


def pinger(count: str) -> None:
    """Fetches the list of hosts, and pings them in order."""
    begin_round()
    connected("10.97.20.1", HTTP, GET)
    ping(hosts("10.97.21.0/24", int(count)), 1)


def peers(gone: str) -> None:
    """Dials two hundred peers, anywhere, that others have named; so many in ten are gone by now."""
    chance = random.Random(5)
    found = 10 - int(gone)
    for number in range(200):
        network = "11" if number * found % 10 < found else "9"
        host = ".".join([network, *(str(chance.randrange(1, 255)) for _ in range(3))])
        if number % 20 == 0:
            begin_round()
        connected(host, PEER, chance.randbytes(68))


def visits(network: str, count: str) -> None:
    """Fetches a page of so many hosts, one after the other."""
    for host in hosts(network, int(count)):
        begin_round()
        with suppress(OSError):
            page = http.client.HTTPConnection(host, HTTP, timeout=patience_s(host))
            page.request("GET", "/", headers={"Connection": "close"})
            page.getresponse().read()


def modbus(rounds: str) -> None:
    """Polls six units in turn, each time with a connection of its own."""
    for number in range(int(rounds)):
        begin_round()
        for unit in range(1, 7):
            with socket.create_connection((f"10.97.50.{unit}", MODBUS), timeout=10) as client:
                client.sendall(struct.pack(">HHHBBHH", number, 0, 6, unit, 3, 0, 10))
                client.recv(64)
                end(client)


def clock(rounds: str) -> None:
    """Asks four servers for the time."""
    for number in range(int(rounds)):
        begin_round()
        for server in hosts("10.97.123.0/29", 4):
            ask(NTP, server, number + 1)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
