"""Findings of several sources in the order of their packets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from procwire.judging.packet_order import in_packet_order
from procwire.record import FINDING

ROWS = st.lists(st.integers(0, 9), max_size=12).map(sorted)


def part(rows, rule):
    made = np.zeros(len(rows), FINDING)
    made["row"], made["rule"] = rows, rule
    made["packet"] = made["row"] + 1
    made["start"] = np.arange(len(rows))
    made["size"], made["in_context"] = rule + 7, rule & 1
    return made


@given(st.lists(ROWS, max_size=4))
def test_those_of_one_packet_come_in_the_order_of_their_sources(parts):
    made = [part(rows, rule) for rule, rows in enumerate(parts)]
    joined = np.concatenate([*made, np.zeros(0, FINDING)])
    wanted = joined[np.argsort(joined["row"], kind="stable")]
    assert in_packet_order(*made).tolist() == wanted.tolist()
