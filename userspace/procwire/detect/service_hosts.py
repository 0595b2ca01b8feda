"""Which services sources tried on which hosts, as kernels.

Strategy: per source the last hosts and what was tried there, in an open-addressing table where the
least recently active gives way.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, lines_of, prefetch
from procwire.detect.row_hashes import home_of
from procwire.event import SAMPLE_TARGETS, Origin, Outcome
from procwire.record import Attempt

COUNTERS = ("evicted",)
"""Sources forgotten because the table was full around them."""

# By port, as RFC 6335 assigns it: NetBIOS carries SMB, and both of WinRM's are one service.
SERVICES = {
    22: "SSH",
    23: "Telnet",
    135: "RPC",
    139: "SMB",
    445: "SMB",
    3389: "RDP",
    5900: "VNC",
    5985: "WinRM",
    5986: "WinRM",
}
NAMES = tuple(dict.fromkeys(SERVICES.values()))
# What asks for a share asks the port mapper, too: RPC is no second service.
_SECOND = sum(1 << place for place, name in enumerate(NAMES) if name != "RPC")

HOSTS = 32
"""Hosts remembered of a source. A wider sweep is seen by what counts failures, too."""

SOURCE = np.dtype(
    [
        ("hi", "u8"),
        ("lo", "u8"),
        ("active", "i8"),
        ("first", "i8"),
        ("told", "i8"),
        ("used", "u1"),
    ],
    align=True,
)
HOST = np.dtype(
    [("hi", "u8"), ("lo", "u8"), ("first", "i8"), ("services", "u2"), ("port", "u2")], align=True
)
_HOST_LINES = lines_of(HOSTS * HOST.itemsize)
REPORT = np.dtype(
    [
        ("time", "i8"),
        ("source", SOURCE),
        ("hosts", "i8"),
        ("threshold", "i8"),
        ("services", "i8"),
        ("port", "u2"),
        ("protocol", "u1"),
    ],
    align=True,
)
_PROBES = 8
_GROWTH = 10
_TOGETHER, _WINDOW, _GRID = 0, 1, 2
# No host was tried then.
_NEVER = -(2**62)

_CONNECT, _WIRE = int(Attempt.CONNECT), int(Origin.WIRE)
_PENDING = int(Outcome.PENDING)

_Record: TypeAlias = Any
_Whole: TypeAlias = int | np.int64


class State(NamedTuple):
    """sources: SOURCE (n,); hosts: HOST (n, 32); services: uint8 (65536,), a bit by port, 0 for
    those that count for nothing; counters: as in COUNTERS; limits: int64, the time for two services
    and that for one in ns, and the hosts with two."""

    sources: NDArray[np.void]
    hosts: NDArray[np.void]
    services: NDArray[np.uint8]
    counters: NDArray[np.int64]
    limits: NDArray[np.int64]


class _Found(NamedTuple):
    """What a source's remembered hosts show. first: ns, of the earliest that counts."""

    hosts: int | np.int64
    services: int | np.int64
    first: int | np.int64


@fused
def _source(state: State, row: _Record, hashed: np.uint64) -> _Whole:
    """Slot of the row's source, of that hash: its own, a free one, or that of the least recently
    active."""
    sources = state.sources
    slot = best = home_of(hashed, len(sources))
    for _probe in range(_PROBES):
        source = sources[slot]
        if source.used and source.hi == row.src_hi and source.lo == row.src_lo:
            if row.time - source.active > state.limits[_WINDOW]:
                source.told = 0
            source.active = row.time
            return slot
        if sources[best].used and (not source.used or source.active < sources[best].active):
            best = slot
        slot += 1
        if slot == len(sources):
            slot = 0
    state.counters[0] += sources[best].used
    source = sources[best]
    source.hi = row.src_hi
    source.lo = row.src_lo
    source.active = row.time
    source.told = 0
    source.used = 1
    for place in range(HOSTS):
        state.hosts[best, place].first = _NEVER
        state.hosts[best, place].services = 0
    return best


