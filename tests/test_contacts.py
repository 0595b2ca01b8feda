"""First contacts: one row per attempt, one per end, and nothing for anything else."""

from __future__ import annotations

import numpy as np
import pytest
from batches import timed
from hypothesis import given
from hypothesis import strategies as st
from naive_contacts import ACK, FIN, PSH, RST, SYN, TCP, UDP, URG, contacts
from procwire import layers
from procwire.capture.batch import RAW, PacketBatch
from procwire.decode.columns import NO_SPAN, Decoded, Packets, Spans, Verified
from procwire.decode.contacts import Contacts
from procwire.decode.flow_hash import end_hash, flow_hash
from procwire.errors import UsageError
from procwire.event import Origin, Outcome
from procwire.record import Attempt

SECOND = 1_000_000_000
TIMEOUT = 60 * SECOND
REPLY = 5 * SECOND
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


def hashes(packets):
    """Of the flows of packets, all of them TCP or UDP."""
    protocols = np.where(packets.transport == layers.UDP, 17, 6)
    with np.errstate(over="ignore"):
        source = end_hash(packets.src_hi, packets.src_lo, packets.src_port)
        destination = end_hash(packets.dst_hi, packets.dst_lo, packets.dst_port)
        return flow_hash(source, destination, protocols)


def replay(tracker, packets, transport=layers.TCP):
    """The rows that a tracker makes of the tuples that columns() takes."""
    made, times = columns(packets)
    made.transport[:] = transport
    return track(tracker, made, times)


def track(tracker, packets, times):
    """The rows that a tracker makes of columns without bytes."""
    count = len(times)
    data = np.zeros(1, np.uint8)
    data.flags.writeable = False
    batch = PacketBatch(
        data=data,
        start=np.zeros(count, np.int64),
        captured=np.zeros(count, np.int32),
        length=np.zeros(count, np.int32),
        time=times,
        link=np.full(count, RAW, np.uint16),
        cut=np.zeros(count, np.bool_),
        first=1,
    )
    kinds = ["i4", "u1", "i8", "i4", "i4", "i4"]
    spans = Spans(*(np.zeros(0, kind) for kind in kinds))
    sums = Verified(np.zeros(0, np.uint8), np.zeros(0, np.uint64))
    located = hashes(packets), np.full(count, NO_SPAN, np.int32), sums
    skipped, suspects = np.zeros(8, np.int64), np.zeros(0, np.int32)
    decoded = Decoded(packets, spans, skipped, *located, suspects)
    (rows,) = tracker.update(timed(batch), decoded)
    return rows


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
    rows = replay(Contacts(), [syn(5), answer(7, SYN | ACK)])
    assert outcomes(rows) == [
        (5, CLIENT, 40000, SERVER, 80, Outcome.PENDING),
        (7, CLIENT, 40000, SERVER, 80, Outcome.ESTABLISHED),
    ]
    assert set(rows["origin"]) == {Origin.WIRE}
    assert set(rows["protocol"]) == {6}
    assert set(rows["family"]) == {4}
    assert not rows["process"]["pid"].any()


def test_a_reset_of_a_half_open_attempt_refuses_it():
    rows = replay(Contacts(), [syn(5), answer(7, RST | ACK), answer(8, RST | ACK)])
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.REFUSED]


def test_a_reset_after_the_handshake_changes_nothing():
    packets = [syn(5), answer(7, SYN | ACK), answer(8, RST)]
    rows = replay(Contacts(), packets)
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.ESTABLISHED]


@pytest.mark.parametrize("flags", [SYN | ACK, RST, RST | ACK, SYN | RST, SYN | RST | ACK])
def test_backscatter_makes_nobody_a_scanner(flags):
    packets = [answer(time, flags, dport=time) for time in range(1, 50)]
    assert len(replay(Contacts(), packets)) == 0


def test_retransmissions_collapse_even_after_the_timeout():
    tracker = Contacts()
    times = [0, 1, 3, 7, 15, 31, 63]
    rows = replay(tracker, [syn(10 * SECOND + time * SECOND) for time in times])
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.TIMED_OUT]
    assert rows["time"][1] == 70 * SECOND


def test_a_reused_port_is_a_new_attempt():
    rows = replay(Contacts(), [syn(5), answer(6, RST | ACK), syn(8, seq=77)])
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.REFUSED, Outcome.PENDING]


def test_other_traffic_moves_the_clock():
    tracker = Contacts()
    replay(tracker, [syn(5)])
    assert outcomes(replay(tracker, [answer(5 + TIMEOUT, 0)], layers.UDP)) == [
        (5 + TIMEOUT, CLIENT, 40000, SERVER, 80, Outcome.TIMED_OUT)
    ]


def test_flush_ends_what_waits_at_the_last_packets_time():
    tracker = Contacts()
    replay(tracker, [syn(5), syn(9, sport=40001)])
    assert [(row[0], row[5]) for row in outcomes(tracker.flush())] == [
        (9, Outcome.TIMED_OUT),
        (9, Outcome.TIMED_OUT),
    ]
    assert len(tracker.flush()) == 0


def test_a_full_table_counts_what_it_forgets():
    tracker = Contacts(capacity=8)
    packets = [syn(time, sport=time) for time in range(1, 101)]
    rows = replay(tracker, packets)
    ended = tracker.flush()
    counters = tracker.counters()
    assert len(rows) == counters["attempts"] == 100
    assert len(ended) == counters["timed_out"] == 8
    assert counters["evicted"] + counters["overflow"] == 92


