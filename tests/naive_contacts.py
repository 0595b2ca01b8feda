"""Twin of decode/contacts.py without bounds: a dictionary of 4-tuples, searched for what is due."""

from __future__ import annotations

from procwire.event import Outcome

FIN, SYN, RST, ACK = 1, 2, 4, 16


def contacts(packets, timeout):
    """packets: (time, source, source port, destination, destination port, flags, seq) in order.

    Yields (time, source, source port, destination, destination port, outcome)."""
    attempts = {}
    clock = order = 0
    for time, src, sport, dst, dport, flags, seq in packets:
        if time > clock or time < clock - timeout:
            clock = time
        due = [key for key, entry in attempts.items() if entry["open"]]
        for key in sorted(due, key=lambda key: attempts[key]["order"]):
            if attempts[key]["time"] + timeout > clock:
                break
            attempts[key]["open"] = False
            yield attempts[key]["time"] + timeout, *key, Outcome.TIMED_OUT
        if flags & SYN and not flags & (ACK | RST):
            key = (src, sport, dst, dport)
            known = attempts.get(key)
            if known is None or (not known["open"] and known["seq"] != seq):
                order += 1
                attempts[key] = {"time": clock, "seq": seq, "open": True, "order": order}
                yield clock, *key, Outcome.PENDING
        elif flags & RST or flags & SYN:
            key = (dst, dport, src, sport)
            known = attempts.get(key)
            if known is not None and known["open"]:
                known["open"] = False
                yield clock, *key, Outcome.REFUSED if flags & RST else Outcome.ESTABLISHED
