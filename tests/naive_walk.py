"""Twins of detect/random_walk.py, coverage.py, port_coverage.py and service_sweep.py: dictionaries
and sets, and no bounds but those of a table and the 32 hosts that a sweep remembers."""

from __future__ import annotations

import math
from collections import defaultdict

from procwire.event import Outcome

ENDLESS = (Outcome.PENDING, Outcome.SENT, Outcome.ABORTED)


def random_walk(rows, benign=0.8, scanner=0.2, error=0.01, hosts=5):
    """rows: (source, destination, outcome). Yields (source, failed, succeeded)."""
    known = set()
    failures, moved = defaultdict(list), defaultdict(float)
    walks = defaultdict(float)
    ended = defaultdict(lambda: [0, 0])
    told = defaultdict(int)
    edge = math.log((1 - error) / error)
    for source, destination, outcome in rows:
        if outcome in ENDLESS or (source, destination) in known:
            continue
        known.add((source, destination))
        success = outcome == Outcome.ESTABLISHED
        ratio = scanner / benign if success else (1 - scanner) / (1 - benign)
        if not success:
            networks = [network_of(one) for one in failures[source][-8:]]
            if network_of(destination) not in networks:
                ratio = 0.98 / 0.9
            failures[source].append(destination)
        walks[source] = min(edge, max(-edge, walks[source] + math.log(ratio)))
        ended[source][success] += 1
        moved[source] += math.log(ratio)
        failed, succeeded = ended[source]
        if success or walks[source] < edge or moved[source] < -1e-9:
            continue
        if failed >= max(hosts, 10 * told[source]):
            told[source] = failed
            yield source, failed, succeeded


def network_of(address):
    """A /16 of IPv4, mapped, or a /32 of IPv6."""
    return address >> 96 or address >> 16


def covered(rows, slots, memory, least, share=0.5, begins_failing=False):
    """Coverage of networks, or of ports, in a table of NaiveSlots.

    rows: (time, key, hash, target, whether it answered). Yields (time, key, failed, answered,
    since when) of each key that is a scan. begins_failing: nothing of a key counts before its first
    failure."""
    kept = {}
    for time, key, hashed, target, answers in rows:
        forgotten = key in kept and time - slots.last(key) > memory
        if begins_failing and answers and (key not in kept or forgotten):
            continue
        kept.pop(slots.touch(hashed, key, time), None)
        if forgotten or key not in kept:
            kept[key] = {"failed": set(), "answered": set(), "told": 0, "first": time}
        held = kept[key]
        held["first"] = min(held["first"], time)
        fresh = target not in held["failed"]
        held["answered" if answers else "failed"].add(target)
        failed, answered = len(held["failed"]), len(held["answered"])
        if answers or not fresh or failed < max(least, 10 * held["told"]):
            continue
        if failed >= share * (failed + answered):
            held["told"] = failed
            yield time, key, failed, answered, held["first"]


def service_sweep(rows, services, window=60 * 10**9, together=10 * 10**9, several=3):
    """rows: (source, destination, port, time, hosts with one service). Yields (time, hosts)."""
    begun = defaultdict(dict)
    tried = defaultdict(dict)
    told, active = defaultdict(int), {}
    for source, host, port, time, needed in rows:
        if port not in services:
            continue
        if time - active.get(source, time) > window:
            told[source] = 0
        active[source] = time
        since, names = begun[source], tried[source]
        if host not in since and len(since) == 32:
            oldest = min(since, key=since.get)
            del since[oldest], names[oldest]
        if host not in since or time - since[host] > window:
            since[host], names[host] = time, set()
        names[host].add(services[port])
        found = sum(
            len(names[one] - {"RPC"}) > 1 and time - since[one] <= together for one in since
        )
        threshold = several
        if found < several and needed:
            threshold = needed
            found = sum(
                services[port] in names[one] and time - since[one] <= window for one in since
            )
        if found >= max(threshold, 10 * told[source]):
            told[source] = found
            yield time, found
