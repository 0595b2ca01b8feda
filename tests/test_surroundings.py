"""Detectors that know the site, and how it names addresses and services."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_distinct import naive_zone
from procwire.config import load
from procwire.context.inventory import Asset, Inventory, ZoneEntry
from procwire.context.severity import weighed
from procwire.detect.compiled_site import COMPILED, CompiledSightings
from procwire.detect.detector import ICS_ENTERPRISE, ICS_NEIGHBOURS, NEW_PROCESS
from procwire.detect.services import NAMES, services
from procwire.detect.sightings import Sightings
from procwire.detect.surroundings import Known, Surroundings
from procwire.detect.zones import UNKNOWN, Zone, Zones
from procwire.episodes import Episodes
from procwire.event import CONNECTION_EVENT, Origin, Outcome
from procwire.record import CONNECTION, Attempt, Endpoint
from procwire.runs.process_analysis import connection_rows
from test_alert import SCANNER_PROCESS

SECOND = 1_000_000_000
NOW = 1_790_000_000 * SECOND
TCP, UDP = 6, 17
SITE = Inventory(
    [
        ZoneEntry("office", "it", ("10.10.0.0/16",)),
        ZoneEntry("plant", "ics", ("10.20.0.0/16", "fd00:20::/32")),
        ZoneEntry("internet", "external", ("0.0.0.0/0",)),
    ],
    [
        Asset("plc-7", "10.20.0.7/32", "plc", "critical"),
        Asset("cell 2", "10.20.2.0/24", "drive", "low"),
        Asset("historian", "10.20.9.9/32", "", "medium"),
    ],
)


def halves(text: str) -> tuple[int, int]:
    address = ip_address(text)
    number = int(address) + (0xFFFF << 32 if address.version == 4 else 0)
    return number >> 64, number & (1 << 64) - 1


def connections(*rows: dict[str, object]) -> np.ndarray:
    """record.CONNECTION of rows that name `src`, `dst` and whatever is not as usual."""
    made = np.zeros(len(rows), CONNECTION)
    usual = {"time": NOW, "protocol": TCP, "origin": Origin.WIRE, "family": 4, "dst_port": 445}
    for at, row in enumerate(rows):
        for name, value in (usual | row).items():
            if name in ("src", "dst"):
                made[at][f"{name}_hi"], made[at][f"{name}_lo"] = halves(value)
            else:
                made[at][name] = value
    return made


def looks_for(hosts: list[str], **named: object) -> list[dict[str, object]]:
    usual = {"src": "10.10.0.5"} | named
    return [{"dst": host, "time": NOW + i * SECOND, **usual} for i, host in enumerate(hosts)]


def plant(count: int) -> list[str]:
    return [f"10.20.0.{host}" for host in range(1, count + 1)]


def observed(
    rows: list[dict[str, object]],
    inventory: Inventory = SITE,
    batch: int = 1000,
    begun: int | None = None,
):
    """What rows show of a site, in NumPy and compiled alike. begun: when their processes began."""
    process = replace(SCANNER_PROCESS, started=begun)
    known = Known(inventory.zones, None, inventory.role_of)
    made = connections(*rows)
    parts = [made[start : start + batch] for start in range(0, len(made), batch)]
    plain, compiled = (
        [seen for part in parts for seen in watched.update(part)]
        for watched in (
            Surroundings(load(), known, lambda key: (process, ()), means)
            for means in (None, COMPILED)
        )
    )
    assert plain == compiled
    return plain


HALVES = st.sampled_from([0, 1, 0xFFFF7F000001, 0xFFFF0A0A0005, 0xFFFF00000000, 2**64 - 1])
ROWS = st.builds(
    dict,
    time=st.integers(NOW, NOW + SECOND),
    process=st.sampled_from([(0, 0, 0), (1, 7, 1), (1, 0, 3), (5, 7, 0), (9, 0, 0)]),
    src_hi=HALVES,
    src_lo=HALVES,
    dst_hi=HALVES,
    dst_lo=HALVES,
    src_port=st.integers(0, 65535),
    dst_port=st.sampled_from([0, 22, 32767, 32768, 44818, 60000, 65535]),
    protocol=st.sampled_from([TCP, UDP]),
    origin=st.sampled_from(list(Origin)),
    outcome=st.sampled_from(list(Outcome)),
    family=st.sampled_from([4, 6]),
    kind=st.sampled_from(list(Attempt)),
)


@given(rows=st.lists(ROWS, max_size=20), zones=st.sampled_from([SITE.zones, Zones()]))
def test_columns_that_are_compiled_are_those_of_numpy(rows, zones) -> None:
    made = np.zeros(len(rows), CONNECTION)
    for at, row in enumerate(rows):
        for name, value in row.items():
            made[at][name] = value
    plain, compiled = Sightings(made, zones), CompiledSightings(made, zones)
    for name in ("is_known", "between_stations", "subject", "shows"):
        assert getattr(plain, name).tolist() == getattr(compiled, name).tolist(), name
    for name in CONNECTION.names:
        if name != "process":
            assert plain.columns[name].tolist() == compiled.columns[name].tolist(), name


NETWORKS = st.builds(
    lambda number, bits: ip_network((number << (32 - bits) & 0xFFFFFFFF, bits)),
    st.integers(0, 2**6),
    st.integers(0, 32),
)
SIXES = st.builds(
    lambda number, bits: ip_network(((number << (128 - bits)) % 2**128, bits)),
    st.integers(0, 2**6),
    st.integers(0, 128),
)
ADDRESSES = st.one_of(
    st.ip_addresses(), st.ip_addresses(network="0.0.0.0/24"), st.ip_addresses(network="::/120")
)


@given(
    networks=st.lists(NETWORKS | SIXES, unique=True, max_size=12),
    addresses=st.lists(ADDRESSES, min_size=1, max_size=30),
    edges=st.booleans(),
)
def test_an_address_lies_in_the_smallest_network_around_it(networks, addresses, edges) -> None:
    zones = {f"zone {i}": networks[i::3] for i in range(3)}
    numbered = Zones([Zone(name, "it", tuple(those)) for name, those in zones.items()])
    if edges:
        addresses += [one[where] for one in networks for where in (0, -1)]
    asked = [str(address) for address in addresses]
    hi, lo = np.array([halves(text) for text in asked], np.uint64).T
    found = [numbered.names[number] for number in numbered.of(hi, lo)]
    unmapped = [str(getattr(ip_address(text), "ipv4_mapped", None) or text) for text in asked]
    assert found == [naive_zone(text, zones, UNKNOWN) for text in unmapped]


def test_services_are_named_by_protocol_and_port() -> None:
    asked = [(TCP, 445), (UDP, 445), (UDP, 161), (TCP, 502), (TCP, 44444), (1, 8), (255, 22)]
    protocol, port = (np.array(column) for column in zip(*asked, strict=True))
    named = services(protocol.astype(np.uint8), port.astype(np.uint16))
    assert [NAMES[one] for one in named] == ["smb", "", "snmp", "modbus", "", "", ""]


def test_offices_protocols_into_a_control_zone() -> None:
    (seen,) = observed(looks_for(plant(3)))
    assert (seen.detector, seen.figure, seen.attempts) == (ICS_ENTERPRISE, 3, 3)
    assert seen.first == NOW
    assert seen.time == NOW + 2 * SECOND
    told = {one.name: one.value for one in seen.evidence}
    assert (told["hosts"], told["service"]) == (3, "smb")
    assert [target.port for target in seen.targets] == [445] * 3


@pytest.mark.parametrize(
    "rows",
    [
        looks_for(plant(2)),
        looks_for(plant(1) * 30),
        looks_for(plant(30), dst_port=502),
        looks_for(plant(30), outcome=Outcome.ESTABLISHED),
        looks_for([f"10.10.0.{host}" for host in range(10, 40)]),
        looks_for(plant(2)) + looks_for(["10.20.0.8", "10.20.0.9"], dst_port=22),
        looks_for(plant(2)) + looks_for(["10.20.0.8", "10.20.0.9"], src="10.10.0.6"),
    ],
    ids=["too few", "one host", "modbus", "ends", "office", "two services", "two sources"],
)
def test_what_is_no_enumeration_of_a_control_zone(rows) -> None:
    assert observed(rows) == []


def test_without_control_zones_there_is_none() -> None:
    assert observed(looks_for(plant(30)), Inventory()) == []


def asks(host: int, outcome: Outcome, **named: object) -> dict[str, object]:
    return {
        "src": "10.20.0.200",
        "dst": f"10.20.1.{host}",
        "kind": Attempt.NEIGHBOUR,
        "dst_port": 0,
        "protocol": 0,
        "outcome": outcome,
        **named,
    }


def test_neighbours_that_do_not_exist_in_a_control_zone() -> None:
    replies = [asks(250, Outcome.ESTABLISHED)]
    missing = [asks(host, Outcome.TIMED_OUT) for host in range(1, 9)]
    (seen,) = observed(replies + missing)
    assert (seen.detector, seen.figure) == (ICS_NEIGHBOURS, 8)
    assert observed(missing) == [], "no reply was ever seen"
    assert observed(missing + replies) == [], "nor then"
    assert observed(replies + missing[:7]) == []
    assert observed(replies + [asks(h, Outcome.ESTABLISHED) for h in range(1, 99)]) == []
    office = [asks(host, Outcome.TIMED_OUT, dst=f"10.10.0.{host}") for host in range(1, 99)]
    assert observed(replies + office) == []


def tried(hosts: int, outcome: Outcome, pid: int = 7, **named: object) -> list[dict[str, object]]:
    usual = {"src": "10.10.0.5", "origin": Origin.CONNECT, "process": (5, pid, 1)}
    rows = [{"dst": f"10.11.0.{host}", **usual} for host in range(1, hosts + 1)]
    return [row | {"outcome": outcome, **named} for row in rows]


@given(cut=st.integers(1, 30))
def test_observations_do_not_depend_on_batches(cut: int) -> None:
    rows = looks_for(plant(30)) + tried(20, Outcome.REFUSED) + [asks(250, Outcome.ESTABLISHED)]
    rows += [asks(host, Outcome.TIMED_OUT) for host in range(1, 12)]
    whole = observed(rows, begun=NOW)
    assert {seen.detector for seen in whole} == {ICS_ENTERPRISE, ICS_NEIGHBOURS, NEW_PROCESS}
    parts = observed(rows, batch=cut, begun=NOW)
    assert sorted(map(repr, parts)) == sorted(map(repr, whole))


def alerts(rows, inventory: Inventory = SITE, home: Endpoint | None = None):
    told = Episodes().update(NOW, observed(rows, inventory))
    return [weighed(alert, inventory, home) for alert in told]


def facts(alert) -> dict[str, object]:
    return {one.name: one.value for one in alert.evidence}


def test_what_crosses_zones_or_meets_what_matters_is_graver() -> None:
    inside = looks_for(["10.20.3.1", "10.20.3.2", "10.20.3.3"], src="10.20.0.99")
    (within,) = alerts(inside)
    assert (within.severity, "zones" in facts(within)) == (2, False)
    (crossing,) = alerts([row | {"src": "10.10.0.5"} for row in inside])
    assert (crossing.severity, facts(crossing)["zones"]) == (1, "office -> plant")
    (critical,) = alerts([*inside[:2], inside[2] | {"dst": "10.20.0.7"}])
    assert (critical.severity, facts(critical)["asset"]) == (1, "plc-7 (critical, plc)")
    (low,) = alerts([*inside[:2], inside[2] | {"dst": "10.20.2.77"}])
    assert (low.severity, facts(low)["asset"]) == (2, "cell 2 (low, drive)")


def test_an_empty_inventory_changes_nothing() -> None:
    (alert,) = alerts(looks_for(plant(3)))
    assert weighed(alert, Inventory(), None) is alert


def test_the_kernels_events_as_connections() -> None:
    events = np.zeros(2, CONNECTION_EVENT)
    events["time_ns"] = [NOW + 1, NOW]
    for at, (source, destination) in enumerate([("10.0.0.1", "fd00::2"), ("::1", "10.0.0.9")]):
        for name, text in (("source", source), ("destination", destination)):
            hi, lo = halves(text)
            events[name][at] = np.frombuffer((hi << 64 | lo).to_bytes(16, "big"), np.uint8)
    events["source_port"], events["destination_port"] = 40000, 53
    events["protocol"], events["outcome"] = [TCP, UDP], Outcome.REFUSED
    events["process"]["pid"] = 7
    rows = connection_rows(events)
    assert rows["time"].tolist() == [NOW, NOW + 1]
    assert rows["kind"].tolist() == [Attempt.DATAGRAM, Attempt.CONNECT]
    assert (int(rows["dst_hi"][1]), int(rows["dst_lo"][1])) == halves("fd00::2")
    assert (int(rows["dst_hi"][0]), int(rows["dst_lo"][0])) == halves("10.0.0.9")
    assert rows["process"]["pid"].tolist() == [7, 7]
    assert (rows["src_port"].tolist(), rows["dst_port"].tolist()) == ([40000] * 2, [53] * 2)
