"""Whose many flows are, asked about together: as one by one, counted, and in bounded memory."""

from __future__ import annotations

from ipaddress import ip_network
from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_owners import NaiveOwners
from procwire.event import (
    FLAG_ANY_ADDRESS,
    FLAG_OLDER,
    PROCESS_EVENT,
    EventKind,
    FlowRole,
    Outcome,
)
from procwire.owners.attribution import INFERRED, KERNEL, SURENESS
from procwire.owners.flow_counts import FlowCounts
from procwire.owners.flow_keys import keys_of_contacts
from procwire.owners.flow_owners import FlowOwners
from procwire.record import CONNECTION, Attempt
from test_flow_owners import (
    CONNECT,
    ELSEWHERE,
    HERE,
    HOME,
    TCP,
    THERE,
    UDP,
    S,
    address,
    end,
    event,
    owners,
    whose,
)


def attempt(source, port, peer, peer_port, outcome=Outcome.PENDING, kind=Attempt.CONNECT):
    row = np.zeros(1, CONNECTION)
    for side, text in (("src", source), ("dst", peer)):
        number = int.from_bytes(address(text))
        row[f"{side}_hi"], row[f"{side}_lo"] = number >> 64, number & (1 << 64) - 1
    row["src_port"], row["dst_port"], row["protocol"] = port, peer_port, TCP
    row["time"], row["outcome"], row["kind"] = 20 * S, outcome, kind
    return row


def test_flows_are_counted_by_who_began_them_and_how_surely_their_process_is_known():
    counts = FlowCounts(
        owners(
            event(*CONNECT),
            event(*CONNECT[:3], HERE, 40001, THERE, 80, flags=FLAG_OLDER),
            event(FlowRole.LISTENS, 9, S, "*", 22, flags=FLAG_ANY_ADDRESS),
        )
    )
    taken = Outcome.ESTABLISHED
    rows = [
        attempt(HERE, 40000, THERE, 80),
        attempt(HERE, 40001, THERE, 80),
        attempt(HERE, 40002, THERE, 80),
        *[attempt(THERE, 50000 + n, HERE, 22, taken) for n in range(3)],
        attempt(THERE, 50000, HERE, 23, taken),
        # Another host's, a refusal, what was not answered, and what the kernel asks itself.
        attempt("10.0.0.9", 1, THERE, 80),
        attempt(THERE, 50001, HERE, 24, Outcome.REFUSED),
        attempt(THERE, 50001, HERE, 24),
        attempt(HERE, 0, THERE, 0, kind=Attempt.NEIGHBOUR),
    ]
    counts.update(np.concatenate(rows))
    told = {name: n for name, n in counts.counters().items() if n}
    assert told == {
        "originated_kernel": 1,
        "originated_snapshot": 1,
        "originated_none": 1,
        "accepted_inferred": 3,
        "accepted_none": 1,
    }


