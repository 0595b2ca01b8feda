"""What is told of a capture does not depend on how its packets came: in what they are carried, how
their streams are cut, what else their headers say, and when. `--recordings all` takes every small
labelled capture, else a few are drawn for each way."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from batches import batch_of
from procwire.capture.batch import ETHERNET
from procwire.errors import InputDamaged
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from sent_otherwise import HEADER, LARGEST_FRAME, WAYS, Sent, Way, each
from test_benign_pieces import WIRE, frames_of
from test_carriage import CARRIERS, TO_IPV4, TO_IPV6, kind
from test_tunnels import label

LARGEST = 60_000  # bytes of a capture
DRAWN, DRAWN_OF_CARRIER = 40, 6  # captures

pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="no labelled recordings beside this")

Told = frozenset[tuple[str, bytes | None, bytes | None, bool]]


def told(packets: list[Sent], link: int | list[int] = ETHERNET) -> Told:
    """The checks found, between whom, and whether as an anomaly."""
    analysis = Analysis(Settings())
    batch = batch_of([one.data for one in packets], [one.time for one in packets])
    batch.link[:] = link
    alerts = [*analysis.packets(batch), *analysis.finish()]
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
    **{
        ("firewall__tcp-session-decode-malformed-ipv4.pcap", rule): "an unknown method is known by "
        "its whole line"
        for rule in ("app.protocol_mismatch", "http.request_line_bad")
    },
    ("modbus__fuzz-1011.pcap", "modbus.unsolicited_response"): "read from the stream's middle",
}


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