@pytest.mark.parametrize("capacity", [0, 7, 100])
def test_a_wrong_capacity_is_refused(capacity):
    with pytest.raises(UsageError, match="power of two"):
        Contacts(capacity)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (0, Attempt.NULL),
        (FIN, Attempt.FIN),
        (FIN | PSH | URG, Attempt.XMAS),
        (FIN | ACK, Attempt.MAIMON),
        (ACK, Attempt.ACK),
    ],
)
def test_a_segment_that_no_connection_explains_is_a_probe(flags, kind):
    probe = (5, CLIENT, 40000, SERVER, 80, flags, 1)
    rows = replay(Contacts(), [probe, probe, answer(7, RST)])
    assert [(row["kind"], row["outcome"]) for row in rows] == [
        (kind, Outcome.PENDING),
        (kind, Outcome.REFUSED),
    ]


@pytest.mark.parametrize("flags", [0, FIN, FIN | PSH | URG, FIN | ACK, ACK])
def test_from_a_service_to_a_client_what_acknowledges_is_no_probe(flags):
    probe = (5, CLIENT, 80, SERVER, 50000, flags, 1)
    assert len(replay(Contacts(), [probe])) == (flags & ACK == 0)


@pytest.mark.parametrize("flags", [0, FIN, FIN | PSH | URG, FIN | ACK, ACK, PSH | ACK])
def test_what_follows_a_connection_is_no_probe(flags):
    later = (9, CLIENT, 40000, SERVER, 80, flags, 2)
    packets = [syn(5), answer(7, SYN | ACK), later, answer(10, flags), later]
    assert len(replay(Contacts(), packets)) == 2


def test_a_connection_older_than_the_capture_is_answered():
    packets = [(5, CLIENT, 40000, SERVER, 80, ACK, 1), answer(6, ACK), answer(7, FIN | ACK)]
    rows = replay(Contacts(), packets)
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.ESTABLISHED]


def test_a_client_that_acknowledges_was_answered_where_we_do_not_look():
    rows = replay(Contacts(), [syn(5), (6, CLIENT, 40000, SERVER, 80, ACK, 2)])
    assert [row["outcome"] for row in rows] == [Outcome.PENDING, Outcome.ESTABLISHED]


def test_the_first_datagram_of_a_flow_asks():
    ask, reply = (5, CLIENT, 40000, SERVER, 53, 0, 0), (6, SERVER, 53, CLIENT, 40000, 0, 0)
    rows = replay(Contacts(), [ask, ask, reply, ask, reply], layers.UDP)
    assert outcomes(rows) == [
        (5, CLIENT, 40000, SERVER, 53, Outcome.PENDING),
        (6, CLIENT, 40000, SERVER, 53, Outcome.ESTABLISHED),
    ]
    assert set(rows["protocol"]) == {17}
    assert len(replay(Contacts(), [reply, ask], layers.UDP)) == 0


@pytest.mark.parametrize("group", [0xFFFFE0000001, 0xFFFFFFFFFFFF, 0xFF02 << 112 | 1, 0xFFFF << 32])
def test_a_group_of_hosts_is_no_destination(group):
    assert len(replay(Contacts(), [(5, CLIENT, 40000, group, 53, 0, 0)], layers.UDP)) == 0


PACKET = st.tuples(
    st.integers(0, 40).map(lambda step: step * SECOND),
    st.sampled_from([TCP, TCP, TCP, UDP]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([1, 2, 5000]),
    st.sampled_from([SYN, SYN, SYN | ACK, RST, RST | ACK, ACK, ACK, FIN, SYN | FIN, 0, FIN | ACK]),
    st.integers(1, 2),
    st.sampled_from([0, 0, 5]),
    st.sampled_from([1, 1, 2, (1 << 32) - 5, 1 << 28]),
)


@given(st.lists(PACKET, max_size=60), st.integers(1, 60))
def test_equals_its_twin_wherever_batches_end(steps, batch):
    clock, packets = 0, []
    for step, protocol, src, sport, dst, dport, flags, *rest in steps:
        clock += step // 2 - 2 * SECOND
        flags = 0 if protocol == UDP else flags
        packets.append((max(clock, 1), protocol, src, sport, dst, dport, flags, *rest))
    tracker = Contacts()
    rows = []
    for start in range(0, len(packets), batch):
        part = packets[start : start + batch]
        made, times = columns([(time, *plain) for time, _, *plain, _, _ in part])
        made.transport[:] = [layers.UDP if packet[1] == UDP else layers.TCP for packet in part]
        made.payload[:] = [packet[-2] for packet in part]
        made.ack[:] = [packet[-1] for packet in part]
        rows += outcomes(track(tracker, made, times))
    assert rows == list(contacts(packets, TIMEOUT, REPLY))


def contacts_of_a_scan(size):
    """The rows of 400 unanswered SYNs to neighbouring hosts, in batches, and the last time."""
    start = 1_790_000_000 * SECOND
    packets = [(start + i * 1_000_000, CLIENT, 40000, SERVER + i, 80, SYN, 1) for i in range(400)]
    tracker = Contacts()
    rows = [
        replay(tracker, packets[first : first + size]) for first in range(0, len(packets), size)
    ]
    return rows, packets[-1][0]
