"""The plain twin of procwire.decode.application."""

from __future__ import annotations

import re

from naive_packet import Packet

TCP, UDP = 8, 9
DNS, NTP, DHCP, SNMP, MODBUS, DNP3, HTTP1, TLS, SSH, SMB, SMTP = range(40, 51)
PORTS = {
    UDP: {53: DNS, 5353: DNS, 123: NTP, 67: DHCP, 68: DHCP, 161: SNMP, 162: SNMP, 20000: DNP3},
    TCP: {53: DNS, 502: MODBUS, 20000: DNP3, 25: SMTP, 465: SMTP, 587: SMTP, 2525: SMTP},
}
HTTP_WORDS = b"GET POST HEAD PUT DELE OPTI TRAC CONN PATC PROP HTTP".split()
SMTP_VERBS = b"ehlo helo mail rcpt data bdat rset quit auth star".split()
SMB_STARTS = {bytes([first]) + b"SMB" for first in (0xFF, 0xFE, 0xFD, 0xFC)}
REQUEST_LINE = re.compile(rb"[\w!#$%&'*+.^`|~-]{1,256} [^\n]* (?i:HTTP)/1\.[0-9]\r?\n")
HTTP_STARTS = {start.ljust(4) for start in HTTP_WORDS}


def find_application(packet: Packet, transport: int, start: int, end: int) -> None:
    """Add the span of the message in bytes `start` to `end`, which span `transport` carries."""
    kind, header = packet.spans[transport][:2]
    source, destination = (packet.number(header + at, 2) for at in (0, 2))
    layer = PORTS[kind].get(destination) or PORTS[kind].get(source)
    payload = packet.data[start:end]
    if kind == TCP:
        layer = layer_at_port(layer, payload, end - start)
    if layer is None or not payload:
        return
    if kind == TCP and layer == DNS:
        start += 2
    packet.span(layer, start, end, transport)


def layer_at_port(expected: int | None, payload: bytes, size: int) -> int | None:
    """The layer of what is sent from or to a port that carries the one `expected`."""
    if expected in (DNS, MODBUS, DNP3):
        if BEGINS[expected](payload, size):
            return expected
        other = layer_of_start(payload, size)
        return None if other == TLS and not is_whole_hello(payload) else other
    mail = expected == SMTP and begins_smtp(payload, size)
    return layer_of_start(payload, size) or (SMTP if mail else None)


def layer_of_start(payload: bytes, size: int) -> int | None:
    if payload[:4] in HTTP_STARTS or payload[:4].lower() == b"http":
        return HTTP1
    if len(payload) >= 8 and REQUEST_LINE.match(payload):
        return HTTP1
    if payload.startswith(b"SSH-"):
        return SSH
    if begins_tls(payload, size):
        return TLS
    if payload[:1] == b"\0" and payload[4:8] in SMB_STARTS:
        return SMB
    greets = len(payload) >= 8 and payload[:5].lower() in (b"ehlo ", b"helo ")
    return SMTP if greets else None


def begins_tls(payload: bytes, size: int) -> bool:
    if len(payload) < 5:
        return False
    if payload[0] >= 128:
        counted = int.from_bytes(payload[:2], "big") - 0x8000
        if counted == size - 2 and payload[2] in (1, 4):
            return True
        suites, *others = (int.from_bytes(payload[at : at + 2], "big") for at in (5, 7, 9))
        fits = len(payload) > 10 and counted == 9 + suites + sum(others)
        return fits and payload[2] == 1 and suites > 0 and suites % 3 == 0
    if payload[0] in range(20, 25) and payload[1] == 3 and payload[2] <= 4:
        return True
    return is_whole_hello(payload)


def is_whole_hello(payload: bytes) -> bool:
    record = int.from_bytes(payload[3:5], "big")
    hello = len(payload) >= 9 and payload[0] == 22 and payload[5] in (1, 2)
    return hello and int.from_bytes(payload[6:9], "big") == record - 4


def begins_dns(payload: bytes, size: int) -> bool:
    return size >= 14 and len(payload) >= 2 and int.from_bytes(payload[:2], "big") == size - 2


def begins_modbus(payload: bytes, size: int) -> bool:
    return len(payload) >= 8 and (
        payload[2:4] == b"\0\0" or int.from_bytes(payload[4:6], "big") == size - 6
    )


def begins_dnp3(payload: bytes, size: int) -> bool:
    return payload.startswith(b"\x05\x64")


def begins_smtp(payload: bytes, size: int) -> bool:
    if layer_of_start(payload, size):
        return True
    reply = payload[:1].isdigit() and all(32 <= byte <= 126 for byte in payload[1:3])
    return len(payload) >= 4 and (reply or payload[:4].lower() in SMTP_VERBS)


BEGINS = {DNS: begins_dns, MODBUS: begins_modbus, DNP3: begins_dnp3}
