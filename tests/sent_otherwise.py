"""Other ways to send the packets of a capture, none of which changes what they say."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from test_carriage import TO_IPV4, TO_IPV6, kind

HOUR = 3_600_000_000_000
LARGEST_FRAME = 1514  # what segmentation offload captures is none, and may lack its length
TCP, FIN, SYN, RST, PUSH, URGENT = 6, 0x01, 0x02, 0x04, 0x08, 0x20
HEADER, NO_CHECKSUM = 14, bytes(2)


class Sent(NamedTuple):
    """An Ethernet frame. time: ns since the epoch."""

    data: bytes
    time: int


Way = Callable[[list[Sent], Random], list[Sent]]


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4_header(header: bytes) -> bytes:
    """The same with the right checksum."""
    blank = header[:10] + NO_CHECKSUM + header[12:]
    return blank[:10] + struct.pack(">H", checksum(blank)) + blank[12:]


class Segment(NamedTuple):
    """A sound TCP segment that is not in fragments. head: up to its payload."""

    sent: Sent
    head: bytes
    payload: bytes
    at: int

    @property
    def flags(self) -> int:
        return self.head[self.at + 13]

    @property
    def seq(self) -> int:
        return int.from_bytes(self.head[self.at + 4 : self.at + 8], "big")

    @property
    def path(self) -> bytes:
        """Addresses, ports and what is acknowledged."""
        return self.head[26 : self.at + 4] + self.head[self.at + 8 : self.at + 12]

    def sum(self, segment: bytes) -> int:
        addresses = self.head[26:34] if kind(self.head) == TO_IPV4 else self.head[22:54]
        return checksum(addresses + struct.pack(">HH", TCP, len(segment)) + segment)

    def carrying(self, payload: bytes, seq: int, flags: int) -> Sent:
        head = bytearray(self.head)
        if kind(self.head) == TO_IPV4:
            struct.pack_into(">H", head, 16, len(head) + len(payload) - HEADER)
            head[HEADER : self.at] = ipv4_header(bytes(head[HEADER : self.at]))
        else:
            struct.pack_into(">H", head, 18, len(head) + len(payload) - HEADER - 40)
        struct.pack_into(">I", head, self.at + 4, seq & 0xFFFFFFFF)
        head[self.at + 13] = flags
        head[self.at + 16 : self.at + 18] = NO_CHECKSUM
        struct.pack_into(">H", head, self.at + 16, self.sum(bytes(head[self.at :]) + payload))
        return self.sent._replace(data=bytes(head) + payload)


def segment_of(sent: Sent) -> Segment | None:
    """None where there is no payload, or where it does not only continue what was sent before."""
    data = sent.data
    if kind(data) == TO_IPV4 and len(data) >= 34 and data[20] & 0x3F == 0 == data[21]:
        at, end, protocol = (
            HEADER + (data[14] & 15) * 4,
            int.from_bytes(data[16:18], "big"),
            data[23],
        )
        if checksum(data[HEADER:at]) != 0:
            return None
    elif kind(data) == TO_IPV6 and len(data) >= 54:
        at, end, protocol = 54, int.from_bytes(data[18:20], "big") + 40, data[20]
    else:
        return None
    end += HEADER
    if protocol != TCP or at + 20 > end or end > len(data):
        return None
    payload = at + (data[at + 12] >> 4) * 4
    segment = Segment(sent, data[:payload], data[payload:end], at)
    sound = at + 20 <= payload < end and segment.sum(data[at:end]) == 0
    return segment if sound and segment.flags & (SYN | RST | URGENT) == 0 else None


def cut(segment: Segment, place: int) -> list[Sent]:
    """The segment in two, the first of `place` bytes."""
    payload, seq, flags = segment.payload, segment.seq, segment.flags
    return [
        segment.carrying(payload[:place], seq, flags & ~(FIN | PUSH)),
        segment.carrying(payload[place:], seq + place, flags),
    ]


def cut_at(place: Callable[[int, Random], int]) -> Way:
    def way(packets: list[Sent], source: Random) -> list[Sent]:
        made = []
        for sent in packets:
            segment = segment_of(sent)
            size = len(segment.payload) if segment else 0
            made += cut(segment, place(size, source)) if segment and size > 1 else [sent]
        return made

    return way


def sent_twice(packets: list[Sent], source: Random) -> list[Sent]:
    made = []
    for sent in packets:
        segment = segment_of(sent)
        made += [sent] * (2 if segment and not segment.flags & FIN else 1)
    return made


def neighbours(packets: list[Sent], change: Callable[[Segment, Segment], list[Sent]]) -> list[Sent]:
    """Segments of which the second continues the first, both changed."""
    made, at = [], 0
    while at < len(packets):
        first = segment_of(packets[at])
        second = segment_of(packets[at + 1]) if first and at + 1 < len(packets) else None
        follows = (
            first is not None
            and second is not None
            and first.path == second.path
            and first.seq + len(first.payload) == second.seq
            and (first.flags | second.flags) & FIN == 0
        )
        made += change(first, second) if follows else [packets[at]]
        at += 2 if follows else 1
    return made


def swapped(packets: list[Sent], source: Random) -> list[Sent]:
    return neighbours(
        packets,
        lambda first, second: [
            second.sent._replace(time=first.sent.time),
            first.sent._replace(time=second.sent.time),
        ],
    )


def joined(packets: list[Sent], source: Random) -> list[Sent]:
    """As network cards join segments that they receive."""
    return neighbours(
        packets,
        lambda first, second: [
            first.carrying(first.payload + second.payload, first.seq, second.flags)
        ],
    )


def each(change: Callable[[bytes], bytes]) -> Way:
    return lambda packets, source: [one._replace(data=change(one.data)) for one in packets]


def with_ipv4_options(data: bytes) -> bytes:
    size, total = (data[14] & 15) * 4 if len(data) >= 34 else 0, data[16:18]
    whole = HEADER + int.from_bytes(total, "big") <= len(data)
    if kind(data) != TO_IPV4 or data[14] not in range(0x45, 0x4F) or not whole:
        return data
    header = data[HEADER : HEADER + size]
    if checksum(header) != 0:
        return data
    longer = struct.pack(">H", int.from_bytes(total, "big") + 4)
    header = bytes([data[14] + 1]) + header[1:2] + longer + header[4:] + b"\1\1\1\0"
    return data[:HEADER] + ipv4_header(header) + data[HEADER + size :]


def with_destination_options(data: bytes) -> bytes:
    """One that is skipped by who does not know it (RFC 8200 4.2, RFC 4727 section 3.4)."""
    size = int.from_bytes(data[18:20], "big")
    if kind(data) != TO_IPV6 or len(data) < 54 + max(size, 1) or data[20] == 0:
        return data
    options = data[20:21] + bytes([0, 0x1E, 4]) + bytes(4)
    return data[:18] + struct.pack(">HB", size + 8, 60) + data[21:54] + options + data[54:]


def with_trailer(packets: list[Sent], source: Random) -> list[Sent]:
    return [
        one._replace(data=one.data + source.randbytes(source.randint(1, 30)))
        if HEADER <= len(one.data) <= LARGEST_FRAME
        else one
        for one in packets
    ]


WAYS: dict[str, Way] = {
    "cut anywhere": cut_at(lambda size, source: source.randint(1, size - 1)),
    "cut behind the first byte": cut_at(lambda size, source: 1),
    "cut before the last byte": cut_at(lambda size, source: size - 1),
    "joined": joined,
    "swapped": swapped,
    "cut and swapped": lambda packets, source: swapped(
        WAYS["cut anywhere"](packets, source), source
    ),
    "sent twice": sent_twice,
    "IPv4 options": each(with_ipv4_options),
    "destination options": each(with_destination_options),
    "a trailer": with_trailer,
    "years later": lambda packets, source: [
        one._replace(time=one.time + 200_000 * HOUR) for one in packets
    ],
}
