"""Community ID, version 1 with seed 0: a name of a flow that other tools give it, too.

It is a hash over the protocol and both ends, the lesser first, so that both directions have the
same. Made here because its package takes fifty times as long, and an alert needs little else.
"""

from __future__ import annotations

import binascii
import hashlib

from procwire.output.address import packed
from procwire.record import Endpoint

# Protocol -> pairs of types that ask and answer, which are one conversation. As ports count the
# type and the other type of its pair, else type and code, and that flow has one direction only.
_ANSWERS = {
    1: ((8, 0), (13, 14), (15, 16), (10, 9), (17, 18)),
    58: ((128, 129), (131, 130), (133, 134), (135, 136), (139, 140), (144, 145)),
}
_OTHER_TYPE = {
    protocol: dict(pairs) | {answer: question for question, answer in pairs}
    for protocol, pairs in _ANSWERS.items()
}
_SEED, _PADDING = bytes(2), bytes(1)


def community_id(source: Endpoint, destination: Endpoint, protocol: int) -> str:
    """The ID of a flow, as of flow_digest()."""
    return id_of(flow_digest(source, destination, protocol))


def id_of(digest: bytes) -> str:
    """The ID of the flow that has this digest."""
    return "1:" + binascii.b2a_base64(digest, newline=False).decode()


def flow_digest(source: Endpoint, destination: Endpoint, protocol: int) -> bytes:
    """20 bytes that name a flow whose ends have ports, or for ICMP type and code in their place:
    the same for both directions."""
    port, other_port = source.port or 0, destination.port or 0
    others, one_way = _OTHER_TYPE.get(protocol), False
    if others is not None:
        one_way = port not in others
        other_port = others.get(port, other_port)
    low = packed(source.address), port.to_bytes(2)
    high = packed(destination.address), other_port.to_bytes(2)
    if high < low and not one_way:
        low, high = high, low
    name = _SEED + low[0] + high[0] + protocol.to_bytes(1) + _PADDING + low[1] + high[1]
    return hashlib.sha1(name, usedforsecurity=False).digest()
