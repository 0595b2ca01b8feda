"""What is told of a capture does not depend on how its packets came: in what they are carried, how
their streams are cut, what else their headers say, and when. `--recordings all` takes every small
labelled capture, else a few are drawn for each way."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from batches import batch_of
from captures import Frame, enhanced, interface, option, pcap, section
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.open import read_capture
from procwire.errors import InputDamaged
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from renamed import NotRenamedError, address, renamed
from sent_otherwise import HEADER, LARGEST_FRAME, WAYS, Sent, Way, each
from test_benign_pieces import WIRE, frames_of
from test_carriage import CARRIERS, TO_IPV4, TO_IPV6, kind
from test_tunnels import label

LARGEST = 60_000  # bytes of a capture
DRAWN, DRAWN_OF_CARRIER, DRAWN_OF_FORM = 40, 6, 10  # captures
SNAPPED = 96  # bytes: Ethernet, IPv6 and TCP without most of its options
OF_HEADERS = ("eth.", "vlan.", "arp.", "ipv4.", "tcp.")
OF_WHOLE_FRAGMENTS = "ipv4.frag_overlap"  # those that were cut are not put together

pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="no labelled recordings beside this")

Told = frozenset[tuple[str, bytes | None, bytes | None, bool]]


def told(packets: list[Sent], link: int | list[int] = ETHERNET) -> Told:
    """The checks found, between whom, and whether as an anomaly."""
    batch = batch_of([one.data for one in packets], [one.time for one in packets])
    batch.link[:] = link
    return told_of([batch])


def told_of(batches: Iterable[PacketBatch]) -> Told:
    analysis = Analysis(Settings())
    alerts = [alert for batch in batches for alert in analysis.packets(batch)]
    alerts += analysis.finish()
    return frozenset(
        (one.check.id, *(end and end.address for end in ends), one.is_anomaly)
        for one in alerts
        for ends in [(one.source, one.destination if one.packet is not None else None)]
    )


@functools.cache
def captures() -> dict[str, list[Sent]]:
    """Those of Ethernet whose packets were captured whole."""
    found = {}
    for path in sorted(WIRE.rglob("*.pcap*")):
        try:
            frames = frames_of(path) if path.stat().st_size <= LARGEST else None
        except InputDamaged:
            continue
        if frames and all(len(frame.data) == frame.length for frame in frames):
            found[str(path.relative_to(WIRE))] = [Sent(frame.data, frame.time) for frame in frames]
    return found


@functools.cache
def told_as_captured(name: str) -> Told:
    return told(captures()[name])


@functools.cache
def with_checks() -> set[str]:
    """Those of which something is to be told."""
    labels = map(json.loads, (WIRE / "labels.jsonl").read_text().splitlines())
    return {label["pcap"] for label in labels if label["checks"]}


def changed(
    way: str, config: pytest.Config, change: Way, drawn: int
) -> Iterator[tuple[str, list[Sent]]]:
    """`drawn` captures, or every one, as they are changed."""
    every = config.getoption("--recordings") == "all"
    names, count = sorted(captures()), 0
    if not every:
        names = [name for name in names if name in with_checks()]
        Random(way).shuffle(names)
    for name in names:
        other = change(captures()[name], Random(name))
        if other != captures()[name]:
            count += 1
            yield name, other
        if count == drawn and not every:
            return
    assert count


# What a way changes of what is told of some captures: (way, rule) -> why.
OTHERWISE = {
    **{
        (way, "eth.src_group_bit"): "an address that was drawn for each frame comes once more"
        for way in WAYS
        if way.startswith("cut") or way == "sent twice"
    },
    ("cut and swapped", "http.request_line_bad"): "what comes out of order answers nothing",
    ("cut and swapped", "http.response_bad"): "what comes out of order answers nothing",
}
# The same of one capture: (capture, rule) -> why.
OTHERWISE_THERE = {
    ("modbus__fuzz-1011.pcap", "modbus.unsolicited_response"): "read from the stream's middle",
}


# What a snap length has told of one capture: its name -> rules. A body that begins like HTTP.
MADE_UP_THERE = {"engine-state__detect-engine-state-01.pcap": {"http.request_line_bad"}}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_told_is_the_same_however_it_was_sent(
    way: str, request: pytest.FixtureRequest
) -> None:
    for name, other in changed(way, request.config, WAYS[way], DRAWN):
        rules = {one[0] for one in told(other) ^ told_as_captured(name)}
        known = {rule for at, rule in OTHERWISE if at == way}
        known |= {rule for at, rule in OTHERWISE_THERE if at == Path(name).name}
        assert rules - known == set(), name


# What is told of a header that is none, of frames and of loops depends on what is around it.
OF_CARRIERS = ("eth.", "vlan.", "ipv4.land", "ipv4.bad_version", "ipv4.truncated", "tun.")
ALL_CARRIERS = {
    **CARRIERS,
    "pseudowire": (
        ETHERNET,
        lambda frame: bytes(12) + b"\x88\x47" + label(16, True) + bytes(4) + frame,
    ),
}


OF_ANY_FRAME = ("a tag", "two tags", "Ethernet in GRE", "VXLAN", "Geneve", "pseudowire")


def test_what_is_told_is_the_same_of_other_hosts(request: pytest.FixtureRequest) -> None:
    def between_others(packets: list[Sent], source: Random) -> list[Sent]:
        try:
            return each(renamed)(packets, source)
        except NotRenamedError:
            return packets

    for name, other in changed("others", request.config, between_others, DRAWN):
        wanted = {
            (rule, *(end and address(end) for end in ends), is_anomaly)
            for rule, *ends, is_anomaly in told_as_captured(name)
        }
        assert told(other) == wanted, name


def as_pcapng(packets: list[Sent], source: Random) -> bytes:
    """Several sections, each in a byte order of its own and with several interfaces."""
    parts, at = [], 0
    while at < len(packets):
        order, count = source.choice("<>"), source.randint(1, 3)
        nanoseconds = option(9, b"\x09", order) + option(0, b"", order)
        parts += [section(order), *[interface(order=order, options=nanoseconds)] * count]
        size = source.randint(1, 20)
        parts += [
            enhanced(one.data, one.time, order, source.randrange(count))
            for one in packets[at : at + size]
        ]
        at += size
    return b"".join(parts)


FILES: dict[str, Callable[[list[Sent], Random], bytes]] = {
    "nanoseconds": lambda packets, source: pcap(
        [Frame(*one) for one in packets], order=source.choice("<>"), nanoseconds=True
    ),
    "pcapng": as_pcapng,
    "pcapng, compressed": lambda packets, source: gzip.compress(as_pcapng(packets, source)),
}


@pytest.mark.parametrize("form", FILES)
def test_what_is_told_is_the_same_of_every_form_of_file(
    form: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    later = WAYS["years later"]
    for name, packets in changed(form, request.config, later, DRAWN_OF_FORM):
        path = tmp_path / "capture"
        path.write_bytes(FILES[form](packets, Random(name)))
        assert told_of(read_capture(path)) == told(packets), name


def test_a_snap_length_behind_the_headers_makes_nothing_up(
    request: pytest.FixtureRequest,
) -> None:
    """What is told of headers is the same; nothing is told of data that was not captured."""
    cut = each(lambda data: data[:SNAPPED])
    for name, other in changed("snapped", request.config, cut, DRAWN):
        lengths = np.array([len(one.data) for one in captures()[name]], np.int32)
        batch = batch_of([one.data for one in other], [one.time for one in other])
        found, whole = told_of([batch._replace(length=lengths)]), told_as_captured(name)
        made_up = {one[0] for one in found - whole}
        assert made_up <= MADE_UP_THERE.get(Path(name).name, set()), name
        lost = {one[0] for one in whole - found if one[0].startswith(OF_HEADERS)}
        assert lost <= {OF_WHOLE_FRAGMENTS}, name


@pytest.mark.parametrize("carrier", ALL_CARRIERS)
def test_what_is_told_is_the_same_whatever_carries_it(
    carrier: str, request: pytest.FixtureRequest
) -> None:
    link, wrap = ALL_CARRIERS[carrier]

    def is_carried(data: bytes) -> bool:
        fits = carrier in OF_ANY_FRAME or kind(data) in (TO_IPV4, TO_IPV6)
        return fits and HEADER <= len(data) <= LARGEST_FRAME

    wrapped = each(lambda data: wrap(data) if is_carried(data) else data)
    for name, other in changed(carrier, request.config, wrapped, DRAWN_OF_CARRIER):
        links = [link if is_carried(one.data) else ETHERNET for one in captures()[name]]
        rules = {one[0] for one in told(other, links) ^ told_as_captured(name)}
        assert {rule for rule in rules if not rule.startswith(OF_CARRIERS)} == set(), name
