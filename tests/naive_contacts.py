"""Twin of decode/contacts.py without bounds: dictionaries of flows, searched for what is due."""

from __future__ import annotations

from procwire.event import Outcome
from procwire.record import Attempt

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
TCP, UDP = 6, 17
PROBES = {
    0: Attempt.NULL,
    FIN: Attempt.FIN,
    FIN | PSH | URG: Attempt.XMAS,
    FIN | ACK: Attempt.MAIMON,
    ACK: Attempt.ACK,
}


class Attempts:
    def __init__(self, timeout, reply):
        self.timeouts = [timeout, reply]
        self.attempts = {}
        self.settled = set()
        self.clock = self.order = 0

    def due(self):
        """The attempts whose time is over, soonest first; each ring only up to its first that is
        not."""
        found = []
        for ring, timeout in enumerate(self.timeouts):
            waiting = [
                (entry["order"], key, entry)
                for key, entry in self.attempts.items()
                if entry["open"] and (entry["kind"] != Attempt.CONNECT) == ring
            ]
            for _, key, entry in sorted(waiting, key=lambda one: one[0]):
                if entry["time"] + timeout > self.clock:
                    break
                found.append((entry["time"] + timeout, ring, key))
                entry["open"] = False
        return merged(found)

    def ask(self, key, kind, flags, seq):
        known = self.attempts.get(key)
        if known is not None:
            if known["open"] or kind != Attempt.CONNECT:
                return []
            if known["kind"] == Attempt.CONNECT and known["seq"] == seq:
                return []
        self.order += 1
        self.attempts[key] = {
            "time": self.clock,
            "kind": kind,
            "flags": flags,
            "seq": seq,
            "open": True,
            "order": self.order,
        }
        return [(self.clock, *key[1:], Outcome.PENDING)]

    def answer(self, key, outcome):
        known = self.attempts.get(key)
        if known is None or not known["open"]:
            return []
        known["open"] = False
        return [(self.clock, *key[1:], outcome)]

    def packet(self, protocol, src, sport, dst, dport, flags, seq, payload):
        there, back = (protocol, src, sport, dst, dport), (protocol, dst, dport, src, sport)
        flow = frozenset((there, back))
        if flags & (SYN | RST):
            if flags & RST:
                return self.answer(back, Outcome.REFUSED)
            if flags & ACK:
                return self.answer(back, Outcome.ESTABLISHED)
            self.settled.discard(flow)
            return self.ask(there, Attempt.CONNECT, flags, seq)
        if flow in self.settled:
            return []
        if back in self.attempts:
            self.settled.add(flow)
            return self.answer(back, Outcome.ESTABLISHED)
        if there in self.attempts:
            known = self.attempts[there]
            goes_on = {
                Attempt.CONNECT: flags & ACK,
                Attempt.DATAGRAM: False,
            }.get(known["kind"], flags != known["flags"] or payload)
            if known["open"] and not goes_on:
                return []
            self.settled.add(flow)
            return self.answer(there, Outcome.ESTABLISHED)
        kind = PROBES.get(flags) if protocol == TCP else Attempt.DATAGRAM
        if (payload and flags & ACK) or (protocol == UDP and sport < 1024 <= dport):
            kind = None
        if kind is None:
            self.settled.add(flow)
            return []
        return self.ask(there, kind, flags, seq)


def merged(found):
    """One list of (time, ring, key) per ring, merged by time as they stand."""
    rings = [[one for one in found if one[1] == ring] for ring in (0, 1)]
    while any(rings):
        ring = min((ring for ring in rings if ring), key=lambda ring: ring[0][0])
        yield ring.pop(0)


def contacts(packets, timeout, reply):
    """packets: (time reached, protocol, source, source port, destination, destination port, flags,
    seq, payload) in order.

    Yields (time, source, source port, destination, destination port, outcome)."""
    table = Attempts(timeout, reply)
    for table.clock, *packet in packets:
        for due, _, key in table.due():
            yield due, *key[1:], Outcome.TIMED_OUT
        yield from table.packet(*packet)
