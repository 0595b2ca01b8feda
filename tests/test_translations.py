"""Translated flows: connection tracking's messages, how many are remembered, and whose a flow is
that a container's process has under another name."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from procwire.event import FLOW_EVENT, FlowRole
from procwire.output.address import mapped
from procwire.owners.flow_keys import key_of
from procwire.owners.flow_owners import FlowOwners
from procwire.owners.translations import TRANSLATION, Translations
from procwire.record import Endpoint
from procwire.sensor.conntrack import translations

HERE, CONTAINER = 11, 12
INSIDE, HOST, FAR = "172.30.0.2", "192.0.2.1", "198.51.100.7"
# Protocol, then source and destination with their ports.
Flow = tuple[int, str, int, str, int]
ASKED: Flow = (6, INSIDE, 40000, FAR, 443)
ANSWERED: Flow = (6, FAR, 443, HOST, 61000)


def attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def told(one: Flow, other: Flow) -> bytes:
    """The kernel's message about a new flow with these directions."""
    parts = b""
    for kind, (protocol, source, source_port, destination, destination_port) in (
        (1, one),
        (2, other),
    ):
        ends = [ip_address(source).packed, ip_address(destination).packed]
        first = 1 if len(ends[0]) == 4 else 3
        addresses = b"".join(attribute(first + at, end) for at, end in enumerate(ends))
        ports = attribute(2, struct.pack(">H", source_port))
        ports += attribute(3, struct.pack(">H", destination_port))
        content = attribute(0x8001, addresses)
        content += attribute(0x8002, attribute(1, bytes([protocol])) + ports)
        parts += attribute(0x8000 | kind, content)
    parts += attribute(3, struct.pack(">I", 0x18E))
    return struct.pack("=IHHIIBBH", 20 + len(parts), 0x100, 0, 0, 0, 2, 0, 0) + parts


def end(address: str, port: int) -> Endpoint:
    return Endpoint(mapped(ip_address(address).packed), port)


def key(flow: Flow) -> list[int]:
    protocol, source, source_port, destination, destination_port = flow
    one, other = end(source, source_port), end(destination, destination_port)
    return key_of(protocol, one.address, source_port, other.address, destination_port).tolist()


def pairs(message: bytes) -> list[tuple[list[int], list[int]]]:
    return [(outer.tolist(), inner.tolist()) for outer, inner in translations(message)]


def test_the_end_that_is_another_one_outside_is_told() -> None:
    outside = (6, HOST, 61000, FAR, 443)
    assert pairs(told(ASKED, ANSWERED)) == [(key(outside), key(ASKED))]
    six = (17, "2001:db8::2", 5353, "2001:db8:9::", 53), (17, "2001:db8:9::", 53, "2001:db8::1", 7)
    outside = (17, "2001:db8::1", 7, "2001:db8:9::", 53)
    assert pairs(told(*six)) == [(key(outside), key(six[0]))]
    published = (6, FAR, 50000, HOST, 8080), (6, INSIDE, 80, FAR, 50000)
    # A client on this host would be seen inside as asking whom the flow is sent to.
    asks_inside = (6, FAR, 50000, INSIDE, 80)
    assert pairs(told(*published)) == [
        (key(asks_inside), key(published[0])),
        (key((6, HOST, 8080, FAR, 50000)), key(published[1])),
    ]
    same = (6, FAR, 443, INSIDE, 40000)
    assert pairs(told(ASKED, same)) == []


def test_a_message_that_is_cut_short_tells_nothing() -> None:
    message = told(ASKED, ANSWERED)
    whole = pairs(message)
    for size in range(len(message)):
        assert pairs(message[:size]) in ([], whole)


def test_the_latest_are_remembered() -> None:
    known = Translations(capacity=4)
    rows = np.zeros(6, TRANSLATION)
    for number, row in enumerate(rows):
        row["outer"] = key((6, HOST, 61000 + number, FAR, 443))
        row["inner"] = key((6, INSIDE, 40000 + number, FAR, 443))
    known.update(rows)
    assert known.evicted == 2
    found, inner = known.inner(rows["outer"])
    assert found.tolist() == [2, 3, 4, 5]
    assert inner.tolist() == rows["inner"][2:].tolist()


@pytest.mark.parametrize("is_told", [True, False])
def test_whose_a_translated_flow_is(is_told: bool) -> None:
    owners = FlowOwners(HERE, [ip_network(HOST)])
    claim = np.zeros(1, FLOW_EVENT)
    claim["source"] = np.frombuffer(end(INSIDE, 0).address, np.uint8)
    claim["destination"] = np.frombuffer(end(FAR, 0).address, np.uint8)
    claim["source_port"], claim["destination_port"], claim["protocol"] = 40000, 443, 6
    claim["role"], claim["net_namespace"], claim["time_ns"] = FlowRole.CONNECTS, CONTAINER, 1000
    claim["process"]["pid"] = 4711
    owners.update(claim)
    if is_told:
        outer, inner = translations(told(ASKED, ANSWERED))[0]
        owners.translations.update(np.array([(outer, inner)], TRANSLATION))
    found = owners.owner(end(HOST, 61000), end(FAR, 443), 6, 2000)
    assert (found is not None) == is_told
    if found is not None:
        assert (found.process[1], found.attribution) == (4711, "inferred")
    assert owners.owner(end(HOST, 61001), end(FAR, 443), 6, 2000) is None
