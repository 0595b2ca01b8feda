"""What a Suricata has to say of a capture: numba's verdicts by the tables of to_suricata, and the
packets that it judges otherwise, each with the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from outermost import without_inner
from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.compiler.sights import NATIVE, NATIVE_8, PARTLY_NATIVE, expression
from procwire.decode.columns import Decoded
from procwire.decode.frame import decode
from procwire.errors import InputDamaged
from procwire.judging.evaluate import evaluate
from procwire.protocol_words import EXTENSIONS
from procwire.rules import all_rules, packet_rules

Verdicts = set[tuple[int, int]]  # (number of the packet, sid)
Rows = NDArray[np.intp]
FRAGMENT, ENCAPSULATED, AUTHENTICATION, NO_NEXT_HEADER = 44, 50, 51, 59
ENCAPSULATED_HEADER = 8
RULES = {rule.sid: rule for rule in packet_rules()}
SIZED_OPTIONS = {25, 130, 134, 136}  # quick start, security, commercial security, stream id
# A packet that breaks one of these may reach no script: Suricata could not decode its IP header.
# Nor does one with an IPv6 extension header behind which nothing follows.
HIDING = [*(name for name in NATIVE if not name.startswith("icmp")), *PARTLY_NATIVE]
DECODING_ORDER = [*HIDING, *NATIVE, *NATIVE_8]  # what ends decoding early comes first
WHOLE_ARP = 28  # bytes, below which it looks at no size
LAST_ARP_OPERATION = 10  # that Suricata knows: InARP and what came before


class Expected(NamedTuple):
    """What numba finds. found: all that Suricata may show; surely: the part that it must show;
    apart: packet -> the reason why nothing is expected of it.
    """

    found: Verdicts
    surely: Verdicts
    apart: dict[int, str]


def expected(capture: Path, version: str) -> Expected:
    """By the tables of to_suricata; up to where the capture is damaged."""
    found: Verdicts = set()
    intact: set[int] = set()
    apart: dict[int, str] = {}
    with contextlib.suppress(InputDamaged):
        for batch in read_capture(capture):
            decoded = without_inner(decode(batch))
            rows = evaluate(batch, decoded)
            sids = [all_rules()[rule].sid for rule in rows["rule"]]
            found |= set(zip(rows["packet"].tolist(), sids, strict=True))
            spans = decoded.spans
            known = np.isin(spans.layer, (layers.IPV4, layers.IPV6))
            intact |= set((spans.packet[known] + batch.first).tolist())
            for reason, judged_otherwise in REASONS.items():
                for row in judged_otherwise(batch, decoded):
                    apart.setdefault(int(row) + batch.first, reason)
    ways = {sid: expression(rule, int(version)).way for sid, rule in RULES.items()}
    found = {(number, sid) for number, sid in found if ways.get(sid, "host") != "host"}
    hidden = {number for number, sid in found if RULES[sid].id in HIDING}
    by_events = {sid for sid in ways if RULES[sid].id in DECODING_ORDER and ways[sid] == "native"}
    surely = {(n, sid) for n, sid in found if sid not in by_events and n in intact - hidden}
    return Expected(found, surely | _first_faults(found), apart)


def differences(wanted: Expected, alerts: Verdicts) -> dict[str, list[tuple[int, str]]]:
    """Verdicts, as (number of the packet, id), that Suricata missed and that it made up."""
    kinds = {"missed": wanted.surely - alerts, "made up": alerts - wanted.found}
    return {
        kind: [(n, RULES[sid].id) for n, sid in sorted(verdicts) if n not in wanted.apart]
        for kind, verdicts in kinds.items()
    }


def excused(wanted: Expected, alerts: Verdicts) -> dict[str, int]:
    """Reason -> verdicts that differ for it."""
    counts: dict[str, int] = {}
    for number, _ in (wanted.surely - alerts) | (alerts - wanted.found):
        reason = wanted.apart.get(number)
        if reason is not None:
            counts[reason] = counts.get(reason, 0) + 1
    return counts


def _first_faults(found: Verdicts) -> Verdicts:
    """Of each packet's faults that end Suricata's decoding, the one that it meets first."""
    faults = [(number, sid) for number, sid in found if RULES[sid].id in DECODING_ORDER]
    faults.sort(key=lambda verdict: DECODING_ORDER.index(RULES[verdict[1]].id), reverse=True)
    return set(dict(faults).items())  # of equal keys, a dict keeps the last


def _headers(batch: PacketBatch, decoded: Decoded, *kinds: int) -> Iterator[tuple[int, bytes]]:
    """(row of the packet, bytes) of each header of the layers, intact or not, with what follows."""
    spans = decoded.spans
    for packet, layer, start, size, *_ in zip(*spans, strict=True):
        if layer % layers.MALFORMED in kinds:
            yield int(packet), batch.data[start:][:size].tobytes()


def _lengths_and_options_of_ipv4(batch: PacketBatch, decoded: Decoded) -> list[int]:
    return [
        row
        for row, data in _headers(batch, decoded, layers.IPV4)
        if data[2:4] == b"\0\0"
        or not SIZED_OPTIONS.isdisjoint(data[20 : 4 * (data[0] & 15)] if data else b"")
    ]


def _ends_of_ipv6(batch: PacketBatch, decoded: Decoded) -> list[int]:
    return [row for row, data in _headers(batch, decoded, layers.IPV6) if _ends_early(data)]


def _ends_early(data: bytes) -> bool:
    if len(data) < 40:
        return True
    end = 40 + int.from_bytes(data[4:6], "big")
    protocol, at = data[6], 40
    while protocol in EXTENSIONS and at + 8 <= min(end, len(data)):
        unit = 4 if protocol == AUTHENTICATION else 8
        size = 8 if protocol == FRAGMENT else 8 + unit * data[at + 1]
        protocol, at = data[at], at + size
    least = ENCAPSULATED_HEADER if protocol == ENCAPSULATED else 2
    return at + least > end and data[6] != NO_NEXT_HEADER


def _old_gre(batch: PacketBatch, decoded: Decoded) -> Rows:
    spans = decoded.spans
    gre = np.flatnonzero((spans.layer == layers.GRE) & (spans.captured >= 2))
    high, low = batch.data[spans.start[gre]], batch.data[spans.start[gre] + 1]
    old = (low & 7 == 0) & (high & 0x48 != 0)
    return spans.packet[gre[old]].astype(np.intp)


def _short_sessions(batch: PacketBatch, decoded: Decoded) -> Rows:
    spans = decoded.spans
    rows = spans.packet[np.isin(spans.layer, (layers.IPV4_MALFORMED, layers.IPV6_MALFORMED))]
    high, low = batch.data[batch.start[rows] + 12], batch.data[batch.start[rows] + 13]
    return rows[(high == 0x88) & (low == 0x64)].astype(np.intp)


def _reserved_labels(batch: PacketBatch, decoded: Decoded) -> Rows:
    spans = decoded.spans
    known = np.isin(spans.layer % layers.MALFORMED, (layers.IPV4, layers.IPV6))
    carried = np.flatnonzero(known & (spans.start - batch.start[spans.packet] >= 18))
    rows, start = spans.packet[carried], spans.start[carried]
    kind = batch.data[batch.start[rows] + 12].astype(int) << 8 | batch.data[batch.start[rows] + 13]
    label = batch.data[start - 4].astype(int) << 12
    label |= batch.data[start - 3].astype(int) << 4 | batch.data[start - 2] >> 4
    reserved = (label < 16) & (label != 0) & (label != 2)
    return rows[np.isin(kind, (0x8847, 0x8848)) & reserved].astype(np.intp)


def _other_arp(batch: PacketBatch, decoded: Decoded) -> list[int]:
    return [
        row
        for row, data in _headers(batch, decoded, layers.ARP)
        if data[:4] != bytes.fromhex("0001 0800")
        or (len(data) < WHOLE_ARP and data[4:6] != bytes.fromhex("0604"))
        or int.from_bytes(data[6:8], "big") > LAST_ARP_OPERATION
    ]


def _on_loopback(batch: PacketBatch, decoded: Decoded) -> Rows:
    return decoded.spans.packet[decoded.spans.layer == layers.LOOPBACK].astype(np.intp)


def _cut(batch: PacketBatch, decoded: Decoded) -> Rows:
    return np.flatnonzero(batch.captured < batch.length)


REASONS: dict[str, Callable[[PacketBatch, Decoded], Rows | list[int]]] = {
    "the capture's snap length cut the packet: truncated, to Suricata": _cut,
    "an IPv4 length of 0, or options whose size Suricata fixes": _lengths_and_options_of_ipv4,
    "an IPv6 header cut short, less than two bytes behind its extensions, or ESP cut, which has an"
    " event of its own": _ends_of_ipv6,
    "a source route in GRE, as RFC 1701 allows: refused before anything else": _old_gre,
    "a packet that does not fit its PPPoE session, whose length Suricata ignores": _short_sessions,
    "an MPLS label that no stack ends with, behind which Suricata does not look": _reserved_labels,
    "a loopback device's headers, which Suricata shows to no rule": _on_loopback,
    "ARP of other networks than Ethernet and IPv4, of their sizes and cut, too, or of operations it"
    " does not know": _other_arp,
}
