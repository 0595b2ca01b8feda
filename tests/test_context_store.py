"""The context's file: private, raised step by step, moved aside when damaged, never in the way."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from procwire.cli.context import context_to_watch
from procwire.context import store as store_module
from procwire.context.baseline import known
from procwire.context.schema import MIGRATIONS
from procwire.context.site import Site
from procwire.context.store import MEMORY, Store, default_path
from procwire.detect.habits import Habit
from procwire.errors import Unavailable, UsageError

INSERT = (
    "INSERT INTO allowed (exe, owner, reason, created, expires) VALUES (?, 'ann', 'a backup', 1, 2)"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "context.db"


def insert(store: Store, exe: str) -> None:
    with store.writing() as connection:
        connection.execute(INSERT, (exe,))


def programs(store: Store) -> list[str]:
    return [exe for (exe,) in store.rows("SELECT exe FROM allowed ORDER BY id")]


def test_what_is_written_is_there_for_the_next(path: Path) -> None:
    with Store(path) as store:
        insert(store, "/bin/a")
    with Store(path) as store:
        assert programs(store) == ["/bin/a"]
        assert store.rows("PRAGMA journal_mode") == [("wal",)]


def test_nobody_else_may_read_any_of_its_files(path: Path) -> None:
    with Store(path) as store:
        insert(store, "/bin/a")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert len(list(path.parent.iterdir())) == 3
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_may_read_is_closed_to_them(path: Path) -> None:
    Store(path).close()
    path.chmod(0o644)
    Store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="symbolic link; name the file"):
        Store(path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_left_alone(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make(path)
    with pytest.raises(UsageError, match="no regular file; name another"):
        Store(path)


def test_one_writes_while_another_reads(path: Path) -> None:
    with Store(path) as watch, Store(path) as command:
        assert not watch.changed()
        insert(command, "/bin/a")
        assert watch.changed()
        assert not watch.changed()
        insert(watch, "/bin/b")
        assert not watch.changed(), "its own writing is no news"
        assert programs(command) == ["/bin/a", "/bin/b"]


def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    with Store(path) as store:
        with pytest.raises(ZeroDivisionError), store.writing() as connection:
            connection.execute(INSERT, ("/bin/a",))
            raise ZeroDivisionError
        assert programs(store) == []
        insert(store, "/bin/b")
        assert programs(store) == ["/bin/b"]


def test_habits_of_an_older_file_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = "id, kind, role, zone, program, protocol, port, service, peer, state, count, first"
    with monkeypatch.context() as older:
        older.setattr(store_module, "MIGRATIONS", MIGRATIONS[:5])
        with Store(path) as store, store.writing() as connection:
            connection.execute(
                f"INSERT INTO habits ({columns}, last) VALUES (7, 'use', '', 'office', '/bin/a', 6,"
                " 443, '', 'plant', 'approved', 3, 1, 2)"
            )
    with Store(path) as store:
        (one,) = known(store)
    assert (one.id, one.state, one.count) == (7, "approved", 3)
    assert one.habit == Habit("use", "", "office", "/bin/a", 6, 443, "", "plant")


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_every_older_file_is_brought_up_to_date(
    path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(store_module, "MIGRATIONS", MIGRATIONS[:version])
        Store(path).close()
    with Store(path) as store:
        assert store.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
        insert(store, "/bin/a")


def test_a_step_that_fails_is_not_half_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE half (a INTEGER); CREATE TABLE half (a INTEGER)")
    with monkeypatch.context() as newer:
        newer.setattr(store_module, "MIGRATIONS", broken)
        with pytest.raises(Unavailable, match="half already exists"):
            Store(path)
    with Store(path) as store:
        assert store.rows("SELECT name FROM sqlite_schema WHERE name = 'half'") == []


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="update procwire"):
        Store(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (address TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another program"):
        Store(path)
    assert path.read_bytes() == before


def test_what_is_only_read_has_to_exist_and_stays_the_same(path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Store(path, read_only=True)
    with Store(path) as store:
        insert(store, "/bin/a")
    before = path.read_bytes()
    with Store(path, read_only=True) as frozen:
        assert programs(frozen) == ["/bin/a"]
        with pytest.raises(Unavailable):
            insert(frozen, "/bin/b")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["context.db"]


def test_a_reader_sees_what_a_running_watch_has_written(path: Path) -> None:
    with Store(path) as watch:
        insert(watch, "/bin/a")
        with Store(path, read_only=True) as reader:
            assert programs(reader) == ["/bin/a"]


def test_a_copy_that_cannot_be_is_told_by_its_own_name(tmp_path: Path) -> None:
    copy = tmp_path / "none" / "context.db"
    with Store(tmp_path / "context.db") as store, pytest.raises(Unavailable) as refused:
        store.copy_to(copy)
    assert str(refused.value).startswith(f"{copy}: No such file")
    assert str(refused.value).endswith("or record into another folder")


def test_a_copy_is_one_private_file_that_needs_no_other(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "context.db"
    copy.parent.mkdir()
    with Store(path) as store:
        insert(store, "/bin/a")
        store.copy_to(copy)
        insert(store, "/bin/b")
        with pytest.raises(Unavailable, match="exists"):
            store.copy_to(copy)
    assert [file.name for file in copy.parent.iterdir()] == ["context.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with Store(copy, read_only=True) as frozen:
        assert programs(frozen) == ["/bin/a"]


def test_a_full_disk_is_told_and_over_when_there_is_room(path: Path) -> None:
    with Store(path) as store:
        ((pages,),) = store.rows("PRAGMA page_count")
        store.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(Unavailable, match="full.*free space"):
            insert(store, "/bin/" + "a" * 20_000)
        assert programs(store) == []
        store.rows(f"PRAGMA max_page_count = {pages + 100}")
        insert(store, "/bin/" + "a" * 20_000)
        assert len(programs(store)) == 1


@pytest.fixture
def holder(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process that holds the context for writing."""
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_what_another_process_holds_can_be_read(path: Path, holder: sqlite3.Connection) -> None:
    with Store(path) as store:
        assert programs(store) == []


