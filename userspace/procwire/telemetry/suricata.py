"""Suricata's EVE records of flows: who began, and what came back, by TCP's flags or by packets."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from procwire.event import Outcome
from procwire.record import Attempt
from procwire.telemetry.event import Attempted
from procwire.telemetry.lines import Lines
from procwire.telemetry.value import PORTS, PROTOCOLS, address, moment, number, shown

_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_TCP, _UDP, _SCTP = PROTOCOLS["tcp"], PROTOCOLS["udp"], PROTOCOLS["sctp"]
_ICMP_ECHO = {1: 8, 58: 128}


class _Flow(msgspec.Struct):
    start: str | None = None
    pkts_toclient: int | None = None


class _Tcp(msgspec.Struct):
    tcp_flags_ts: str = "00"
    tcp_flags_tc: str = "00"


class _Record(msgspec.Struct):
    timestamp: str | None = None
    event_type: str | None = None
    host: str | None = None
    src_ip: str | None = None
    src_port: int = 0
    dest_ip: str | None = None
    dest_port: int = 0
    proto: str = ""
    icmp_type: int | None = None
    flow: _Flow | None = None
    tcp: _Tcp | None = None


_RECORD = msgspec.json.Decoder(_Record)


def read_eve(lines: Lines) -> Iterator[Attempted]:
    """Attempts of EVE's flow records; all others are left out."""
    for place, line in lines:
        try:
            record = _RECORD.decode(line)
            event = _attempted(record) if record.event_type == "flow" else None
        except (ValueError, RecursionError) as problem:
            lines.malformed(place, str(problem))
            continue
        if event is not None:
            yield event


def _attempted(record: _Record) -> Attempted | None:
    if not record.proto:
        raise ValueError("found no proto, expected one in a flow")
    protocol = PROTOCOLS.get(record.proto.lower(), 0)
    flow = record.flow or _Flow()
    if protocol in _ICMP_ECHO and record.icmp_type == _ICMP_ECHO[protocol]:
        kind, port = Attempt.ECHO, record.icmp_type
        outcome: Outcome | None = _by_packets(flow)
    elif protocol in (_UDP, _SCTP):
        kind, port = Attempt.DATAGRAM, record.dest_port
        outcome = _by_packets(flow)
    elif protocol == _TCP:
        kind, port = Attempt.CONNECT, record.dest_port
        outcome = _by_flags(record.tcp, flow)
    else:
        return None
    if outcome is None:
        return None
    if record.src_ip is None or record.dest_ip is None:
        raise ValueError("found no src_ip or dest_ip, expected both in a flow")
    return Attempted(
        time=moment(flow.start or record.timestamp),
        host=record.host or "",
        actor=None,
        source=address(record.src_ip),
        source_port=number(record.src_port, PORTS),
        destination=address(record.dest_ip),
        destination_port=number(port, PORTS),
        protocol=protocol,
        outcome=outcome,
        kind=kind,
    )


def _by_packets(flow: _Flow) -> Outcome:
    """Without a count nothing is known of the answer."""
    if flow.pkts_toclient is None:
        return Outcome.SENT
    return Outcome.ESTABLISHED if flow.pkts_toclient else Outcome.TIMED_OUT


def _by_flags(tcp: _Tcp | None, flow: _Flow) -> Outcome | None:
    """None for a flow seen from its middle: nobody is known to have begun it."""
    if tcp is None:
        return _by_packets(flow)
    try:
        client, server = int(tcp.tcp_flags_ts, 16), int(tcp.tcp_flags_tc, 16)
    except ValueError:
        raise ValueError(f"found TCP flags {shown(tcp)}, expected hexadecimal") from None
    if not client & _SYN:
        return None
    if server & _SYN or (client & _ACK and not server & _RST):
        return Outcome.ESTABLISHED
    return Outcome.REFUSED if server & _RST else Outcome.TIMED_OUT
