"""Reading and decoding real captures: agreement with dpkt and tshark, packet by packet."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest
from procwire import layers
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.columns import Decoded, Packets
from procwire.decode.frame import decode
from procwire.errors import InputDamaged

# Ordinary traffic, fragments, tags, tunnels, scans, two resolutions in one file, other links.
TSHARK_CAPTURES = (
    "traffic/1kxun.pcap",
    "traffic/dns.pcapng",
    "traffic/dns-google-nsid.pcapng",
    "traffic/dns_fragmented.pcap",
    "traffic/lru_ipv6_caches.pcapng",
    "traffic/http_ipv6.pcap",
    "traffic/stun.pcapng",
    "process/net/ndpi_synscan.pcap",
    "wire/pcaps/ndpi/KakaoTalk_chat.pcap",
    "wire/pcaps/suricata-verify/alert-max__alert-max-20.pcap",
    "wire/pcaps/suricata-verify/smb-length-5786.pcap",
    "wire/pcaps/suricata-verify/http-not09.pcap",
    "wire/pcaps/ndpi/BGP_Cisco_hdlc_slarp.pcap",
    "wire/pcaps/suricata-verify/defrag__bug-6887-defrag-ppp-ipv6-tcp.pcap",
)
TSHARK_FIELDS = (
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.seq_raw",
    "udp.srcport",
    "udp.dstport",
)

# Source and destination address, layer, ports, TCP flags, sequence and acknowledgement.
Flow = tuple[str, str, int, int, int, int, int, int]


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


def addresses(src_hi: int, src_lo: int, dst_hi: int, dst_lo: int) -> tuple[str, str]:
    src, dst = (
        ipaddress.IPv6Address(int(high) << 64 | int(low))
        for high, low in ((src_hi, src_lo), (dst_hi, dst_lo))
    )
    return str(src.ipv4_mapped or src), str(dst.ipv4_mapped or dst)


def own_flows(packets: Packets) -> list[Flow | None]:
    """The TCP and UDP packets as decode() has them."""
    columns = zip(*(column.tolist() for column in packets), strict=True)
    flows: list[Flow | None] = []
    for values in columns:
        row = Packets(*values)
        if row.transport not in (layers.TCP, layers.UDP):
            flows.append(None)
            continue
        ends = addresses(row.src_hi, row.src_lo, row.dst_hi, row.dst_lo)
        ports = row.src_port, row.dst_port
        flows.append((*ends, row.transport, *ports, row.tcp_flags, row.seq, row.ack))
    return flows


def dpkt_flow(data: bytes) -> Flow | None:
    """The TCP or UDP packet in an Ethernet frame, if dpkt finds one that is no fragment."""
    try:
        network = dpkt.ethernet.Ethernet(data).data
    except dpkt.Error:
        return None
    if not isinstance(network, dpkt.ip.IP | dpkt.ip6.IP6):
        return None
    if isinstance(network, dpkt.ip.IP) and (network.mf or network.offset):
        return None
    segment = network.data
    ends = str(ipaddress.ip_address(network.src)), str(ipaddress.ip_address(network.dst))
    if isinstance(segment, dpkt.tcp.TCP):
        extra = segment.flags & 0xFF, segment.seq, segment.ack
        return (*ends, layers.TCP, segment.sport, segment.dport, *extra)
    if isinstance(segment, dpkt.udp.UDP):
        return (*ends, layers.UDP, segment.sport, segment.dport, 0, 0, 0)
    return None


def inside_others(batch: PacketBatch, decoded: Decoded) -> set[int]:
    """Rows whose columns are of a packet in a tunnel, PPPoE, MPLS, FabricPath or LLC, into which
    dpkt does not look: several Ethernet or IP headers, or one that does not follow an ethertype of
    its own."""
    spans = decoded.spans
    found = Counter()
    enclosed = set()
    for row, layer, start in zip(spans.packet, spans.layer, spans.start, strict=True):
        if layer == layers.ETHERNET and start > batch.start[row]:
            enclosed.add(int(row))
        if layer in (layers.IPV4, layers.IPV6):
            found[int(row)] += 1
            before = batch.data[start - 2 : start].tobytes()
            if found[int(row)] > 1 or before not in (b"\x08\0", b"\x86\xdd"):
                enclosed.add(int(row))
    return enclosed


def test_flows_are_those_that_dpkt_decodes(corpus: Path) -> None:
    both = 0
    for path in captures(corpus):
        for batch in batches_before_damage(path)[0]:
            decoded = decode(batch)
            own = own_flows(decoded.packets)
            malformed = set(decoded.spans.packet[decoded.spans.layer > layers.MALFORMED].tolist())
            enclosed = inside_others(batch, decoded)
            for row, (start, captured) in enumerate(
                zip(batch.start.tolist(), batch.captured.tolist(), strict=True)
            ):
                if batch.link[row] != ETHERNET or row in enclosed:
                    continue
                peer = dpkt_flow(batch.data[start : start + captured].tobytes())
                if peer is None and own[row] is None:
                    continue
                if own[row] is None:
                    # dpkt decodes headers that contradict themselves, and first IPv6 fragments.
                    assert row in malformed or decoded.packets.fragment[row], (path, row)
                    continue
                assert own[row] == peer, (path, batch.first + row)
                both += 1
    assert both > 50_000


def tshark_rows(path: Path) -> list[dict[str, str]]:
    """One dictionary per packet; of each field its outermost value, or ""."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=f"]
    command += ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    for field in TSHARK_FIELDS:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [
        dict(zip(TSHARK_FIELDS, line.split("\t"), strict=True))
        for line in result.stdout.splitlines()
    ]


@pytest.mark.parametrize("name", TSHARK_CAPTURES)
def test_packets_are_those_that_tshark_decodes(corpus: Path, name: str) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    peers = iter(tshark_rows(corpus / name))
    decoded_both = 0
    for batch in read_capture(corpus / name):
        decoded = decode(batch)
        for row, own in enumerate(own_flows(decoded.packets)):
            peer = next(peers)
            seconds, fraction = peer["frame.time_epoch"].split(".")
            assert int(seconds) * 10**9 + int(fraction.ljust(9, "0")) == batch.time[row]
            assert int(peer["frame.cap_len"]) == batch.captured[row]
            assert int(peer["frame.len"]) == batch.length[row]
            network = decoded.packets.network[row]
            if network not in (layers.IPV4, layers.IPV6):
                continue
            decoded_both += 1
            prefix = {layers.IPV4: "ip", layers.IPV6: "ipv6"}[network]
            halves = (column[row] for column in decoded.packets[6:10])
            assert (peer[f"{prefix}.src"], peer[f"{prefix}.dst"]) == addresses(*halves)
            if own is None:
                continue
            kind = {layers.TCP: "tcp", layers.UDP: "udp"}[own[2]]
            assert (int(peer[f"{kind}.srcport"]), int(peer[f"{kind}.dstport"])) == own[3:5]
            if kind == "tcp":
                assert int(peer["tcp.flags"], 16) & 0xFF == own[5]
                assert int(peer["tcp.seq_raw"]) == own[6]
    assert next(peers, None) is None
    assert decoded_both > 0
