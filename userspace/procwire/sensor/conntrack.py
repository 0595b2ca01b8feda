"""New flows whose addresses the kernel translates, as its connection tracking tells them.

Strategy: a netlink socket is told of every new flow before its first packet leaves; a filter of
ours passes those that are translated, so that a host that translates nothing pays nothing. Joining
needs CAP_NET_ADMIN, reading does not. What was refused is forgotten by the kernel at once, so that
nobody could ask later.

Linux include/uapi/linux/netfilter/nfnetlink_conntrack.h, netlink(7).
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture.filter import attach
from procwire.output.address import mapped
from procwire.owners.flow_keys import key_of
from procwire.owners.translations import TRANSLATION

_NETLINK_NETFILTER, _GROUP_NEW = 12, 1 << 0
_SO_RCVBUFFORCE = 33
_BUFFER = 1 << 22
_MESSAGES = 4096
"""Read at a time: what is more waits for the next."""

_HEADER = struct.Struct("=IHHII")
# struct nfgenmsg behind it.
_ATTRIBUTES = _HEADER.size + 4
_ATTRIBUTE = struct.Struct("=HH")
_TYPE = 0x3FFF
_TUPLE_ORIGINAL, _TUPLE_REPLY, _STATUS = 1, 2, 3
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_IP_SOURCE, _IP_DESTINATION = (1, 3), (2, 4)
_PROTOCOL, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TRANSLATED = 0x30  # IPS_SRC_NAT, IPS_DST_NAT
# linux/filter.h: whether the status, which SKF_AD_NLATTR finds, has one of both bits.
_FILTER = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x00, 0, 0, _ATTRIBUTES),
        (0x01, 0, 0, _STATUS),
        (0x20, 0, 0, 0xFFFFF00C),
        (0x15, 4, 0, 0),
        (0x07, 0, 0, 0),
        (0x40, 0, 0, _ATTRIBUTE.size),
        (0x45, 0, 1, _TRANSLATED),
        (0x06, 0, 0, 0xFFFFFFFF),
        (0x06, 0, 0, 0),
    )
)


class _Flow(NamedTuple):
    """One direction of a tracked flow; addresses are 16 bytes."""

    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int


class Conntrack:
    """Translations that begin in this network namespace, from now on.

    lost: times when there were more than the socket holds. Raises OSError where the kernel tracks
    no connections, or CAP_NET_ADMIN is missing.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        try:
            attach(self._socket, _FILTER)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            self._socket.bind((0, _GROUP_NEW))
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def read(self) -> NDArray[np.void]:
        """TRANSLATION (n,) of what began since the last time."""
        pairs = []
        for _ in range(_MESSAGES):
            try:
                pairs += translations(self._socket.recv(1 << 16))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
        rows = np.zeros(len(pairs), TRANSLATION)
        for row, (outer, inner) in zip(rows, pairs, strict=True):
            row["outer"], row["inner"] = outer, inner
        return rows

    def close(self) -> None:
        """Be told nothing more."""
        self._socket.close()


def translations(message: bytes) -> list[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Outer and inner key of each end that a new flow's message says is another one outside; none
    of a message without ports or of another kind."""
    try:
        parts = _attributes(message[_ATTRIBUTES:])
        one, other = _flow(parts[_TUPLE_ORIGINAL]), _flow(parts[_TUPLE_REPLY])
    except (KeyError, struct.error):
        return []
    # Who began it is seen outside where replies go to, and asks whom it will; who answers, where it
    # was asked.
    began, answers = (_turned(other), one), (_turned(one), other)
    ends = [began] if began[0] != began[1] else []
    if answers[0][1:3] != answers[1][1:3]:
        ends.append(answers)
    return [(_key(outer), _key(inner)) for outer, inner in ends]


def _attributes(data: bytes) -> dict[int, bytes]:
    """Content by type; what is cut short ends them."""
    found, at = {}, 0
    while at + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < _ATTRIBUTE.size or at + size > len(data):
            break
        found[kind & _TYPE] = data[at + _ATTRIBUTE.size : at + size]
        at += size + 3 & ~3
    return found


def _flow(data: bytes) -> _Flow:
    parts = _attributes(data)
    addresses, protocol = _attributes(parts[_TUPLE_IP]), _attributes(parts[_TUPLE_PROTOCOL])
    source, destination = (
        mapped(addresses.get(over_ipv4) or addresses[over_ipv6])
        for over_ipv4, over_ipv6 in (_IP_SOURCE, _IP_DESTINATION)
    )
    source_port, destination_port = (
        struct.unpack(">H", protocol[kind])[0] for kind in (_SOURCE_PORT, _DESTINATION_PORT)
    )
    return _Flow(protocol[_PROTOCOL][0], source, source_port, destination, destination_port)


def _turned(flow: _Flow) -> _Flow:
    return _Flow(
        flow.protocol, flow.destination, flow.destination_port, flow.source, flow.source_port
    )


def _key(flow: _Flow) -> NDArray[np.uint64]:
    return key_of(*flow)
