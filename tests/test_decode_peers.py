"""Reading and decoding every recording: agreement with dpkt and tshark, packet by packet and field
by field. Where they differ by design, the reason is named, counted and bounded."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import dpkt
import pytest
from dpkt_readings import dpkt_reading
from procwire import layers
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.columns import Decoded
from procwire.decode.frame import decode
from procwire.errors import InputDamaged
from readings import Reading, differences, procwire_readings
from tshark_readings import Row, tshark_layers, tshark_reading, tshark_rows

TRANSPORT = frozenset(("transport", "src_port", "dst_port", "flags", "seq", "ack", "payload"))
EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
MOBILITY, FRAGMENT_HEADER = 135, 44
# Packets, by their transport or network layer, that must be read alike at least.
ALIKE = {
    "tcp": 55_000,
    "udp": 15_500,
    "icmp": 180,
    "icmpv6": 200,
    "igmp": 30,
    "sctp": 1,
    "arp": 150,
    "": 1_700,
}


class Seen(NamedTuple):
    """A packet as procwire has it. malformed: a header contradicts itself; enclosed: its columns
    are of a packet inside another."""

    path: Path
    number: int
    time: int
    length: int
    link: int
    data: bytes
    reading: Reading
    malformed: bool
    enclosed: bool


class Excuse(NamedTuple):
    """Why a peer may read other values in some fields, and of how many packets at most."""

    why: str
    applies: Callable[[Seen, Reading], bool]
    fields: frozenset[str]
    most: int


MALFORMED = Excuse(
    "procwire ends at a header that contradicts itself",
    lambda seen, peer: seen.malformed,
    frozenset(Reading._fields) - {"macs", "vlans"},
    180,
)
TOO_MANY_HEADERS = Excuse(
    "procwire walks sixteen extension headers",
    lambda seen, peer: seen.reading.protocol == FRAGMENT_HEADER and not seen.reading.fragment,
    TRANSPORT | {"protocol"},
    2,
)
CUT_HEADER = Excuse(
    "procwire does not ask an extension header that is longer than its packet what follows",
    lambda seen, peer: seen.reading.protocol in EXTENSIONS and not seen.reading.transport,
    frozenset(("protocol",)),
    2,
)
TSHARK_EXCUSES = (
    MALFORMED,
    TOO_MANY_HEADERS,
    CUT_HEADER,
    Excuse(
        "procwire enters three tunnels",
        lambda seen, peer: peer.macs[:4] == seen.reading.macs and len(peer.macs) > 4,
        frozenset(("macs",)),
        2,
    ),
    Excuse(
        "tshark has other names for FabricPath's addresses, and sees a check sequence in the frame",
        lambda seen, peer: len(seen.reading.macs) == 2 and seen.reading.macs[1:] == peer.macs,
        frozenset(("macs", "payload")),
        15,
    ),
    Excuse(
        "tshark gives up at an option of IP that it finds malformed",
        lambda seen, peer: peer.network in ("ip", "ipv6") and not peer.transport,
        TRANSPORT,
        3,
    ),
)
DPKT_EXCUSES = (
    Excuse(
        "dpkt counts payload that was captured",
        lambda seen, peer: len(seen.data) < seen.length and peer.payload < seen.reading.payload,
        frozenset(("payload",)),
        740,
    ),
    MALFORMED,
    TOO_MANY_HEADERS,
    CUT_HEADER,
    Excuse(
        "dpkt takes mobility for a transport",
        lambda seen, peer: peer.protocol == MOBILITY,
        frozenset(("protocol",)),
        8,
    ),
    Excuse(
        "dpkt reads ARP as if all addresses were Ethernet's and IPv4's",
        lambda seen, peer: peer.network == "arp" and not seen.reading.src,
        frozenset(("src", "dst")),
        3,
    ),
    Excuse(
        "dpkt keeps one of three tags",
        lambda seen, peer: len(seen.reading.vlans) > 2,
        frozenset(("vlans",)),
        2,
    ),
)


class Agreement:
    """Compares readings; check() tells whether enough were alike and few enough excused."""

    def __init__(self, excuses: tuple[Excuse, ...]) -> None:
        self._excuses = excuses
        self._alike: Counter[str] = Counter()
        self._excused: Counter[str] = Counter()

    def compare(self, seen: Seen, peer: Reading) -> None:
        fields = differences(seen.reading, peer)
        if not fields:
            network = peer.network if peer.network == "arp" else ""
            self._alike[peer.transport or network] += 1
            return
        for excuse in self._excuses:
            if fields <= excuse.fields and excuse.applies(seen, peer):
                self._excused[excuse.why] += 1
                return
        pytest.fail(f"{seen.path} packet {seen.number}: {fields}\n{seen.reading}\n{peer}")

    def check(self, least: dict[str, int]) -> None:
        for kind, number in least.items():
            assert self._alike[kind] >= number, (kind, self._alike)
        for excuse in self._excuses:
            assert self._excused[excuse.why] <= excuse.most, (excuse.why, self._excused)


def captures(corpus: Path) -> list[Path]:
    return sorted(path for path in corpus.rglob("*") if path.suffix in (".pcap", ".pcapng"))


def batches_before_damage(path: Path) -> tuple[list[PacketBatch], bool]:
    """(batches, whether the file is damaged behind them)"""
    batches: list[PacketBatch] = []
    try:
        for batch in read_capture(path):
            batches.append(batch)
    except InputDamaged:
        return batches, True
    return batches, False


def dpkt_packets(path: Path) -> Iterator[tuple[float, bytes]]:
    with path.open("rb") as file:
        for seconds, data in dpkt.pcap.UniversalReader(file):
            yield float(seconds), data


def test_packets_times_and_bytes_are_those_that_dpkt_reads(corpus: Path) -> None:
    compared = 0
    for path in captures(corpus):
        # dpkt reads every interface with the resolution of the first.
        units = (1.0, 1e3, 1e-3) if path.suffix == ".pcapng" else (1.0,)
        batches, damaged = batches_before_damage(path)
        peer = dpkt_packets(path)
        for batch in batches:
            for start, captured, time in zip(
                batch.start.tolist(), batch.captured.tolist(), batch.time.tolist(), strict=True
            ):
                seconds, data = next(peer)
                assert data == batch.data[start : start + captured].tobytes(), path
                assert any(abs(seconds * unit - time / 1e9) < 1e-5 for unit in units), path
                compared += 1
        assert damaged or next(peer, None) is None, path
    assert compared > 50_000


def inside_others(batch: PacketBatch, decoded: Decoded) -> set[int]:
    """Rows whose columns are of a packet in a tunnel, PPPoE, MPLS, NSH, FabricPath, LLC or behind a
    port's tag, into which dpkt does not look: several Ethernet or IP headers, or one that does not
    follow an ethertype of its own."""
    spans = decoded.spans
    found: Counter[int] = Counter()
    enclosed = set()
    for row, layer, start in zip(
        spans.packet.tolist(), spans.layer.tolist(), spans.start.tolist(), strict=True
    ):
        if layer == layers.ETHERNET and start > batch.start[row]:
            enclosed.add(row)
        if layer in (layers.IPV4, layers.IPV6):
            found[row] += 1
            before = batch.data[start - 2 : start].tobytes()
            framed = batch.link[row] == ETHERNET
            kind = batch.data[batch.start[row] + 12 :][:2].tobytes()
            behind_port = framed and kind in (b"\x89\x26", b"\x89\x3f")
            unnamed = framed and before not in (b"\x08\0", b"\x86\xdd")
            if found[row] > 1 or behind_port or unnamed:
                enclosed.add(row)
    return enclosed


def seen_in(path: Path) -> Iterator[Seen]:
    for batch in batches_before_damage(path)[0]:
        decoded = decode(batch)
        broken = (decoded.spans.layer > layers.MALFORMED) & (decoded.spans.layer < layers.GRE)
        malformed = set(decoded.spans.packet[broken].tolist())
        enclosed = inside_others(batch, decoded)
        for row, reading in enumerate(procwire_readings(batch, decoded)):
            start = int(batch.start[row])
            yield Seen(
                path,
                batch.first + row,
                int(batch.time[row]),
                int(batch.length[row]),
                int(batch.link[row]),
                batch.data[start : start + int(batch.captured[row])].tobytes(),
                reading,
                row in malformed,
                row in enclosed,
            )


@pytest.fixture(scope="module")
def seen(corpus: Path) -> dict[Path, list[Seen]]:
    """The packets of every capture before what is damaged."""
    return {path: list(seen_in(path)) for path in captures(corpus)}


def test_columns_are_those_that_dpkt_decodes(seen: dict[Path, list[Seen]]) -> None:
    agreement, left_out = Agreement(DPKT_EXCUSES), 0
    for packet in (packet for packets in seen.values() for packet in packets):
        peer = None if packet.enclosed else dpkt_reading(packet.link, packet.data)
        if peer is None:
            left_out += 1
        else:
            agreement.compare(packet, peer)
    agreement.check(ALIKE)
    assert left_out < 300


def test_columns_are_those_that_tshark_decodes(
    seen: dict[Path, list[Seen]], tmp_path: Path
) -> None:
    whole = [path for path in seen if not batches_before_damage(path)[1]]
    assert len(seen) - len(whole) <= 2
    agreement, ended = Agreement(TSHARK_EXCUSES), Counter[str]()
    packets = (packet for path in whole for packet in seen[path])
    for packet, row in zip(packets, tshark_of(whole, tmp_path), strict=True):
        seconds, fraction = row["frame.time_epoch"][0].split(".")
        assert int(seconds) * 10**9 + int(fraction.ljust(9, "0")) == packet.time, packet.path
        assert int(row["frame.cap_len"][0]) == len(packet.data)
        assert int(row["frame.len"][0]) == packet.length
        agreement.compare(packet, tshark_reading(row))
        ended[tshark_layers(row)[1]] += 1
    agreement.check(ALIKE)
    # Behind a fragment's IP header, and in tunnels of other kinds, tshark reads on.
    assert 0 < ended["fragment"] < 700
    assert 0 < ended["tunnel"] < 340


def tshark_of(paths: Iterable[Path], folder: Path) -> Iterator[Row]:
    """What tshark reads in all of the captures, one behind the other."""
    for tool in ("tshark", "mergecap"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    merged = folder / "all.pcapng"
    subprocess.run(["mergecap", "-a", "-w", merged, *paths], check=True, timeout=60)
    return tshark_rows(merged)
