"""How addresses are written."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from procwire.output.address import PROTOCOL_NAMES, address_text, mapped

WORDS = st.sampled_from([0, 0, 1, 0xA, 0xBC0, 0xFFFF])


@given(st.lists(WORDS, min_size=8, max_size=8))
def test_ipv6_is_written_as_pythons_own_type_does(words):
    address = b"".join(word.to_bytes(2) for word in words)
    wanted = IPv6Address(address)
    assert address_text(address) == str(wanted.ipv4_mapped or wanted)


@pytest.mark.parametrize("text", ["::", "::1", "::1:2", "::102:304", "::ffff:0:102:304"])
def test_addresses_that_c_writes_with_dots(text):
    assert address_text(IPv6Address(text).packed) == text


@given(st.binary(min_size=4, max_size=4))
def test_ipv4_is_unmapped(address):
    assert address_text(mapped(address)) == str(IPv4Address(address))


@pytest.mark.parametrize("number", PROTOCOL_NAMES)
def test_protocols_have_the_numbers_of_the_system(number):
    name = PROTOCOL_NAMES[number].upper().replace("IPV6-ICMP", "ICMPV6")
    assert getattr(socket, f"IPPROTO_{name}") == number
