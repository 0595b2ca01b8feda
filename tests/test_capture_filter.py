"""Capture filters: what libpcap compiles selects; what it does not take is said in its words."""

from __future__ import annotations

import ctypes.util
import socket
import struct

import pytest
from procwire.capture import batch as links
from procwire.capture.filter import attach, compile_filter
from procwire.errors import UsageError

pytestmark = pytest.mark.skipif(
    ctypes.util.find_library("pcap") is None,
    reason="libpcap is missing: apt-get install libpcap0.8",
)

# ldb [8]; jeq 'y'; accept; refuse.
STARTS_WITH_Y = b"".join(
    struct.pack("=HBBI", *step)
    for step in ((0x30, 0, 0, 8), (0x15, 0, 1, ord("y")), (6, 0, 0, 0xFFFF), (6, 0, 0, 0))
)


def test_the_program_fits_the_link_type():
    ethernet = compile_filter("udp port 53", links.ETHERNET)
    raw = compile_filter("udp port 53", links.RAW)
    assert len(ethernet) % 8 == len(raw) % 8 == 0
    assert ethernet != raw


def test_the_kernel_runs_it():
    # On a datagram socket a filter sees the datagram from its UDP header on.
    with (
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        attach(receiver, STARTS_WITH_Y)
        for text in (b"n", b"y"):
            sender.sendto(text, receiver.getsockname())
        assert receiver.recv(9) == b"y"


@pytest.mark.parametrize("wrong", ["port port", "tcp and and udp", "a\0b"])
def test_what_it_does_not_take_is_said(wrong):
    with pytest.raises(UsageError, match="filter"):
        compile_filter(wrong, links.ETHERNET)


def test_what_the_kernel_refuses_is_said():
    with (
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
        pytest.raises(UsageError, match="kernel refuses"),
    ):
        attach(receiver, bytes(8 * 5000))
