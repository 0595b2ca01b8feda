"""The community id in records is what its package calculates of the same flow."""

from __future__ import annotations

import communityid
import pytest
from hypothesis import given
from hypothesis import strategies as st
from procwire.alert import RAISED, Alert
from procwire.detect.detector import HOST_SWEEP
from procwire.output.address import address_text, packed
from procwire.output.eve import Source, record
from procwire.record import Endpoint

MAPPED = bytes(10) + b"\xff\xff"
IPV4 = st.binary(min_size=4, max_size=4).map(MAPPED.__add__)
IPV6 = st.binary(min_size=16, max_size=16)
PORT = st.integers(0, 65535)


def told_of(source, source_port, destination, destination_port, protocol):
    ends = Endpoint(source, source_port), Endpoint(destination, destination_port)
    alert = Alert("F-0", RAISED, HOST_SWEEP, 3, 0, 0, 0, 1, *ends, protocol, ())
    return record(alert, Source())


def community_id(*flow):
    return told_of(*flow).get("community_id")


def peers_id(source, source_port, destination, destination_port, protocol):
    flow = communityid.FlowTuple(
        protocol, packed(source), packed(destination), source_port, destination_port
    )
    return communityid.CommunityID().calc(flow)


@given(
    st.one_of(st.tuples(IPV4, IPV4), st.tuples(IPV6, IPV6)),
    PORT,
    PORT,
    st.sampled_from([6, 17, 132]),
)
def test_flows_with_ports(addresses, source_port, destination_port, protocol):
    source, destination = addresses
    flow = source, source_port, destination, destination_port, protocol
    assert community_id(*flow) == peers_id(*flow)
    turned = destination, destination_port, source, source_port, protocol
    assert community_id(*turned) == community_id(*flow)


@pytest.mark.parametrize("protocol", [1, 58])
def test_every_type_and_some_codes_of_both_icmp(protocol):
    lower, higher = (MAPPED + bytes([10, 0, 0, last]) for last in (1, 2))
    for source, destination in ((lower, higher), (higher, lower), (lower, lower)):
        for kind in range(256):
            for code in (0, 1, 255):
                flow = source, kind, destination, code, protocol
                assert community_id(*flow) == peers_id(*flow)


def test_a_protocol_without_ports_has_none():
    assert community_id(bytes(16), 0, bytes(16), 0, 47) is None


def test_an_echo_and_its_reply_are_one_flow_and_another_code_is_another():
    here, there = (MAPPED + bytes([10, 0, 0, last]) for last in (1, 2))
    asked, answered = told_of(here, 8, there, 0, 1), told_of(there, 0, here, 0, 1)
    assert asked["flow_id"] == answered["flow_id"]
    assert told_of(here, 3, there, 1, 1)["flow_id"] != told_of(here, 3, there, 2, 1)["flow_id"]
    # Flows without an ID that others know have a number all the same.
    assert told_of(here, 0, there, 0, 47)["flow_id"] < 2**53


@given(st.one_of(IPV4, IPV6))
def test_addresses_are_written_as_the_system_writes_them(address):
    from ipaddress import ip_address

    assert address_text(address) == str(ip_address(packed(address)))
