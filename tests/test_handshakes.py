"""Who has completed a handshake, and so does not forge the address."""

from __future__ import annotations

import numpy as np
import pytest
from conversations import REFUSED, Conversations
from procwire import layers
from procwire.alert import SOURCE_PROVEN
from procwire.decode.flow import Flows
from procwire.decode.proofs import PROOFS
from procwire.decode.tcp_segment import ACK, FIN, RST, SYN
from scan_traffic import ME, alerts_of, host, shuffled
from test_flow import CLIENT, SECOND, SERVER, update

CLIENT_START, SERVER_START = 1000, 0xFFFFFFFF
WINDOW = 65536


def sent(time, sender, flags, seq, ack=0, client=CLIENT):
    ends = (client, 1024 + time // SECOND % 60000, SERVER, 80)
    source, destination = (ends[:2], ends[2:]) if sender == "client" else (ends[2:], ends[:2])
    return (time, layers.TCP, *source, *destination, flags, seq, ack, 0)


def handshake(time=SECOND, client=CLIENT, ack=SERVER_START + 1):
    return [
        sent(time, "client", SYN, CLIENT_START, client=client),
        sent(time, "server", SYN | ACK, SERVER_START, CLIENT_START + 1, client),
        sent(time, "client", ACK, CLIENT_START + 1, ack & 0xFFFFFFFF, client),
    ]


def has_completed(flows, address=CLIENT, time=SECOND):
    return flows.completed_handshake(address.to_bytes(16), time)


def test_whoever_acknowledges_what_it_was_answered():
    flows = Flows()
    update(flows, handshake()[:2])
    assert not has_completed(flows)
    update(flows, handshake()[2:])
    assert has_completed(flows)
    assert not has_completed(flows, SERVER)
    assert not has_completed(flows, time=SECOND - 1)
    assert has_completed(flows, time=100 * SECOND)


def test_before_1970_as_well():
    flows, begin = Flows(), -1000 * SECOND
    clients = [CLIENT + number for number in range(1000)]
    update(flows, [one for client in clients for one in handshake(begin, client)])
    assert all(has_completed(flows, client, begin) for client in clients)
    assert not has_completed(flows, time=begin - 1)
    assert not has_completed(flows, address=0, time=begin)


def test_an_address_of_zeros_opens_nothing():
    """In a half of an address they are nothing special."""
    flows, router = Flows(), 0x20010DB8 << 96
    update(flows, handshake(client=router))
    assert has_completed(flows, router)
    assert not has_completed(flows, 0)
    assert not has_completed(Flows(), 0)


def test_whoever_cannot_know_the_answer_does_not():
    """What was guessed, resets, and connections of which the answer is missing."""
    syn, answer, _ = handshake()
    forged = [[*handshake(ack=SERVER_START + guess)] for guess in (0, 2, -WINDOW, WINDOW, 1 << 31)]
    forged += [
        [syn, sent(SECOND, "client", ACK, CLIENT_START + 1, 77)],
        [syn, answer, sent(SECOND, "client", RST, CLIENT_START + 1)],
        [syn, answer, sent(SECOND, "client", FIN, CLIENT_START + 1)],
        [sent(SECOND, "client", ACK, CLIENT_START + 1, 77)],
        [syn, sent(SECOND, "server", ACK, SERVER_START, CLIENT_START + 1)],
    ]
    for packets in forged:
        flows = Flows()
        update(flows, packets)
        assert not has_completed(flows), packets


def test_forgets_whoever_was_quiet_for_longest():
    flows, total = Flows(), PROOFS * 3 // 2
    addresses = np.random.default_rng(5).permutation(1 << 24)[:total] + (0xFFFF << 32)
    regular = int(addresses[0])
    for first in range(0, total, 1000):
        ends = enumerate([*addresses[first : first + 1000].tolist(), regular], first)
        update(flows, [one for at, client in ends for one in handshake(at * SECOND, client)])
    late = total * SECOND
    assert has_completed(flows, regular, late)
    recent = [has_completed(flows, int(one), late) for one in addresses[-1000:]]
    assert all(recent)
    known = sum(has_completed(flows, int(one), late) for one in addresses)
    assert PROOFS * 0.9 < known <= PROOFS


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("begin", [0, -2_000_000_000])
def test_alerts_of_scans_say_whether_their_source_is_proven(answers, begin):
    """One scan found a service on its way, the other one none."""
    traffic = Conversations()
    there, back = (ME[4], 50000, host(4, 5), 80), (host(4, 5), 80, ME[4], 50000)
    if answers:
        # Whatever is acknowledged is 7 in these packets.
        for ends, flags, seq in ((there, SYN, 6), (back, SYN | ACK, 6), (there, ACK, 7)):
            traffic.segment(begin, ends, flags, seq)
    for number, port in enumerate(shuffled(80)):
        traffic.connect(begin + 1 + number * 0.1, ME[4], host(4, 5), 1 + 7 * port, REFUSED)
    alerts = alerts_of(traffic)
    assert alerts
    for alert in alerts:
        proven = any(one.name == SOURCE_PROVEN for one in alert.evidence)
        assert proven == answers, alert
