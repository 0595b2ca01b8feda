"""Inventories from files: what they may say, and what is told of every fault, by file and line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import ENDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from procwire import examples
from procwire.context.inventory import Inventory, replace_all, stored
from procwire.context.inventory_files import LARGEST, read_inventory
from procwire.context.site import Site
from procwire.context.store import MEMORY, Store
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.episodes import Episodes
from test_alert import KEY, SCANNER_PROCESS, START, row
from test_surroundings import connections, halves

TOML = """\
# the plant
[zones.office]
networks = ["10.10.0.0/16", "fd00:10::/32"]

[zones."cell 1"]
kind = "ics"
networks = ["10.20.0.0/16"]

[[assets]]
name = "plc-7"
address = "10.20.1.7"
role = "plc"
criticality = "critical"

[[assets]]
name = "drives"
address = "10.20.2.0/24"
"""
ZONES = "name,kind,networks\r\noffice,,10.10.0.0/16 fd00:10::/32\r\ncell 1,ics,10.20.0.0/16\r\n"
ASSETS = "Name,Address,Role,Criticality\nplc-7,10.20.1.7,plc,critical\n\ndrives,10.20.2.0/24,,\n"


@pytest.fixture
def folder(tmp_path: Path):
    def write(**files: str | bytes) -> list[Path]:
        paths = []
        for name, content in files.items():
            paths.append(tmp_path / name.replace("_", "."))
            paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        return paths

    return write


def listed(inventory: Inventory) -> tuple[object, object]:
    return inventory.entries, inventory.assets


def test_csv_and_toml_say_the_same(folder) -> None:
    of_toml, faults = read_inventory(folder(site_toml=TOML))
    assert faults == []
    of_csv, faults = read_inventory(
        folder(zones_csv=b"\xef\xbb\xbf" + ZONES.encode(), a_csv=ASSETS)
    )
    assert faults == []
    assert listed(of_toml) == listed(of_csv)
    assert [zone.kind for zone in of_toml.entries] == ["it", "ics"]


def asset_name(inventory: Inventory, text: str) -> str | None:
    hi, lo = halves(text)
    asset = inventory.asset_of((hi << 64 | lo).to_bytes(16, "big"))
    return asset.name if asset else None


def test_an_address_is_the_most_exact_asset(folder) -> None:
    more = TOML + '[[assets]]\nname = "all six"\naddress = "::/0"\n'
    inventory, faults = read_inventory(folder(site_toml=more))
    assert faults == []
    names = [asset_name(inventory, text) for text in ("10.20.1.7", "10.20.2.9", "10.20.3.1", "::9")]
    assert names == ["plc-7", "drives", None, "all six"]


def test_addresses_of_ipv4_in_ipv6_are_those_of_ipv4(folder) -> None:
    as_ipv6 = TOML.replace('"10.20.1.7"', '"::ffff:10.20.1.7"')
    as_ipv6 = as_ipv6.replace('"10.10.0.0/16"', '"::ffff:10.10.0.0/112"')
    assert listed(read_inventory(folder(b_toml=as_ipv6))[0]) == listed(
        read_inventory(folder(site_toml=TOML))[0]
    )


def test_the_context_keeps_it_whole(folder) -> None:
    inventory, _ = read_inventory(folder(site_toml=TOML))
    with Store(MEMORY) as store:
        assert stored(store).is_empty
        replace_all(store, inventory)
        replace_all(store, inventory)
        assert listed(stored(store)) == listed(inventory)
        replace_all(store, Inventory())
        assert stored(store).is_empty


@pytest.mark.parametrize(
    ("name", "content", "line", "expected"),
    [
        ("a_csv", "name,address\nplc,10.0.0.1/8\n", 2, "without bits behind"),
        ("a_csv", "name,address\nplc,fe80::1%eth0\n", 2, "fe80::1%eth0"),
        ("a_csv", "name,address\n\nplc,nowhere\n", 3, "'nowhere'"),
        ("a_csv", "name,address\nplc\n", 2, "1 columns where the first line names 2"),
        ("a_csv", "name,address\n,10.0.0.1\n", 2, "name is missing"),
        ("a_csv", "name,address\nunknown,10.0.0.1\n", 2, "not 'unknown'"),
        ("a_csv", "name,address\na,10.0.0.1\nb,10.0.0.1\n", 3, "given before, in a.csv line 2"),
        ("a_csv", "name,address\na,10.0.0.1\na,10.0.0.2\n", 3, "asset a was given before"),
        ("a_csv", "name,address,criticality\na,10.0.0.1,huge\n", 2, "low, medium, high, critical"),
        ("a_csv", "name,adress\na,10.0.0.1\n", 1, "has to name columns"),
        ("a_csv", "name,address,address\na,10.0.0.1,10.0.0.2\n", 1, "has to name columns"),
        ("a_csv", "", 1, "has to name columns"),
        ("a_csv", 'name,address\n"a,10.0.0.1\n', 2, "must be CSV"),
        ("a_csv", "name,address\n" + "a" * 200_000 + ",10.0.0.1\n", 2, "field larger than"),
        ("a_csv", b"name,address\n\xff,10.0.0.1\n", 2, "byte 13 is not UTF-8"),
        ("a_csv", "name,networks\na,10.0.0.0/8\nb,10.0.0.0/8\n", 3, "network 10.0.0.0/8 was given"),
        ("a_csv", "name,networks,kind\na,10.0.0.0/8,scada\n", 2, "ics, it, dmz, external"),
        ("a_csv", "name,address\n\x1b[2J,10.0.0.1\n", 2, "give a name"),
        ("a_toml", TOML + "[[assets]]\nname = 'x'\n", 18, "address is missing"),
        ("a_toml", TOML + "[[assets]]\nname = 'x'\naddress = []\n", 18, "address []"),
        ("a_toml", "[zones.a]\nnetworks = '10.0.0.0/8'\n", 1, "give networks"),
        ("a_toml", "[zones.a]\nnetworks = []\n", 1, "give networks"),
        ("a_toml", "[zones.a]\ncolour = 1\nnetworks = ['10.0.0.0/8']\n", 1, "'colour' is no field"),
        ("a_toml", "\n\n[zone.a]\n", 3, "zone: give [zones.NAME]"),
        ("a_toml", "zones = 3\n", 0, "give zones as"),
        ("a_toml", "assets = [3]\n", 0, "'' is no field of an asset"),
        ("a_toml", "[zones.a\n", 1, "must be TOML"),
        ("a_toml", "a = " + "[" * 5000, 0, "must be TOML"),
        ("a_toml", "a = " + "1" * 5000, 0, "must be TOML"),
        ("a_json", "{}", 0, "ends in .csv or .toml"),
    ],
)
def test_every_fault_has_its_file_and_line(
    folder, name: str, content: str | bytes, line: int, expected: str
) -> None:
    (path,) = folder(**{name: content})
    inventory, faults = read_inventory([path])
    assert inventory.is_empty
    assert faults[0].line == line, faults
    assert expected in str(faults[0])
    assert str(faults[0]).startswith(f"{path}:{line}: " if line else f"{path}: ")


def test_all_faults_are_told_at_once(folder) -> None:
    paths = folder(a_csv="name,address\na,x\nb,y\n", b_toml="[zones.a]\n", c_csv=ASSETS)
    inventory, faults = read_inventory([*paths, paths[0].parent / "gone.csv"])
    assert [fault.path.name for fault in faults] == ["a.csv", "a.csv", "b.toml", "gone.csv"]
    assert "No such file" in faults[-1].problem
    assert inventory.is_empty


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    _, (fault,) = read_inventory([path])
    assert "more than 16 MB" in fault.problem


WORDS = st.sampled_from(
    ["[zones.a]", "[[assets]]", "name", "=", "'a'", "networks", "address", '"10.0.0.0/8"', "[", "]"]
    + ["\n", ",", '"', "kind", "ics", "name,address", "name,networks", "10.0.0.1", " ", "{", "}"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.binary(), st.lists(WORDS).map(lambda words: "".join(words).encode())),
    suffix=st.sampled_from([".csv", ".toml"]),
)
def test_whatever_a_file_holds_it_is_an_inventory_or_faults(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    inventory, faults = read_inventory([path])
    assert inventory.is_empty or not faults
    with Store(MEMORY) as store:
        replace_all(store, inventory)
        assert listed(stored(store)) == listed(inventory)


def test_the_commands(run, folder, tmp_path: Path) -> None:
    (path,) = folder(site_toml=TOML)
    context = ["--context", tmp_path / "context.db"]
    Store(tmp_path / "context.db").close()
    assert "no inventory" in run("inventory", "show", *context).talk
    loaded = run("inventory", "load", path, *context)
    assert (loaded.code, "2 zones, 2 assets" in loaded.talk) == (0, True)
    shown = run("inventory", "show", *context).out
    assert "zone   ics       cell 1               10.20.0.0/16" in shown
    assert "asset  critical  plc-7" in shown
    told = json.loads(run("inventory", "show", "--json", *context).out)
    assert [zone["name"] for zone in told["zones"]] == ["office", "cell 1"]
    assert told["assets"][0]["role"] == "plc"
    path.write_text("[zones.a]\n[zones.b]\n")
    refused = run("inventory", "load", path, *context)
    assert refused.code == ENDS["usage"]
    assert refused.talk.count("networks is missing") == 2
    assert f"{path}:2: networks is missing" in refused.talk
    assert run("inventory", "show", *context).out == shown, "it stays as it was"


def syn(host: int) -> bytes:
    """A SYN from 10.10.0.5 to port 445 of 10.20.0.HOST."""
    ends = bytes((10, 10, 0, 5, 10, 20, 0, host))
    packet = bytes.fromhex("45000028 00014000 40060000") + ends
    segment = bytes.fromhex("9c40 01bd 00000001 00000000 5002 ffff 0000 0000")
    return bytes.fromhex("020000000002 020000000001 0800") + packet + segment


def test_an_inventory_weighs_what_read_finds(run, folder, tmp_path: Path) -> None:
    (site, capture) = folder(site_toml=TOML, office_pcap=examples.capture(map(syn, range(1, 7))))
    assert "ics." not in run("read", capture).out
    context = tmp_path / "context.db"
    assert run("inventory", "load", site, "--context", context).code == 0
    told = run("read", "--context", context, capture)
    (alert,) = [one["alert"] for one in told.of_type("alert") if one["alert"]["gid"] == 1][:1]
    assert alert["metadata"]["rule"] == ["ics.enterprise_protocol"]
    assert alert["severity"] == 1
    evidence = alert["context"]["evidence"]
    assert (evidence["service"], evidence["zones"]) == ("smb", "office -> cell 1")
    text = run("read", "--context", context, "--format", "text", capture).out
    assert "smb · office -> cell 1 · ics.hosts is 3" in text


@pytest.mark.parametrize(
    ("sources", "crossed"),
    [
        ([], None),
        (["192.0.2.1"], None),
        (["10.10.0.5"], "office -> cell 1"),
        (["10.20.9.9", "10.10.0.5", "192.0.2.1"], "office -> cell 1"),
        (["10.10.0.5", "10.20.9.9"], None),
    ],
)
def test_a_process_counts_with_the_address_it_last_connected_from(folder, sources, crossed):
    inventory, _ = read_inventory(folder(site_toml=TOML))
    scan = row(process=[KEY])
    scan["source"] = 0
    for end in ("first", "last", "sample"):
        scan[end]["address"] = np.array(halves("10.20.0.9"), ">u8").view(np.uint8)
    with Store(MEMORY) as store:
        replace_all(store, inventory)
        site = Site(store)
        for source in sources:
            site.note_home(connections({"src": source, "dst": "10.20.0.9"}))
        (alert,) = site.admit(
            Episodes(lookup=lambda key: (SCANNER_PROCESS, [])).update(
                START, FanoutDetectors().update(scan)
            )
        )
    assert {one.name: one.value for one in alert.evidence}.get("zones") == crossed