ADDRESSES = {HERE: HOME, "127.0.0.1": HOME, "172.17.0.2": ELSEWHERE, "*": HOME}
LOCAL = {
    HOME: [ip_network("10.0.0.1/32"), ip_network("127.0.0.0/8")],
    ELSEWHERE: [ip_network("172.17.0.0/16"), ip_network("127.0.0.0/8")],
    ELSEWHERE + 1: [ip_network("172.17.0.2/32")],
}
TOLD = st.tuples(
    st.sampled_from(list(FlowRole)),
    st.integers(1, 3),
    st.integers(1, 60).map(lambda time: time * S // 2),
    st.sampled_from(list(ADDRESSES)),
    st.integers(40000, 40001),
    st.sampled_from([THERE, "10.0.0.3"]),
    st.just(80),
    st.sampled_from([TCP, UDP]),
    st.sampled_from([0, 0, 0, FLAG_OLDER]),
    st.sampled_from([HOME, HOME, ELSEWHERE, ELSEWHERE + 1, 0]),
)


def any_address(rest):
    return FLAG_ANY_ADDRESS if rest[2] == "*" else 0


@settings(max_examples=150)
@given(
    told=st.lists(TOLD, max_size=40),
    ended=st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 30)), max_size=3, unique_by=itemgetter(0)
    ),
    size=st.integers(1, 40),
    capacity=st.sampled_from([1, 3, 8, 1024]),
)
def test_flows_asked_about_together_are_those_of_the_naive_twin(told, ended, size, capacity):
    events = [
        # No end of a socket is older than the sensor.
        event(role, *rest, flags * (role != FlowRole.ENDS) | any_address(rest), home)
        for role, *rest, flags, home in told
    ]
    table = FlowOwners(HOME, capacity=capacity)
    table.networks(LOCAL)
    for start in range(0, len(events), size):
        table.update(np.concatenate(events[start : start + size]))
    exits = np.zeros(len(ended), PROCESS_EVENT)
    for row, (pid, time) in zip(exits, ended, strict=True):
        row["kind"], row["process"], row["time_ns"] = EventKind.EXIT, (pid * 10, pid, 1), time * S
    table.processes(exits)

    local = [
        (namespace, network)
        for namespace, networks in LOCAL.items()
        for network in networks
        if namespace == HOME or not network.is_loopback
    ]
    naive = NaiveOwners(HOME, local, capacity)
    for one in events:
        naive.update(one)
    naive.exits = {(pid * 10, pid, 1): time * S for pid, time in ended[-capacity:]}

    asked = [
        (source, port, protocol, time * S // 2)
        for source in list(ADDRESSES)[:3]
        for port in (40000, 40001)
        for protocol in (TCP, UDP)
        for time in (1, 20, 59)
    ]
    rows = np.concatenate([attempt(source, port, THERE, 80) for source, port, *_ in asked])
    rows["protocol"], rows["time"] = zip(
        *((protocol, time) for *_, protocol, time in asked), strict=True
    )
    keys = keys_of_contacts(rows, np.arange(len(rows)), "src", "dst")
    together = table.sureness(keys, rows["time"]).tolist()
    for (source, port, protocol, time), place in zip(asked, together, strict=True):
        wanted = naive.owner((source, port), (THERE, 80), protocol, time)
        assert table.owner(end(source, port), end(THERE, 80), protocol, time) == wanted
        assert (SURENESS[place] if place >= 0 else None) == (wanted and wanted[1])
    assert (len(table), table.evicted) == (len(naive.claims), naive.evicted)


def test_flows_of_one_port_are_known_however_often_it_was_used():
    """Sockets of datagrams, each with the port of one before, asked about much later."""
    rows = [
        event(role, 7, time * S, "*", 5000, protocol=UDP, flags=FLAG_ANY_ADDRESS)
        for n in range(3)
        for role, time in ((FlowRole.SENDS, 10 * n + 1), (FlowRole.ENDS, 10 * n + 2))
    ]
    table = owners(*rows)
    asked = np.concatenate([attempt(HERE, 5000, THERE, 80)] * 4)
    asked["protocol"], asked["time"] = UDP, np.array([1, 11, 21, 25]) * S
    keys = keys_of_contacts(asked, np.arange(4), "src", "dst")
    kernel = SURENESS.index(KERNEL)
    assert table.sureness(keys, asked["time"]).tolist() == [kernel, kernel, kernel, -1]


def test_flows_of_a_scan_are_looked_up_however_many_there_are():
    ports = range(20000, 30000)
    table = owners(
        np.concatenate([event(FlowRole.CONNECTS, 7, S, HERE, n, THERE, 80) for n in ports]),
        capacity=1 << 14,
    )
    counts = FlowCounts(table)
    counts.update(np.concatenate([attempt(HERE, n, THERE, 80) for n in ports]))
    assert counts.counters()["originated_kernel"] == len(ports)


def test_datagrams_of_ten_thousand_sockets_are_looked_up_together():
    ports = range(20000, 30000)
    how = {"protocol": UDP, "flags": FLAG_ANY_ADDRESS}
    table = owners(
        np.concatenate([event(FlowRole.SENDS, 7, S, "*", n, **how) for n in ports]),
        np.concatenate([event(FlowRole.ENDS, 7, 20 * S, "*", n, **how) for n in ports]),
        capacity=1 << 14,
    )
    rows = np.concatenate([attempt(HERE, n, THERE, 53, kind=Attempt.DATAGRAM) for n in ports])
    rows["protocol"] = UDP
    counts = FlowCounts(table)
    counts.update(rows)
    assert {name: n for name, n in counts.counters().items() if n} == {"originated_kernel": 10000}


def test_who_still_waits_is_not_forgotten_for_what_comes_and_goes():
    table = owners(
        event(FlowRole.LISTENS, 9, S, "*", 22, flags=FLAG_ANY_ADDRESS),
        event(FlowRole.SENDS, 10, S, "*", 53, protocol=UDP, flags=FLAG_ANY_ADDRESS),
        event(FlowRole.SENDS, 11, S, HERE, 54, protocol=UDP),
        event(FlowRole.ENDS, 11, S, HERE, 54, protocol=UDP),
        capacity=64,
    )
    for n in range(1000):
        table.update(event(FlowRole.CONNECTS, 7, n * S, HERE, 1000 + n, THERE, 80))
    assert whose(table, 2000 * S, 22) == (9, INFERRED)
    assert whose(table, 2000 * S, 53, protocol=UDP) == (10, KERNEL)
    # Two are kept, and one ended before it was forgotten.
    assert (len(table), table.evicted) == (64, 1000 - 62)
    table.update(event(FlowRole.ENDS, 9, 2000 * S, "*", 22, flags=FLAG_ANY_ADDRESS))
    assert whose(table, 2002 * S, 22) is None


@pytest.mark.parametrize("size", [1, 50, 64])
def test_sockets_that_stay_open_leave_room_for_half_of_what_comes(size):
    rows = np.concatenate(
        [event(FlowRole.SENDS, n + 1, S, HERE, 1000 + n, protocol=UDP) for n in range(500)]
    )
    table = owners(*np.split(rows, range(size, 500, size)), capacity=64)
    known = [
        n for n in range(500) if whose(table, 2 * S, 1000 + n, protocol=UDP) == (n + 1, KERNEL)
    ]
    assert len(known) == len(table) == 64
    assert 499 in known
    assert table.evicted == 500 - 64


@pytest.mark.parametrize("size", [1, 7, 64, 500])
def test_the_table_is_bounded_and_says_what_it_forgot(size):
    rows = np.concatenate(
        [event(FlowRole.CONNECTS, n + 1, n, HERE, 1000 + n % 300, THERE, 80) for n in range(500)]
    )
    table = owners(*np.split(rows, range(size, 500, size)), capacity=64)
    assert (len(table), table.evicted) == (64, 436)
    for n in (499, 450, 436):
        assert whose(table, 500, 1000 + n % 300) == (n + 1, KERNEL)
    assert whose(table, 500, 1000 + 435 % 300) is None
