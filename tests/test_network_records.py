"""What one record of Zeek or Suricata says: the kind of attempt, its port, and how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from network_records import zeek_columns
from procwire.event import Outcome
from procwire.record import Attempt
from procwire.telemetry.event import Attempted
from reading_records import events, written
from records import START, clock, lines

REFUSED, LOST = Outcome.REFUSED, Outcome.TIMED_OUT
FOUND, SENT = Outcome.ESTABLISHED, Outcome.SENT
ENDS = {4: ("10.0.0.5", "10.0.1.9"), 6: ("fd00::5", "fd00::9")}
TCP, UDP = ("tcp", 40000, 445), ("udp", 40000, 161)
ECHO, ECHO_6 = ("icmp", 8, 0), ("icmp", 128, 129)

Told = tuple[Attempt, int, int, Outcome] | None
"""Kind, protocol, port, outcome; None where nobody tried anything."""


def told(found: list[Attempted]) -> Told:
    if not found:
        return None
    (one,) = found
    return one.kind, one.protocol, one.destination_port, one.outcome


CONNECTIONS = [
    (TCP, "S0", "S", (Attempt.CONNECT, 6, 445, LOST)),
    (TCP, "S0", "ShA", (Attempt.CONNECT, 6, 445, FOUND)),
    (TCP, "SH", "SF", (Attempt.CONNECT, 6, 445, LOST)),
    (TCP, "RSTOS0", "SR", (Attempt.CONNECT, 6, 445, LOST)),
    (TCP, "REJ", "Sr", (Attempt.CONNECT, 6, 445, REFUSED)),
    *((TCP, state, "ShAD", (Attempt.CONNECT, 6, 445, FOUND)) for state in ("S1", "S2", "S3")),
    *((TCP, state, "ShAD", (Attempt.CONNECT, 6, 445, FOUND)) for state in ("SF", "RSTO", "RSTR")),
    *((TCP, state, "h", None) for state in ("OTH", "SHR", "RSTRH")),
    (UDP, "S0", "D", (Attempt.DATAGRAM, 17, 161, LOST)),
    (UDP, "SF", "Dd", (Attempt.DATAGRAM, 17, 161, FOUND)),
    (("unknown_transport", 0, 0), "OTH", "-", None),
]


def of_zeek(
    family: int, what: tuple[str, int, int], state: str, history: str, answers: str
) -> bytes:
    """conn.log with one record; answers: resp_pkts."""
    (source, target), (proto, source_port, port) = ENDS[family], what
    head = (
        zeek_columns([]).decode().replace("history", "history\tresp_pkts").removesuffix("#close\n")
    )
    row = (START, "C1", source, source_port, target, port, proto, "-", "-", state, history, answers)
    return (head + "\t".join(map(str, row)) + "\n").encode()


@pytest.mark.parametrize("family", ENDS)
@pytest.mark.parametrize(("what", "state", "history", "expected"), CONNECTIONS)
def test_zeek_s_states_say_how_a_connection_ended(
    tmp_path: Path,
    family: int,
    what: tuple[str, int, int],
    state: str,
    history: str,
    expected: Told,
) -> None:
    path = written(tmp_path, of_zeek(family, what, state, history, "-"))
    assert told(events(path)) == expected


@pytest.mark.parametrize(
    ("family", "what", "answers", "expected"),
    [
        (4, ECHO, "1", (Attempt.ECHO, 1, 8, FOUND)),
        (4, ECHO, "0", (Attempt.ECHO, 1, 8, LOST)),
        (4, ECHO, "-", (Attempt.ECHO, 1, 8, LOST)),
        (4, ("icmp", 3, 3), "0", None),
        (6, ECHO_6, "1", (Attempt.ECHO, 58, 128, FOUND)),
        (6, ECHO_6, "0", (Attempt.ECHO, 58, 128, LOST)),
        (6, ("icmp", 135, 136), "1", None),
        (6, ECHO, "0", None),
        (4, ECHO_6, "0", None),
    ],
)
def test_zeek_calls_icmp_of_both_versions_icmp(
    tmp_path: Path, family: int, what: tuple[str, int, int], answers: str, expected: Told
) -> None:
    path = written(tmp_path, of_zeek(family, what, "OTH", "-", answers))
    assert told(events(path)) == expected


def of_suricata(
    proto: str, packets: int | None, flags: tuple[int, int] | None, **more: int
) -> bytes:
    family = 6 if proto == "IPv6-ICMP" else 4
    flow = {"start": clock(0, "%Y-%m-%dT%H:%M:%S.%f+0000"), "pkts_toserver": 1}
    record = {
        "timestamp": flow["start"],
        "event_type": "flow",
        "src_ip": ENDS[family][0],
        "dest_ip": ENDS[family][1],
        "proto": proto,
        "flow": flow if packets is None else flow | {"pkts_toclient": packets},
    }
    if flags is not None:
        record["tcp"] = dict(
            zip(("tcp_flags_ts", "tcp_flags_tc"), (f"{f:02x}" for f in flags), strict=True)
        )
    return lines([record | more])


FIN, SYN, RST, ACK = 1, 2, 4, 16
PORTS = {"src_port": 40000, "dest_port": 445}


@pytest.mark.parametrize(
    ("flags", "outcome"),
    [
        ((SYN, 0), LOST),
        ((SYN, RST | ACK), REFUSED),
        ((SYN, SYN | ACK), FOUND),
        ((SYN | RST, SYN | ACK), FOUND),
        ((SYN | ACK, RST), REFUSED),
        # Replies that take another way: who acknowledges was answered.
        ((SYN | ACK, 0), FOUND),
        ((ACK, ACK), None),
        ((0, SYN | ACK), None),
    ],
)
def test_suricata_s_flags_say_how_a_connection_ended(
    tmp_path: Path, flags: tuple[int, int], outcome: Outcome | None
) -> None:
    path = written(tmp_path, of_suricata("TCP", 1, flags, **PORTS))
    expected = None if outcome is None else (Attempt.CONNECT, 6, 445, outcome)
    assert told(events(path)) == expected


@pytest.mark.parametrize(("packets", "outcome"), [(1, FOUND), (0, LOST), (None, SENT)])
@pytest.mark.parametrize(
    ("proto", "more", "expected"),
    [
        ("TCP", PORTS, (Attempt.CONNECT, 6, 445)),
        ("UDP", PORTS, (Attempt.DATAGRAM, 17, 445)),
        ("SCTP", PORTS, (Attempt.DATAGRAM, 132, 445)),
        ("ICMP", {"icmp_type": 8, "icmp_code": 0}, (Attempt.ECHO, 1, 8)),
        ("IPv6-ICMP", {"icmp_type": 128, "icmp_code": 0}, (Attempt.ECHO, 58, 128)),
        ("ICMP", {"icmp_type": 3, "icmp_code": 1}, None),
        ("IPv6-ICMP", {"icmp_type": 135, "icmp_code": 0}, None),
        ("GRE", {}, None),
    ],
)
def test_where_suricata_has_no_flags_packets_back_are_an_answer(
    tmp_path: Path,
    packets: int | None,
    outcome: Outcome,
    proto: str,
    more: dict[str, int],
    expected: tuple[Attempt, int, int] | None,
) -> None:
    path = written(tmp_path, of_suricata(proto, packets, None, **more))
    assert told(events(path)) == (None if expected is None else (*expected, outcome))
