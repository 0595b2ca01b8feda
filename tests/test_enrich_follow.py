"""Suricata's records are followed as they are written, and enriched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from weakref import WeakSet

import pytest
from procwire.owners import past_owners
from procwire.owners.enrich import Settling
from procwire.owners.history import Local, older
from procwire.owners.history_writer import HistoryWriter
from procwire.runs.following import Following
from test_enrich import KEY, SECOND, history, line, process_of, record

PROCWIRE = Path(sys.executable).with_name("procwire")


def test_what_rotations_take_away_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers come and go, each with a network namespace of its own."""
    known = WeakSet()

    class Addresses(past_owners._Addresses):
        def __init__(self, local: Local) -> None:
            super().__init__(local)
            known.add(self)

    monkeypatch.setattr(past_owners, "_Addresses", Addresses)
    path = tmp_path / "history.jsonl"
    writer = HistoryWriter(path, lambda key: None, 0, largest=2000)
    history = past_owners.History(path)
    for number in range(1, 200):
        writer.networks((), {number: [ip_network("10.1.0.0/16")]}, number * SECOND)
        history.refresh()
    lines = path.read_bytes() + older(path).read_bytes()
    assert 0 < len(known) <= lines.count(b'"local"')


def test_follows_over_rotations_and_half_lines(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    following = Following(path)
    assert following.read() == []
    with path.open("wb", buffering=0) as writer:
        writer.write(b"one\ntw")
        assert following.read() == [b"one\n"]
        assert following.read() == []
        writer.write(b"o\n")
        assert following.read() == [b"two\n"]
        path.rename(tmp_path / "eve.json.1")
        writer.write(b"three\n")
        path.write_bytes(b"four\n")
        assert following.read() == [b"three\n"]
    assert [one for _ in range(3) for one in following.read()] == [b"four\n"]
    assert following.rotations == 1
    os.truncate(path, 0)
    assert following.read() == []
    with path.open("ab") as writer:
        writer.write(b"five\n")
    assert following.read() == [b"five\n"]
    following.close()


def test_waits_for_the_history() -> None:
    settling = Settling(settle_s=1.0)
    settling.add(0.0, [b"a\n"])
    settling.add(0.9, [b"b\n"])
    settling.add(0.9, [])
    assert settling.due(0.5) == []
    assert settling.due(1.0) == [b"a\n"]
    assert settling.rest() == [b"b\n"]


@pytest.fixture
def following() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Begins commands, and ends what is left of them."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(*command: str | Path) -> subprocess.Popen[bytes]:
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        begun.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, **pipes))
        return begun[-1]

    yield begin
    for one in begun:
        one.kill()
        one.communicate()


def test_following_ends_with_what_it_counted(tmp_path: Path, following) -> None:
    eve, path = tmp_path / "eve.json", history(tmp_path / "h", (0, KEY, 4000))
    eve.write_bytes(line(record(SECOND, 4000)))
    # What runs the tests may ignore signals itself, as nohup does, and would hand that on.
    program = "env", "--default-signal", PROCWIRE
    command = (*program, "enrich", "--follow", eve, "--history", path)
    # All at once: each waits for the history first.
    codes = {signal.SIGINT: 130, signal.SIGTERM: 0, signal.SIGHUP: 0}
    begun = {number: following(*command) for number in codes}
    for number, one in begun.items():
        assert process_of(one.stdout.readline())
        one.send_signal(number)
        _, talk = one.communicate(timeout=60)
        assert one.returncode == codes[number], number
        assert b"1 records, 1 with their process" in talk


def test_following_outlives_a_terminal_where_that_is_asked_for(tmp_path: Path, following) -> None:
    eve, path = tmp_path / "eve.json", history(tmp_path / "h", (0, KEY, 4000))
    eve.write_bytes(line(record(SECOND, 4000)))
    began = following("nohup", PROCWIRE, "enrich", "--follow", eve, "--history", path)
    assert process_of(began.stdout.readline())
    began.send_signal(signal.SIGHUP)
    with eve.open("ab") as more:
        more.write(line(record(SECOND, 4000)))
    assert process_of(began.stdout.readline())
    began.send_signal(signal.SIGTERM)
    assert began.wait(timeout=60) == 0
