"""Scans for IP protocols: packets of many that hardly any host speaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from procwire import layers
from procwire.decode.columns import blank_packets
from procwire.detect.protocol_scan import ProtocolScan
from procwire.record import Endpoint
from procwire.settings import Settings

NETWORK = 0xFFFF << 32 | 0x0A000000
ME, ROUTER = NETWORK + 1, NETWORK + 254
START, S = 1_790_000_000 * 10**9, 10**9
RARE = [number for number in range(60, 255) if number not in (88, 89, 103, 112, 115)][:60]


def observed(rows, size=None, settings=None):
    """What rows of (time, source, destination, protocol) show, in batches of `size`."""
    scans, found, size = ProtocolScan(settings or Settings()), [], size or max(len(rows), 1)
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        packets = blank_packets(len(part))
        packets.network[:] = layers.IPV4
        packets.src_lo[:] = [src for _, src, _, _ in part]
        packets.dst_lo[:] = [dst for _, _, dst, _ in part]
        packets.protocol[:] = [protocol for *_, protocol in part]
        times = np.array([time for time, *_ in part], np.int64)
        found += scans.update(packets, times, 0, len(part))
    return found, scans


def scan(protocols, hosts=(NETWORK + 9,), pause=S // 10):
    """One after the other, each sent to all hosts."""
    pairs = [(protocol, host) for protocol in protocols for host in hosts]
    return [(START + i * pause, ME, host, protocol) for i, (protocol, host) in enumerate(pairs)]


def test_ten_protocols_of_a_host_are_a_scan_of_it():
    assert observed(scan(RARE[:9]))[0] == []
    (seen,), _ = observed(scan(RARE[:10]))
    assert (seen.detector.id, seen.figure) == ("scan.ip_protocols", 10)
    assert seen.source == Endpoint(ME.to_bytes(16))
    assert seen.targets == (Endpoint((NETWORK + 9).to_bytes(16)),)
    figures = {one.name: one.value for one in seen.evidence}
    assert figures["protocols_per_host"] == 10
    assert set(figures["sample_protocols"].split(", ")) <= set(map(str, RARE))


def test_eight_hosts_at_once_are_one_scan():
    found, scans = observed(scan(RARE, [NETWORK + i for i in range(8)]))
    assert {one.source for one in found} == {Endpoint(ME.to_bytes(16))}
    (last,) = scans.totals()
    # Distinct targets are estimated.
    assert last.final
    assert last.figure == pytest.approx(60 * 8, rel=0.15)


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_packets_that_go_the_way_of_the_one_before_count_once(size):
    rows = [(START + i, ME, NETWORK + 9, 113) for i in range(500)]
    _, scans = observed(rows + scan([99]) + rows[:2], size)
    assert scans.counters()["packets"] == 3


def test_one_batch_may_hold_any_number_of_them():
    assert observed(scan(RARE[:9] * 300))[1].counters()["packets"] == 9 * 300


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(
            [(START + i, ROUTER, NETWORK + i % 9, (1, 2, 4, 6, 17, 41, 47, 50, 51)[i % 9])
             for i in range(3000)],
            id="what hosts and routers speak",
        ),
        pytest.param(scan([253], [NETWORK + i for i in range(200)]), id="one protocol, many hosts"),
        pytest.param(scan(RARE[:9] * 300), id="nine, again and again"),
        pytest.param(scan(RARE[:30], pause=700 * S), id="one in twelve minutes"),
    ],
)  # fmt: skip
def test_what_is_no_scan(rows):
    assert observed(rows)[0] == []


def test_it_can_be_turned_off():
    probes = Settings().probes.model_copy(update={"protocols": 0})
    settings = Settings().model_copy(update={"probes": probes})
    assert observed(scan(RARE), settings=settings)[0] == []


def test_nothing_is_counted_of_what_is_spoken():
    ordinary = [(START + i, ME, ROUTER, 6) for i in range(100)]
    assert observed(ordinary)[1].counters() == {"packets": 0, "reports": 0, "evicted": 0}


@given(
    st.lists(
        st.tuples(st.integers(0, 20 * S), st.integers(0, 2), st.sampled_from([6, *RARE[:25]])),
        max_size=120,
    ),
    st.integers(1, 120),
)
def test_nothing_depends_on_where_batches_end(steps, size):
    time, rows = START, []
    for gap, source, protocol in steps:
        time += gap
        rows.append((time, ME + source, ROUTER, protocol))
    assert observed(rows, size)[0] == observed(rows)[0]
