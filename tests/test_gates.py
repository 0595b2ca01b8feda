"""Gates leave out spans on which no rule fires: held against the rules for all values of any two
bytes of headers that are plain, or nearly so, and for every length that may have been captured."""

from __future__ import annotations

import importlib

import numba
import numpy as np
import pytest
from batches import batch_of
from numpy.typing import NDArray
from procwire.decode.frame import decode
from procwire.judging.evaluate import evaluate
from procwire.judging.gates import PLAIN
from procwire.rule import example
from procwire.rules import all_rules, rules_of
from procwire.words import Span

IPV4 = "4500 0028 0001 4000 4006 0000 c000 0201 c633 6401"
ETHERNET = "0200 0000 0002 0200 0000 0001 0800"
IPV6 = "6000 0000 0014 0640 2001 0db8 " + "0000 " * 5 + "0001 2001 0db8 " + "0000 " * 5 + "0002"
SEGMENT = "0400 0050 0000 0001 0000 0002 5010 2000 0000 0000"
WITH_TIMES = SEGMENT.replace("5010", "8010") + " 0101 080a 0000 0001 0000 0000"

# By layer, what is around the header, the bytes whose values are tried, and the headers. Some of
# what rules look for counts only where the checksum holds, so it is in the header already.
NEARLY_PLAIN = {
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


def plain_and_hidden(
    layer: str, header: NDArray[np.uint8], outer: NDArray[np.uint8], tried: int
) -> tuple[int, int]:
    """How many spans made of `header` are plain, and on how many of these a rule fires."""
    gate = PLAIN[layer]
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
                    if gate(p):
                        plain += 1
                        hidden += verdict(p, outer) != 0
                data[second], data[first] = behind, before
        return plain, hidden

    found: tuple[int, int] = count(header, as_captured(header), as_captured(outer), tried)
    return found


def as_captured(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    view = data.view()
    view.flags.writeable = False
    return view


def bytes_of(text: str) -> NDArray[np.uint8]:
    return np.array(list(bytes.fromhex(text)), np.uint8)


@pytest.mark.parametrize("layer", list(PLAIN))
def test_no_rule_fires_on_what_is_plain(layer: str) -> None:
    around, tried, headers = NEARLY_PLAIN[layer]
    for outer in around:
        found = [
            plain_and_hidden(layer, bytes_of(header), bytes_of(outer), tried) for header in headers
        ]
        assert found[0][0] > 1 << 16, "the first is plain"
        assert [hidden for _, hidden in found] == [0] * len(headers)


@pytest.mark.parametrize("layer", list(PLAIN))
def test_what_a_rule_is_written_for_is_not_plain(layer: str) -> None:
    examples = [(rule, text) for rule in rules_of(layer) for text in rule.fires_on]
    assert examples
    hidden = [(rule.id, text) for rule, text in examples if PLAIN[layer](example(text)[0])]
    assert hidden == []


def test_messages_in_segments_are_left_to_their_streams_where_that_is_asked_for() -> None:
    """A request of HTTP without a host."""
    message = b"GET / HTTP/1.1\r\n\r\n"
    segment = bytes.fromhex(SEGMENT) + message
    header = bytearray.fromhex(IPV4)
    header[2:4] = (20 + len(segment)).to_bytes(2)
    batch = batch_of([bytes.fromhex(ETHERNET) + header + segment])
    decoded = decode(batch)
    rules = all_rules()

    def found(segments: bool) -> list[str]:
        return [rules[row].id for row in evaluate(batch, decoded, segments)["rule"]]

    assert found(True) == ["http.host_bad"]
    assert found(False) == []
