"""The same traffic between other hosts: addresses are changed, and checksums by as much as that
makes (RFC 1624), so that wrong ones stay wrong."""

from __future__ import annotations

import struct

from sent_otherwise import HEADER, TCP
from test_carriage import TO_IPV4, TO_IPV6, kind

ARP, UDP, ICMP4, ICMP6 = 0x0806, 17, 1, 58
CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP6: 2}  # what covers the addresses, too
ERRORS = (3, 4, 5, 11, 12)  # of ICMP: they quote a packet, whose checksums make up for its change
ECHOES = (128, 129)  # of ICMPv6: others carry addresses
FLIPPED = 0x5A


class NotRenamedError(Exception):
    """Of a frame in which addresses may stand elsewhere."""


def address(old: bytes) -> bytes:
    """Of the same kind, in the network of /16 or /64 that `old` is of."""
    if len(old) == 4 or old.startswith(bytes(10) + b"\xff\xff"):
        place, is_of_host = len(old) - 2, 0 < old[-4] < 224 and old[-4] != 127
    else:
        place, is_of_host = 9, old[0] >> 5 == 1 or 0xFC <= old[0] < 0xFF
    changed = bytes([old[place] ^ FLIPPED])
    return old[:place] + changed + old[place + 1 :] if is_of_host else old


def renamed(frame: bytes) -> bytes:
    """A frame of Ethernet with ARP, or IP without extension headers and fragments."""
    made = bytearray(frame)
    if kind(frame) == ARP and frame[16:20] == b"\x08\0\6\4" and len(frame) >= 42:
        for place in (28, 38):
            made[place : place + 4] = address(frame[place : place + 4])
    elif kind(frame) == TO_IPV4 and len(frame) >= 34 and frame[20] & 0x3F == 0 == frame[21]:
        _ipv4(made, HEADER)
    elif kind(frame) == TO_IPV6 and len(frame) >= 54:
        change = _swap(made, HEADER + 8, 16) + _swap(made, HEADER + 24, 16)
        _carried(made, HEADER + 40, frame[20], change)
    else:
        raise NotRenamedError
    return bytes(made)


def _ipv4(made: bytearray, at: int) -> None:
    change = _swap(made, at + 12, 4) + _swap(made, at + 16, 4)
    _mend(made, at + 10, change)
    carried, protocol = at + (made[at] & 15) * 4, made[at + 9]
    if protocol != ICMP4:
        _carried(made, carried, protocol, change)
    elif made[carried] in ERRORS and len(made) >= carried + 28:
        quoted = carried + 8
        _mend(made, quoted + 10, _swap(made, quoted + 12, 4) + _swap(made, quoted + 16, 4))


def _carried(made: bytearray, at: int, protocol: int, change: int) -> None:
    place = at + CHECKSUM_AT.get(protocol, 0)
    if place == at or (protocol == ICMP6 and made[at] not in ECHOES):
        raise NotRenamedError
    if protocol != UDP or made[place : place + 2] != bytes(2):
        _mend(made, place, change)


def _swap(made: bytearray, at: int, size: int) -> int:
    """Change the address there; by how much its sum grows."""
    old = bytes(made[at : at + size])
    new = made[at : at + size] = address(old)
    words = f">{size // 2}H"
    return sum(struct.unpack(words, new)) - sum(struct.unpack(words, old))


def _mend(made: bytearray, at: int, change: int) -> None:
    if at + 2 <= len(made):
        total = (~int.from_bytes(made[at : at + 2], "big") & 0xFFFF) + change
        made[at : at + 2] = (~(total % 0xFFFF) & 0xFFFF).to_bytes(2, "big")
