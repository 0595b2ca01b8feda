"""What SQLite and the system raise of a file of the context, as errors for people."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from procwire.errors import InputDamaged, ProcwireError, Unavailable

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# What SQLite and the system say -> what can be done.
_REMEDIES = {
    "locked": "wait for the process that holds it, end it",
    "permission": "become its owner or root, correct its permissions",
    "readonly": "become its owner or root, correct its permissions",
    "read-only": "mount its file system for writing",
    "full": "free space",
    "no space": "free space",
}
_ANY = "free space, correct its permissions"


@contextlib.contextmanager
def explained(path: Path, otherwise: str = "give --context FILE") -> Iterator[None]:
    """Raises Unavailable where the file may not be opened, read or written, and InputDamaged where
    it is damaged. otherwise: what helps beside a remedy."""
    try:
        yield
    except ProcwireError:
        raise
    except sqlite3.OperationalError as problem:
        raise _unavailable(path, str(problem), otherwise) from None
    except sqlite3.DatabaseError as problem:
        code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF not in _DAMAGED:
            raise
        raise InputDamaged(str(path), 0, f"no intact context: {problem}") from None
    except UnicodeDecodeError:
        # SQLite quotes the damaged text in its message.
        raise InputDamaged(str(path), 0, "no intact context: damaged text") from None
    except OSError as problem:
        raise _unavailable(path, problem.strerror or str(problem), otherwise) from None


def _unavailable(path: Path, problem: str, otherwise: str) -> Unavailable:
    said = problem.lower()
    found = (remedy for part, remedy in _REMEDIES.items() if part in said)
    return Unavailable(f"{path}: {problem}", f"{next(found, _ANY)} or {otherwise}")
