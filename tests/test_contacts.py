"""First contacts: one row per attempt, one per end, and nothing for anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_contacts import ACK, FIN, RST, SYN, contacts
from procwire import layers
from procwire.decode.columns import Packets
from procwire.decode.contacts import Contacts
from procwire.errors import UsageError
from procwire.event import Origin, Outcome

SECOND = 1_000_000_000
TIMEOUT = 60 * SECOND
CLIENT, SERVER = 0xFFFF0A000001, 0xFFFF0A000002


def columns(packets):
    """Packets and times of tuples (time, source, port, destination, port, flags, seq)."""
    kinds = ["u1"] * 6 + ["u8"] * 4 + ["u2"] * 2 + ["i4"] + ["u4"] * 2
    blank = {
        name: np.zeros(len(packets), kind)
        for name, kind in zip(Packets._fields, kinds, strict=True)
    }
    blank["transport"][:] = layers.TCP
    for i, (_, src, sport, dst, dport, flags, seq) in enumerate(packets):
        blank["src_hi"][i], blank["src_lo"][i] = divmod(src, 1 << 64)
        blank["dst_hi"][i], blank["dst_lo"][i] = divmod(dst, 1 << 64)
        blank["src_port"][i], blank["dst_port"][i] = sport, dport
        blank["tcp_flags"][i], blank["seq"][i] = flags, seq
    return Packets(**blank), np.array([packet[0] for packet in packets], np.int64)


def outcomes(rows):
    """The rows as the tuples that the twin yields."""
    return [
        (
            int(row["time"]),
            (int(row["src_hi"]) << 64) | int(row["src_lo"]),
            int(row["src_port"]),
            (int(row["dst_hi"]) << 64) | int(row["dst_lo"]),
            int(row["dst_port"]),
            row["outcome"],
        )
        for row in rows
    ]


def syn(time, seq=1, sport=40000, dport=80):
    return (time, CLIENT, sport, SERVER, dport, SYN, seq)


def answer(time, flags, sport=40000, dport=80):
    return (time, SERVER, dport, CLIENT, sport, flags, 9)


def test_an_answered_attempt_gives_two_rows():
    rows = Contacts().update(*columns([syn(5), answer(7, SYN | ACK)]))
    assert outcomes(rows) == [
        (5, CLIENT, 40000, SERVER, 80, Outcome.PENDING),
        (7, CLIENT, 40000, SERVER, 80, Outcome.ESTABLISHED),
    ]
    assert set(rows["origin"]) == {Origin.WIRE}
    assert set(rows["protocol"]) == {6}
    assert set(rows["family"]) == {4}
    assert not rows["process"]["pid"].any()


def test_a_reset_of_a_half_open_attempt_refuses_it():
    rows = Contacts().update(*columns([syn(5), answer(7, RST | ACK), answer(8, RST | ACK)]))
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.REFUSED]


def test_a_reset_after_the_handshake_changes_nothing():
    packets = [syn(5), answer(7, SYN | ACK), answer(8, RST)]
    rows = Contacts().update(*columns(packets))
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.ESTABLISHED]


@pytest.mark.parametrize("flags", [SYN | ACK, RST, RST | ACK, ACK, FIN | ACK, 0, SYN | RST])
def test_backscatter_makes_nobody_a_scanner(flags):
    packets = [answer(time, flags, dport=time) for time in range(1, 50)]
    assert len(Contacts().update(*columns(packets))) == 0


def test_retransmissions_collapse_even_after_the_timeout():
    tracker = Contacts()
    times = [0, 1, 3, 7, 15, 31, 63]
    rows = tracker.update(*columns([syn(10 * SECOND + time * SECOND) for time in times]))
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.TIMED_OUT]
    assert rows["time"][1] == 70 * SECOND


def test_a_reused_port_is_a_new_attempt():
    rows = Contacts().update(*columns([syn(5), answer(6, RST | ACK), syn(8, seq=77)]))
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.REFUSED, Outcome.PENDING]


def test_other_traffic_moves_the_clock():
    tracker = Contacts()
    tracker.update(*columns([syn(5)]))
    packets, times = columns([answer(5 + TIMEOUT, ACK)])
    packets.transport[:] = layers.UDP
    assert outcomes(tracker.update(packets, times)) == [
        (5 + TIMEOUT, CLIENT, 40000, SERVER, 80, Outcome.TIMED_OUT)
    ]


def test_flush_ends_what_waits_at_the_last_packets_time():
    tracker = Contacts()
    tracker.update(*columns([syn(5), syn(9, sport=40001)]))
    assert [(row[0], row[5]) for row in outcomes(tracker.flush())] == [
        (9, Outcome.TIMED_OUT),
        (9, Outcome.TIMED_OUT),
    ]
    assert len(tracker.flush()) == 0


def test_a_full_table_counts_what_it_forgets():
    tracker = Contacts(capacity=8)
    packets = [syn(time, sport=time) for time in range(1, 101)]
    rows = tracker.update(*columns(packets))
    ended = tracker.flush()
    counters = tracker.counters()
    assert len(rows) == counters["attempts"] == 100
    assert len(ended) == counters["timed_out"] == 8
    assert counters["evicted"] + counters["overflow"] == 92


@pytest.mark.parametrize("capacity", [0, 7, 100])
def test_a_wrong_capacity_is_refused(capacity):
    with pytest.raises(UsageError, match="power of two"):
        Contacts(capacity)


PACKET = st.tuples(
    st.integers(0, 40).map(lambda step: step * SECOND),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([SYN, SYN, SYN | ACK, RST, RST | ACK, ACK, FIN, SYN | FIN]),
    st.integers(1, 2),
)


@given(st.lists(PACKET, max_size=60), st.integers(1, 60))
def test_equals_its_twin_wherever_batches_end(steps, batch):
    clock, packets = 0, []
    for step, *rest in steps:
        clock += step - 2 * SECOND
        packets.append((max(clock, 1), *rest))
    tracker = Contacts()
    rows = []
    for start in range(0, len(packets), batch):
        rows += outcomes(tracker.update(*columns(packets[start : start + batch])))
    assert rows == list(contacts(packets, TIMEOUT))


def contacts_of_a_scan(size):
    """The rows of 400 unanswered SYNs to neighbouring hosts, in batches, and the last time."""
    start = 1_790_000_000 * SECOND
    packets = [(start + i * 1_000_000, CLIENT, 40000, SERVER + i, 80, SYN, 1) for i in range(400)]
    tracker = Contacts()
    rows = [
        tracker.update(*columns(packets[first : first + size]))
        for first in range(0, len(packets), size)
    ]
    return rows, packets[-1][0]
