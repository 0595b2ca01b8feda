"""Whose a flow is, from made-up flow events: ports used again, late packets, shared ends."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import numpy as np
from procwire.event import (
    FLAG_ANY_ADDRESS,
    FLAG_OLDER,
    FLOW_EVENT,
    PROCESS_EVENT,
    EventKind,
    FlowRole,
)
from procwire.owners.attribution import INFERRED, KERNEL, SNAPSHOT
from procwire.owners.flow_owners import FlowOwners
from procwire.record import Endpoint

HOME, ELSEWHERE = 4026531833, 4026532000
S = 10**9
TCP, UDP, ICMP = 6, 17, 1
HERE, THERE = "10.0.0.1", "10.0.0.2"


def address(text: str) -> bytes:
    if text == "*":
        return bytes(16)
    one = ip_address(text)
    return one.packed if one.version == 6 else bytes(10) + b"\xff\xff" + one.packed


def end(text: str, port: int | None = None) -> Endpoint:
    return Endpoint(address(text), port)


def event(role, pid, time, source, port, peer="*", peer_port=0, protocol=TCP, flags=0, home=HOME):
    row = np.zeros(1, FLOW_EVENT)
    row["role"], row["time_ns"], row["protocol"], row["flags"] = role, time, protocol, flags
    row["process"], row["socket"] = (pid * 10, pid, 1), pid
    row["net_namespace"] = home
    row["source"], row["source_port"] = list(address(source)), port
    row["destination"], row["destination_port"] = list(address(peer)), peer_port
    return row


def owners(*events, capacity=1024):
    table = FlowOwners(HOME, [ip_network("10.0.0.1/32"), ip_network("127.0.0.0/8")], capacity)
    for one in events:
        table.update(one)
    return table


def whose(table, time, port=40000, source=HERE, peer=THERE, peer_port=80, protocol=TCP):
    found = table.owner(end(source, port), end(peer, peer_port), protocol, time)
    return found and (found.process[1], found.attribution)


CONNECT = (FlowRole.CONNECTS, 7, 10 * S, HERE, 40000, THERE, 80)


def test_a_connect_is_its_process_s_and_nobody_else_s():
    table = owners(event(*CONNECT))
    assert whose(table, 10 * S) == whose(table, 99 * S) == (7, KERNEL)
    assert whose(table, 10 * S, peer_port=81) is None
    assert whose(table, 10 * S, port=40001) is None
    assert whose(table, 10 * S, protocol=UDP) is None
    assert table.owner(end(THERE, 80), end(HERE, 40000), TCP, 10 * S) is None


def test_a_port_used_again_is_whoever_s_it_was_at_the_time():
    table = owners(event(*CONNECT), event(FlowRole.CONNECTS, 8, 20 * S, HERE, 40000, THERE, 80))
    assert whose(table, 12 * S) == (7, KERNEL)
    assert whose(table, 20 * S) == (8, KERNEL)


def test_a_packet_before_its_event_is_inferred_if_it_is_close():
    table = owners(event(*CONNECT))
    assert whose(table, 10 * S - 20_000) == (7, KERNEL)
    assert whose(table, 10 * S - 1_000_000) == (7, INFERRED)
    assert whose(table, 10 * S - 500_000_000) == (7, INFERRED)
    assert whose(table, 8 * S) is None


def test_a_socket_on_every_address_has_its_port_on_this_host_s_only():
    bound = event(FlowRole.SENDS, 9, S, "*", 53, protocol=UDP, flags=FLAG_ANY_ADDRESS)
    table = owners(bound)
    assert whose(table, 2 * S, 53, protocol=UDP) == (9, KERNEL)
    assert whose(table, 2 * S, 53, source="127.0.0.53", protocol=UDP) == (9, KERNEL)
    assert whose(table, 2 * S, 53, source=THERE, protocol=UDP) is None


def test_what_listens_may_have_handed_on_what_it_accepted():
    table = owners(event(FlowRole.LISTENS, 9, S, HERE, 22))
    assert whose(table, 2 * S, 22, peer_port=50000) == (9, INFERRED)


def test_a_closed_socket_holds_nothing_once_its_last_packets_are_gone():
    table = owners(
        event(FlowRole.SENDS, 9, S, HERE, 5000, protocol=UDP),
        event(FlowRole.ENDS, 9, 5 * S, HERE, 5000, protocol=UDP),
    )
    assert whose(table, 5 * S + 1000, 5000, protocol=UDP) == (9, KERNEL)
    assert whose(table, 7 * S, 5000, protocol=UDP) is None
    table.update(event(FlowRole.SENDS, 10, 8 * S, HERE, 5000, protocol=UDP))
    assert whose(table, 8 * S, 5000, protocol=UDP) == (10, KERNEL)


def test_who_shares_an_end_is_inferred():
    table = owners(
        event(FlowRole.SENDS, 9, S, HERE, 5000, protocol=UDP),
        event(FlowRole.SENDS, 10, 2 * S, HERE, 5000, protocol=UDP),
    )
    assert whose(table, 3 * S, 5000, protocol=UDP) == (10, INFERRED)
    table.update(event(FlowRole.ENDS, 10, 4 * S, HERE, 5000, protocol=UDP))
    assert whose(table, 9 * S, 5000, protocol=UDP) == (9, KERNEL)


def test_who_takes_an_end_a_moment_later_did_not_send_what_came_before():
    """An echo by a ping socket, and one by a process that began as the first had ended."""
    table = owners(
        event(FlowRole.SENDS, 9, S, HERE, 0, protocol=ICMP),
        event(FlowRole.ENDS, 9, S + 500_000, HERE, 0, protocol=ICMP),
        event(FlowRole.WRITES, 10, S + 700_000, HERE, 0, protocol=ICMP),
    )
    assert whose(table, S + 20_000, 0, protocol=ICMP) == (9, KERNEL)
    assert whose(table, S + 720_000, 0, protocol=ICMP) == (10, INFERRED)


def test_a_writer_of_packets_does_not_take_a_socket_s_port_for_sure():
    table = owners(
        event(FlowRole.WRITES, 9, S, HERE, 5000, protocol=UDP),
        event(FlowRole.SENDS, 10, 2 * S, "*", 5000, protocol=UDP, flags=FLAG_ANY_ADDRESS),
    )
    assert whose(table, S, 5000, protocol=UDP) == (9, KERNEL)
    assert whose(table, 3 * S, 5000, protocol=UDP) == (10, INFERRED)


def test_sockets_older_than_the_sensor_are_of_the_snapshot():
    table = owners(
        event(*CONNECT, flags=FLAG_OLDER),
        event(FlowRole.CONNECTS, 8, 20 * S, HERE, 40000, THERE, 80),
    )
    assert whose(table, S) == (7, SNAPSHOT)
    assert whose(table, 20 * S) == (8, KERNEL)


def test_another_namespace_s_flow_is_inferred_and_its_open_ports_are_not_ours():
    table = owners(
        event(FlowRole.CONNECTS, 7, S, "172.17.0.2", 40000, THERE, 80, home=ELSEWHERE),
        event(FlowRole.LISTENS, 8, S, "*", 80, flags=FLAG_ANY_ADDRESS, home=ELSEWHERE),
    )
    assert whose(table, 2 * S, source="172.17.0.2") == (7, INFERRED)
    assert whose(table, 2 * S, 80) is None


def test_a_container_s_open_port_is_its_process_s_once_its_addresses_are_known():
    table = owners(
        event(FlowRole.LISTENS, 8, S, "*", 80, flags=FLAG_ANY_ADDRESS, home=ELSEWHERE),
        event(FlowRole.LISTENS, 9, S, "*", 80, flags=FLAG_ANY_ADDRESS),
        event(FlowRole.LISTENS, 6, S, "*", 80, flags=FLAG_ANY_ADDRESS, home=ELSEWHERE + 1),
    )
    six = "fd00::2"
    assert whose(table, 2 * S, 80, source="172.17.0.2") is None
    assert not table.is_local(address("172.17.0.2"))
    theirs = [ip_network(one) for one in ("172.17.0.2/32", "fd00::2/128", "127.0.0.0/8")]
    table.networks({HOME: [ip_network("10.0.0.1/32")], ELSEWHERE: theirs})
    assert whose(table, 2 * S, 80, source="172.17.0.2") == (8, INFERRED)
    assert whose(table, 2 * S, 80, source=six, peer="fd00::9") == (8, INFERRED)
    assert whose(table, 2 * S, 80) == (9, INFERRED)
    assert table.is_local(address("172.17.0.2"))
    assert not table.is_local(address("127.0.0.1"))
    # Two namespaces with one address: either may be meant.
    table.networks({ELSEWHERE: theirs, ELSEWHERE + 1: theirs})
    assert whose(table, 2 * S, 80, source="172.17.0.2") == (6, INFERRED)


def test_another_namespace_s_loopback_is_not_the_captured_one():
    table = owners(
        event(FlowRole.LISTENS, 8, S, "127.0.0.1", 80, home=ELSEWHERE),
        event(FlowRole.CONNECTS, 8, S, "127.0.0.1", 40000, "127.0.0.1", 80, home=ELSEWHERE),
        event(FlowRole.LISTENS, 8, S, "::1", 80, home=ELSEWHERE),
    )
    assert whose(table, 2 * S, 80, source="127.0.0.1") is None
    assert whose(table, 2 * S, 80, source="::1") is None
    assert whose(table, 2 * S, source="127.0.0.1", peer="127.0.0.1") is None
    table.update(event(FlowRole.LISTENS, 9, S, "127.0.0.1", 80))
    assert whose(table, 2 * S, 80, source="127.0.0.1") == (9, INFERRED)


def test_a_socket_ends_for_all_who_had_it():
    """One bound it, another sends and closes: what both held has ended."""
    bound = event(FlowRole.SENDS, 9, S, HERE, 5000, protocol=UDP)
    handed_on = event(FlowRole.SENDS, 10, 2 * S, HERE, 5000, protocol=UDP)
    ends = event(FlowRole.ENDS, 10, 3 * S, HERE, 5000, protocol=UDP)
    for one in (bound, handed_on, ends):
        one["socket"] = 4711
    again = event(FlowRole.SENDS, 12, 20 * S, HERE, 5000, protocol=UDP)
    table = owners(bound, handed_on, ends)
    assert whose(table, 9 * S, 5000, protocol=UDP) is None
    table.update(again)
    assert whose(table, 21 * S, 5000, protocol=UDP) == (12, KERNEL)


def test_who_is_gone_does_not_put_in_doubt_who_is_there():
    """A raw socket's writer, whose end nobody tells of but by the process's."""
    table = owners(
        event(FlowRole.WRITES, 9, S, HERE, 0, protocol=ICMP),
        event(FlowRole.WRITES, 10, 8 * S, HERE, 0, protocol=ICMP),
    )
    assert whose(table, 9 * S, 0, peer_port=0, protocol=ICMP) == (10, INFERRED)
    exits = np.zeros(1, PROCESS_EVENT)
    exits["kind"], exits["process"], exits["time_ns"] = EventKind.EXIT, (90, 9, 1), 2 * S
    table.processes(exits)
    assert whose(table, 9 * S, 0, peer_port=0, protocol=ICMP) == (10, KERNEL)


def test_who_pings_from_any_address_is_known_at_each():
    table = owners(event(FlowRole.SENDS, 7, S, "*", 0, protocol=ICMP, flags=FLAG_ANY_ADDRESS))
    assert whose(table, 2 * S, 0, peer_port=0, protocol=ICMP) == (7, KERNEL)


def test_icmp_has_no_ports_and_a_forged_source_still_has_its_writer():
    table = owners(
        event(FlowRole.WRITES, 7, S, HERE, 0, protocol=ICMP),
        event(FlowRole.WRITES, 8, S, "192.0.2.9", 4444),
    )
    found = table.owner(end(HERE, 8), end(THERE, 0), ICMP, 2 * S)
    assert found and found.process[1] == 7
    assert whose(table, 2 * S, 4444, source="192.0.2.9") == (8, KERNEL)


def test_an_ended_process_may_have_left_its_socket_to_another():
    table = owners(event(FlowRole.SENDS, 9, S, HERE, 5000, protocol=UDP))
    exits = np.zeros(1, PROCESS_EVENT)
    exits["kind"], exits["process"], exits["time_ns"] = EventKind.EXIT, (90, 9, 1), 2 * S
    table.processes(exits)
    assert whose(table, 2 * S, 5000, protocol=UDP) == (9, KERNEL)
    assert whose(table, 9 * S, 5000, protocol=UDP) == (9, INFERRED)
