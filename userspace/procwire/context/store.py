"""One SQLite file with everything procwire remembers of a site between runs.

Strategy: write-ahead logging, so that `watch` writes while commands read; the schema's number is
the file's user_version and is raised step by step. A damaged file is moved aside, never repaired in
place; what cannot be written is the caller's to count.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from procwire.context.integrity import faults
from procwire.context.schema import MIGRATIONS
from procwire.context.store_errors import explained
from procwire.errors import InputDamaged, UsageError
from procwire.state_folder import state_folder

FILE_NAME = "context.db"
MODE = 0o600
MEMORY = Path(":memory:")
"""A store that ends with the process."""

# "pwir", in the header of every file of ours (https://sqlite.org/fileformat2.html, 1.3).
_APPLICATION_ID = 0x70776972
_MAGIC, _ID_OFFSET = b"SQLite format 3\0", 68
_SMALLEST_PAGE = 512
# How long other writers are waited for: by a command, and by a watch, which has more to do.
_BUSY_S, _BUSY_TURN_MS = 5.0, 200
# SQLite keeps the recent part of the database in these.
_COMPANIONS = ("-wal", "-shm")

Row = tuple[Any, ...]


def default_path() -> Path:
    """Where the context lies unless another place is named. Raises as state_folder() does."""
    return state_folder() / FILE_NAME


class Store:
    """The open file. read_only: it has to exist and is left as it is.

    tell: called with one line when a damaged file was moved aside. Raises UsageError for a file
    that is not ours, Unavailable where it may not be opened or written, and InputDamaged for a
    damaged one that is only to be read, or is none of ours.
    """

    def __init__(
        self, path: Path, read_only: bool = False, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self.path, self.read_only = path, read_only
        self._was_empty = False
        try:
            self._connection = self._opened()
        except InputDamaged as damage:
            if read_only or not _may_be_ours(path):
                raise
            kept = _move_aside(path)
            tell(f"{damage}; kept as {kept}, learning starts again without allowlist and inventory")
            self._connection = self._opened()
        if self._was_empty:
            tell(f"{path}: empty; learning starts again without allowlist and inventory")
        self._version = self._data_version()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._connection.close()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        """Every row that a query answers."""
        with explained(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all that is done with the connection inside, or nothing of it.

        Raises Unavailable where the disk is full or the file may not be written.
        """
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def copy_to(self, path: Path) -> None:
        """A new file with what the store holds now, private like every other. Raises Unavailable
        where it cannot be written or exists."""
        with explained(path, "record into another folder"):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE))
            with contextlib.closing(sqlite3.connect(path)) as copy:
                self._connection.backup(copy)
                # One file, so that it can be read where nothing may be written.
                copy.execute("PRAGMA journal_mode = DELETE")

    def take_over(self, other: Store) -> None:
        """Hold what another store holds now, in place of what was here."""
        with explained(self.path):
            other._connection.backup(self._connection)

    def hurry(self) -> None:
        """Wait for other writers no longer than a turn of a live run may take."""
        self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_TURN_MS}")

    def changed(self) -> bool:
        """Whether another connection has written since this was last asked."""
        version = self._data_version()
        changed, self._version = version != self._version, version
        return changed

    def _data_version(self) -> int:
        return int(self.rows("PRAGMA data_version")[0][0])

    def _opened(self) -> sqlite3.Connection:
        with explained(self.path):
            if self.path != MEMORY:
                self._prepare_file()
            connection = self._connected()
            try:
                # Python would begin transactions by itself, but not for every statement.
                connection.isolation_level = None
                connection.text_factory = lambda text: text.decode(errors="replace")
                if connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
                    raise sqlite3.DatabaseError("its pages contradict each other")
                self._check_owner(connection)
                if not self.read_only:
                    self._make_private()
                    connection.execute("PRAGMA journal_mode = WAL")
                    # A power cut may cost the last seconds, never the file.
                    connection.execute("PRAGMA synchronous = NORMAL")
                    _migrate(connection)
                for problem in faults(connection, MIGRATIONS):
                    raise sqlite3.DatabaseError(problem)
            except BaseException:
                connection.close()
                raise
            return connection

    def _prepare_file(self) -> None:
        if self.read_only:
            if not self.path.is_file():
                raise UsageError(f"{self.path}: no such file; `procwire watch` makes one")
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.is_symlink():
            raise UsageError(f"{self.path}: a symbolic link; name the file that it leads to")
        if self.path.exists() and not self.path.is_file():
            raise UsageError(f"{self.path}: no regular file; name another one")
        self._was_empty = self.path.exists() and not self.path.stat().st_size
        # Made here, so that it is private from its first byte on; SQLite's companions follow it.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, MODE))
        size = self.path.stat().st_size
        if 0 < size < _SMALLEST_PAGE:
            # SQLite would take it for an empty one.
            raise sqlite3.DatabaseError(f"cut after {size} bytes")

    def _make_private(self) -> None:
        if self.path != MEMORY and self.path.stat().st_mode & 0o777 != MODE:
            self.path.chmod(MODE)

    def _connected(self) -> sqlite3.Connection:
        if self.path == MEMORY:
            return sqlite3.connect(str(MEMORY))
        mode = "ro" if self.read_only else "rw"
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        if self.read_only and not _beside(self.path, "-wal").exists():
            # Nobody writes. Otherwise SQLite would want to make its companions, and may not.
            address += "&immutable=1"
        return sqlite3.connect(address, uri=True, timeout=_BUSY_S)

    def _check_owner(self, connection: sqlite3.Connection) -> None:
        """Refuse what another program keeps in SQLite, and what a newer procwire wrote."""
        ((owner,),) = connection.execute("PRAGMA application_id")
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_schema")
        if owner != _APPLICATION_ID and (tables or self.read_only):
            raise UsageError(f"{self.path}: a database of another program; name another file")
        ((version,),) = connection.execute("PRAGMA user_version")
        if version > len(MIGRATIONS):
            raise UsageError(
                f"{self.path}: schema {version}, this procwire knows up to {len(MIGRATIONS)}; "
                "update procwire or name another file"
            )
        if self.read_only and version < len(MIGRATIONS):
            raise UsageError(
                f"{self.path}: schema {version} of an older procwire; `procwire allow list "
                f"--context {self.path}` brings it up to date"
            )


def _migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that the file lacks, all or none. Another process may have been faster."""
    ((version,),) = connection.execute("PRAGMA user_version")
    if version == len(MIGRATIONS):
        # Nothing to write, so whoever writes just now need not be waited for.
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        ((version,),) = connection.execute("PRAGMA user_version")
        for statement in _statements(MIGRATIONS[version:]):
            connection.execute(statement)
        if version < len(MIGRATIONS):
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(steps: Iterable[str]) -> Iterator[str]:
    for step in steps:
        yield from (statement for statement in step.split(";") if statement.strip())


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _may_be_ours(path: Path) -> bool:
    """Whether a damaged file can be one of ours: any other, named by mistake, stays where it is."""
    with path.open("rb") as file:
        head = file.read(_ID_OFFSET + 4)
    owner = head[_ID_OFFSET:]
    return path.name == FILE_NAME or (
        head.startswith(_MAGIC) and (len(owner) < 4 or owner == _APPLICATION_ID.to_bytes(4))
    )


def _move_aside(path: Path) -> Path:
    number = 1
    while _beside(path, f".damaged-{number}").exists():
        number += 1
    kept = _beside(path, f".damaged-{number}")
    path.rename(kept)
    for suffix in _COMPANIONS:
        if _beside(path, suffix).exists():
            _beside(path, suffix).rename(_beside(kept, suffix))
    return kept