def test_a_watch_does_not_stand_still_for_who_holds_its_context(
    path: Path, holder: sqlite3.Connection
) -> None:
    said: list[str] = []
    with context_to_watch(path) as store:
        site = Site(store, said.append)
        site.observed({"fanout.hosts": 25.0}, 10)
        begun = time.monotonic()
        site.save()
        # Commands wait for seconds.
        assert time.monotonic() - begun < 2
        assert "locked; wait for the process that holds it" in said[0]
        assert site.counters()["context.unsaved"] == 1
        holder.execute("ROLLBACK")
        site.save()
        assert store.rows("SELECT threshold, observed FROM in_force") == [(25.0, 10)]


def test_a_watch_that_may_not_write_knows_what_it_may_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(path) as store:
        insert(store, "/bin/a")

    def refused(path: Path) -> Store:
        raise Unavailable(f"{path}: Read-only file system", "mount it")

    monkeypatch.setattr("procwire.cli.context.opened", refused)
    with context_to_watch(path) as store:
        assert (store.path, programs(store)) == (MEMORY, ["/bin/a"])
        insert(store, "/bin/b")
        assert programs(store) == ["/bin/a", "/bin/b"]
    assert "mount it; its allowlist and inventory hold" in capsys.readouterr().err
    with context_to_watch(path.with_name("none.db")) as store:
        assert programs(store) == []
    assert "no allowlist and no inventory hold" in capsys.readouterr().err
    with Store(path, read_only=True) as store:
        assert programs(store) == ["/bin/a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_who_may_not_open_it_is_told_what_to_do(mode: int, run: Callable[..., Any]) -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "context.db"
        Store(path).close()
        path.chmod(mode)
        os.seteuid(65534)
        try:
            seen = run("allow", "list", "--context", path)
        finally:
            os.seteuid(0)
    assert (seen.code, seen.out) == (4, "")
    assert "become its owner or root" in seen.talk


def test_where_the_context_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/elsewhere")
    assert default_path() == tmp_path / "context.db"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_path() == Path("/var/lib/procwire/context.db")
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "procwire" / "context.db"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)
    with pytest.raises(Unavailable, match="54321 has no home directory; set HOME"):
        default_path()


def test_a_store_in_memory_needs_no_file() -> None:
    with Store(MEMORY) as store:
        insert(store, "/bin/a")
        assert programs(store) == ["/bin/a"]
    assert not Path(str(MEMORY)).exists()
