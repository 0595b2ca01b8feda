"""Questions that are asked and answered over sockets of the kernel: what a healthy network shows.

As a program: `ordinary.py serve` answers until it is killed, `ordinary.py ask HOST` asks.
"""

from __future__ import annotations

import select
import socket
import struct
import sys

TIMES = 10
TCP_PORT = 8080
DNS, DHCP, NTP, SNMP = 53, 67, 123, 161
DHCP_CLIENT = 68
NAME = b"\7example\3org\0"
# A get-request of version 2c (RFC 3416) around its request id.
SNMP_BEFORE = bytes.fromhex("3024 020101 0406 7075626c6963 a017 0202")
SNMP_AFTER = bytes.fromhex("020100 020100 300b 3009 0605 2b06010201 0500")


def question(port: int, number: int) -> bytes:
    """What a client sends to a service, with an id of its own."""
    return {
        DNS: struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + NAME + b"\0\1\0\1",
        DHCP: struct.pack(">4BI", 1, 1, 6, 0, number) + bytes(228) + b"\x63\x82Sc\x35\1\1\xff",
        NTP: b"\x23" + bytes(39) + struct.pack(">Q", number << 32),
        SNMP: SNMP_BEFORE + struct.pack(">H", number) + SNMP_AFTER,
    }[port]


def answer(port: int, asked: bytes) -> bytes:
    """What the service sends back."""
    if port == DNS:
        address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, 7))
        return asked[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0) + asked[12:] + address
    if port == DHCP:
        return b"\2" + asked[1:-2] + b"\2\xff"
    if port == NTP:
        sent = asked[40:48]
        return b"\x24\2\6\xec" + bytes(12) + sent + sent + sent + sent
    return asked.replace(b"\xa0", b"\xa2", 1)


def datagrams(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", port))
    return made


def serve() -> None:
    """Answer every question, and send back what comes over TCP."""
    services = {datagrams(port): port for port in (DNS, DHCP, NTP, SNMP)}
    streams = socket.create_server(("", TCP_PORT), backlog=64)
    print("ready", flush=True)
    while True:
        for ready in select.select([*services, streams], [], [])[0]:
            if ready is streams:
                client, _ = streams.accept()
                client.sendall(client.recv(64))
                client.close()
            else:
                asked, peer = ready.recvfrom(2048)
                ready.sendto(answer(services[ready], asked), peer)


def ask(host: str) -> None:
    """Ask every service TIMES, each time from another socket."""
    for number in range(1, 1 + TIMES):
        for port in (DNS, DHCP, NTP, SNMP):
            with datagrams(DHCP_CLIENT if port == DHCP else 0) as client:
                client.settimeout(10)
                client.sendto(question(port, number), (host, port))
                assert client.recv(2048) == answer(port, question(port, number))
        with socket.create_connection((host, TCP_PORT), timeout=10) as stream:
            stream.sendall(b"are you there?\n")
            assert stream.recv(64)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        ask(sys.argv[2])
