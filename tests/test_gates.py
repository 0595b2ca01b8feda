"""Gates leave out spans on which no rule fires: held against the rules for all values of any two
bytes of headers that are plain, or nearly so, and for every length that may have been captured."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace

import numba
import numpy as np
import pytest
from batches import batch_of
from numpy.typing import NDArray
from procwire import layers
from procwire.compiler.gates import SIZES, module
from procwire.decode.frame import decode
from procwire.generated import gates
from procwire.judging.evaluate import evaluate
from procwire.rule import example
from procwire.rules import all_rules, packet_rules, rules_of
from procwire.words import Span

IPV4 = "4500 0028 0001 4000 4006 0000 c000 0201 c633 6401"
ETHERNET = "0200 0000 0002 0200 0000 0001 0800"
IPV6 = "6000 0000 0014 0640 2001 0db8 " + "0000 " * 5 + "0001 2001 0db8 " + "0000 " * 5 + "0002"
SEGMENT = "0400 0050 0000 0001 0000 0002 5010 2000 0000 0000"
WITH_TIMES = SEGMENT.replace("5010", "8010") + " 0101 080a 0000 0001 0000 0000"

# By layer, what is around the header, the bytes whose values are tried, and the headers. Some of
# what rules look for counts only where the checksum holds, so it is in the header already.
NEARLY_PLAIN = {
    "ethernet": (
        ("",),
        22,
        [
            ETHERNET + " 4500 0028 0001 4000 4006",
            ETHERNET.replace("0200 0000 0001", "0300 0000 0001") + " 4500 0028 0001 4000 4006",
            ETHERNET.replace("0800", "8100") + " 0001 8100 0001 8100 0001 0800",
        ],
    ),
    "vlan": ((ETHERNET.replace("0800", "8100"),), 4, ["0001 0800 4500"]),
    "ipv4": (
        (ETHERNET,),
        22,
        [
            IPV4 + " 0400 0050",
            IPV4.replace("4006", "0006") + " 0400 0050",
            IPV4.replace("c000 0201", "e000 0001") + " 0400 0050",
            IPV4.replace("c000 0201", "7f00 0001") + " 0400 0050",
            IPV4.replace("c000 0201", "0000 0001") + " 0400 0050",
            IPV4.replace("c000 0201", "c633 6401") + " 0400 0050",
            IPV4.replace("4500", "4600") + " 0101 0100",
        ],
    ),
    "icmp4": ((IPV4,), 8, ["2800 0000 0001 0002", "0800 0000 0001 0002"]),
    "ipv6": (
        (ETHERNET.replace("0800", "86dd"),),
        14,
        [IPV6 + " 0400 0050", IPV6.replace("0640", "0040") + " 0600 0000 0000 0000"],
    ),
    "icmp6": ((IPV6,), 8, ["9a00 0000 0001 0002", "8700 0000 0001 0002"]),
    "tcp": (
        (IPV4, IPV6),
        24,
        [
            SEGMENT + " 0303 0f00",
            WITH_TIMES,
            WITH_TIMES.replace("080a", "0303"),
            SEGMENT.replace("0400 0050", "0000 0050"),
            SEGMENT.replace("0400 0050", "0400 0000"),
            SEGMENT.replace("5010", "6012") + " 0303 0f00",
        ],
    ),
    "udp": (
        (IPV4, IPV6),
        8,
        ["0400 0035 0008 1234", "0000 0035 0008 1234", "0400 0000 0008 1234"],
    ),
}


def plain_and_hidden(layer: str) -> Callable[..., tuple[int, int]]:
    """Tells how many spans made of a header are plain, and on how many of these a rule fires."""
    may_break = getattr(gates, layer)
    verdict = importlib.import_module(f"procwire.generated.{layer}").verdict

    @numba.njit(nogil=True, _nrt=False)  # type: ignore[misc]
    def count(
        data: NDArray[np.uint8], read: NDArray[np.uint8], around: NDArray[np.uint8], tried: int
    ) -> tuple[int, int]:
        """read: the same bytes as data, of the kind that captures are."""
        plain, hidden = 0, 0
        outer = Span(around, 0, around.size, around.size)
        for first in range(tried):
            for second in range(first, tried):
                before, behind = data[first], data[second]
                for value in range(1 << 16):
                    data[first], data[second] = value >> 8, value & 255
                    captured = data.size
                    if second == first:
                        # One byte only: the upper half of the number says how many are captured.
                        captured = min(value >> 8, data.size)
                    p = Span(read, 0, captured, data.size)
                    if not may_break(p):
                        plain += 1
                        hidden += verdict(p, outer) != 0
                data[second], data[first] = behind, before
        return plain, hidden

    return count  # type: ignore[no-any-return]


def as_captured(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    view = data.view()
    view.flags.writeable = False
    return view


def bytes_of(text: str) -> NDArray[np.uint8]:
    return np.array(list(bytes.fromhex(text)), np.uint8)


@pytest.mark.parametrize("layer", SIZES)
def test_no_rule_fires_on_what_is_plain(layer: str) -> None:
    around, tried, headers = NEARLY_PLAIN[layer]
    count = plain_and_hidden(layer)
    for outer in around:
        found = [
            count(data, as_captured(data), as_captured(bytes_of(outer)), tried)
            for data in map(bytes_of, headers)
        ]
        assert found[0][0] > 1 << 16, "the first is plain"
        assert [hidden for _, hidden in found] == [0] * len(headers)


@pytest.mark.parametrize("layer", SIZES)
def test_what_a_rule_is_written_for_is_not_plain(layer: str) -> None:
    examples = [(rule, text) for rule in rules_of(layer) for text in rule.fires_on]
    assert examples
    may_break = getattr(gates, layer)
    hidden = [(rule.id, text) for rule, text in examples if not may_break(example(text)[0])]
    assert hidden == []


def test_a_gate_follows_from_the_rules_of_its_layer() -> None:
    rules = tuple(packet_rules())
    asked = "u8(p, 8) == 0\n"
    assert asked in module(rules)
    assert asked not in module(tuple(rule for rule in rules if rule.id != "ipv4.ttl_zero"))


def test_a_rule_that_any_header_may_break_is_refused() -> None:
    """ARP with wrong sizes is told by two fields together, of which a gate knows nothing."""
    (rule,) = (rule for rule in packet_rules() if rule.id == "arp.bad_sizes")
    with pytest.raises(ValueError, match="whatever the header holds"):
        module((replace(rule, layers=("ipv4",)),))


def test_messages_in_segments_are_left_to_their_streams_where_that_is_asked_for() -> None:
    """A request of HTTP without a host."""
    message = b"GET / HTTP/1.1\r\n\r\n"
    segment = bytes.fromhex(SEGMENT) + message
    header = bytearray.fromhex(IPV4)
    header[2:4] = (20 + len(segment)).to_bytes(2)
    batch = batch_of([bytes.fromhex(ETHERNET) + header + segment])
    rules = all_rules()

    def found(segments: bool) -> list[str]:
        return [rules[row].id for row in evaluate(batch, decode(batch, segments))["rule"]]

    assert found(True) == ["http.host_bad"]
    assert found(False) == []


def test_rules_look_at_what_may_break_them_and_at_malformed_headers() -> None:
    """A plain segment, one whose header is longer than it, one to port 0, and a datagram of DNS."""
    cut = SEGMENT.replace("5010", "f010")
    to_no_port = SEGMENT.replace("0400 0050", "0400 0000")
    plain = IPV4.replace("4006", "4011").replace("0028", "002f")
    question = "0400 0035 001b 1234 " + "0001 0100 0001 0000 0000 0000 0161 0000 0100 01"
    frames = [f"{ETHERNET} {IPV4} {one}" for one in (SEGMENT, cut, to_no_port)]
    batch = batch_of([bytes.fromhex(one) for one in (*frames, f"{ETHERNET} {plain} {question}")])
    decoded = decode(batch)
    spans = decoded.spans
    looked_at = [(int(spans.packet[row]), int(spans.layer[row])) for row in decoded.suspects]
    assert looked_at == [(1, layers.TCP_MALFORMED), (2, layers.TCP), (3, layers.DNS)]