@fused
def _try(state: State, slot: _Whole, row: _Record, service: np.uint8) -> np.uint16:
    """Note the service at the row's host, in the place of the host that was begun longest ago where
    it has none."""
    hosts, oldest = state.hosts[slot], 0
    for place in range(HOSTS):
        host = hosts[place]
        if host.services and host.lo == row.dst_lo and host.hi == row.dst_hi:
            if not 0 <= row.time - host.first <= state.limits[_WINDOW]:
                host.first = row.time
                host.services = 0
            host.services |= service
            host.port = row.dst_port
            return np.uint16(host.services)
        if host.first < hosts[oldest].first:
            oldest = place
    host = hosts[oldest]
    host.hi = row.dst_hi
    host.lo = row.dst_lo
    host.first = row.time
    host.services = service
    host.port = row.dst_port
    return np.uint16(host.services)


@fused
def _with_service(state: State, slot: _Whole, time: int, service: np.uint8) -> _Found:
    """The hosts of the window on which a service was tried."""
    count, first = 0, time
    services = np.int64(0)
    for place in range(HOSTS):
        host = state.hosts[slot, place]
        if host.services & service and 0 <= time - host.first <= state.limits[_WINDOW]:
            count += 1
            services |= np.int64(host.services)
            first = min(first, host.first)
    return _Found(count, services, first)


@fused
def _is_several(services: _Whole) -> bool:
    return bool(services & (services - 1))


@fused
def _with_two(state: State, slot: _Whole, time: int) -> _Found:
    """The hosts on each of which two services or more were tried together."""
    count, first = 0, time
    services = np.int64(0)
    for place in range(HOSTS):
        host = state.hosts[slot, place]
        tried = np.int64(host.services) & _SECOND
        if _is_several(tried) and 0 <= time - host.first <= state.limits[_TOGETHER]:
            count += 1
            services |= tried
            first = min(first, host.first)
    return _Found(count, services, first)


@fused
def _report(
    state: State, slot: _Whole, found: _Found, report: _Record, samples: NDArray[np.void]
) -> None:
    source = state.sources[slot]
    source.told = found.hosts
    source.first = found.first
    report.time = source.active
    report.source = source
    report.hosts = found.hosts
    report.services = found.services
    for place in range(SAMPLE_TARGETS):
        samples[place].services = 0
    written = 0
    for place in range(HOSTS):
        host = state.hosts[slot, place]
        if host.services and host.first >= found.first and written < SAMPLE_TARGETS:
            samples[written] = host
            written += 1


@kernel
def follow(
    state: State,
    connections: NDArray[np.void],
    hashes: NDArray[np.void],
    service_hosts: NDArray[np.int64],
    reports: NDArray[np.void],
    samples: NDArray[np.void],
) -> int:
    """Enter the attempts among record.CONNECTION rows; the number of reports written."""
    written, count = 0, len(connections)
    for i in range(count):
        if i + AHEAD < count and state.services[connections[i + AHEAD].dst_port]:
            ahead = home_of(hashes[i + AHEAD].source, len(state.sources))
            prefetch(state.sources, ahead, 0, 1)
            prefetch(state.hosts, ahead, 0, _HOST_LINES)
        row = connections[i]
        service = state.services[row.dst_port]
        if service == 0 or row.kind != _CONNECT:
            continue
        if row.origin == _WIRE and row.outcome != _PENDING:
            continue
        slot = _source(state, row, hashes[i].source)
        tried = np.int64(_try(state, slot, row, service)) & _SECOND
        threshold, found = state.limits[_GRID], _Found(0, 0, row.time)
        if _is_several(tried):
            # Only now their number may have grown.
            found = _with_two(state, slot, row.time)
        if found.hosts < threshold and service_hosts[i] > 0:
            threshold = service_hosts[i]
            found = _with_service(state, slot, row.time, service)
        if found.hosts < max(threshold, state.sources[slot].told * _GROWTH):
            continue
        report = reports[written]
        _report(state, slot, found, report, samples[written])
        report.threshold = threshold
        report.port = row.dst_port
        report.protocol = row.protocol
        written += 1
    return written
