"""Names of network namespaces become inode numbers, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from procwire.event import SOCKET_EVENT
from procwire.sensor.network_names import NAME_OF_PROCESS, NetworkNames
from procwire.sensor.proc import started_ns

HOME = Path("/proc/self/ns/net").stat().st_ino
# More than Linux gives out.
NOBODY = 1 << 30


def rows(*told: tuple[int, int]) -> NDArray[np.void]:
    """A row for each name and pid."""
    events = np.zeros(len(told), SOCKET_EVENT)
    for row, (name, pid) in zip(events, told, strict=True):
        row["net_namespace"], row["process"]["pid"] = name, pid
        row["process"]["started_ns"] = started_ns(pid) or 0
    return events


def replaced(names: NetworkNames, *told: tuple[int, int]) -> list[int]:
    events = rows(*told)
    names.replace(events)
    return events["net_namespace"].tolist()


def test_a_name_is_that_of_any_process_that_has_it():
    names = NetworkNames()
    made_up = NAME_OF_PROCESS + 5
    assert replaced(names, (made_up, NOBODY)) == [0]
    assert replaced(names, (made_up, os.getpid()), (made_up, NOBODY)) == [HOME, HOME]
    # From then on it is known without any.
    assert replaced(names, (made_up, NOBODY)) == [HOME]


def test_an_inode_is_left_and_nothing_stays_nothing():
    assert replaced(NetworkNames(), (HOME + 1, NOBODY), (0, os.getpid())) == [HOME + 1, 0]


def test_a_number_that_is_another_process_by_now_tells_nothing():
    events = rows((NAME_OF_PROCESS, os.getpid()))
    events["process"]["started_ns"] -= 10_000_000
    NetworkNames().replace(events)
    assert events["net_namespace"].tolist() == [0]


def test_a_socket_of_another_namespace_than_its_process_does_not_rename_that_of_the_process():
    names = NetworkNames()
    # This one's cookie, as it was asked for, or as an event has it where that needs privileges.
    home = next((name for name, inode in names.known.items() if inode == HOME), 7)
    assert replaced(names, (home, os.getpid())) == [HOME]
    assert replaced(names, (home + 1, os.getpid())) == [0]


def test_of_many_new_names_some_are_looked_up_later():
    names = NetworkNames()
    told = [(NAME_OF_PROCESS + number, os.getpid()) for number in range(40)]
    found = replaced(names, *told)
    assert set(found) == {HOME, 0}
    assert replaced(names, *told) == [HOME] * 40
