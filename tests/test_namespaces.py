"""Addresses of other network namespaces, from a made-up /proc: hostile text, vanished processes."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from procwire.event import FLAG_ANY_ADDRESS, FLOW_EVENT
from procwire.sensor import namespaces
from procwire.sensor.namespaces import Namespaces

HOME = 1
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 172.17.0.0/16 2 0 2
        |-- 172.17.0.0
           /16 link UNICAST
        |-- 172.17.0.2
           /32 host LOCAL
Local:
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 172.17.0.2
        /32 host LOCAL
     |-- 172.17.255.255
        /32 link BROADCAST
"""
SIX = "fd000000000000000000000000000002 02 40 00 80 eth0\n"
KNOWN = tuple(ip_network(one) for one in ("172.17.0.2/32", "127.0.0.0/8", "fd00::2/128"))


def process(proc: Path, pid: int, trie: str | None = TRIE, six: str | None = SIX) -> int:
    """Makes a process; the number of its namespace."""
    net, ns = proc / str(pid) / "net", proc / str(pid) / "ns"
    net.mkdir(parents=True)
    ns.mkdir()
    for name, text in (("fib_trie", trie), ("if_inet6", six)):
        if text is not None:
            (net / name).write_text(text)
    (ns / "net").touch()
    return (ns / "net").stat().st_ino


def waits(pid: int, namespace: int, flags: int = FLAG_ANY_ADDRESS) -> NDArray[np.void]:
    row = np.zeros(1, FLOW_EVENT)
    row["process"]["pid"], row["net_namespace"], row["flags"] = pid, namespace, flags
    return row


def test_the_addresses_of_a_namespace_are_those_of_its_process(tmp_path: Path) -> None:
    number = process(tmp_path, 7)
    known = Namespaces(HOME, tmp_path)
    assert not known.note(waits(7, HOME))
    assert not known.note(waits(7, number, flags=0))
    assert known.networks == {}
    assert known.note(waits(7, number))
    assert set(known.networks[number]) == set(KNOWN)
    assert len(known.networks[number]) == len(KNOWN)
    assert not known.note(waits(7, number))


def test_addresses_that_change_are_read_again(tmp_path: Path) -> None:
    number = process(tmp_path, 7, trie=None)
    known = Namespaces(HOME, tmp_path)
    assert known.note(waits(7, number))
    (tmp_path / "7" / "net" / "fib_trie").write_text(TRIE)
    (tmp_path / "7" / "net" / "if_inet6").unlink()
    known.refresh()
    assert known.networks[number] == KNOWN[:2]
    # Nobody is left to look through: what was known stays.
    (tmp_path / "7").rename(tmp_path / "gone")
    known.refresh()
    assert known.networks[number] == KNOWN[:2]


def test_a_number_that_is_another_process_s_by_now_is_not_believed(tmp_path: Path) -> None:
    process(tmp_path, 7)
    known = Namespaces(HOME, tmp_path)
    assert not known.note(waits(7, 99))
    assert not known.note(waits(8, 99))
    assert known.networks == {}
    # Another process of the same namespace will do.
    number = process(tmp_path, 9)
    assert known.note(np.concatenate((waits(8, number), waits(9, number), waits(7, number))))


@pytest.mark.parametrize(
    ("trie", "six"),
    [
        ("|-- 999.1.1.1\n  /32 host LOCAL\n", ""),
        ("  /32 host LOCAL\n", ""),
        ("     |-- 10.0.0.1\n        /99 host LOCAL\n", ""),
        ("", "zz 02\n"),
        ("", "\n"),
        ("", "00 01\n"),
    ],
)
def test_what_is_no_address_makes_nothing_known(tmp_path: Path, trie: str, six: str) -> None:
    number = process(tmp_path, 7, trie, six)
    assert not Namespaces(HOME, tmp_path).note(waits(7, number))


def test_what_is_known_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "NAMESPACES", 3)
    monkeypatch.setattr(namespaces, "NETWORKS", 1)
    known = Namespaces(HOME, tmp_path)
    numbers = [process(tmp_path, pid) for pid in range(2, 8)]
    for pid, number in enumerate(numbers, 2):
        assert known.note(waits(pid, number))
    assert list(known.networks) == numbers[-3:]
    assert {len(networks) for networks in known.networks.values()} == {1}
