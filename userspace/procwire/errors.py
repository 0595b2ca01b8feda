"""What can go wrong for a user, each with the exit code the command line gives it."""

from __future__ import annotations

INTERRUPTED = 130
"""The exit code of whoever is ended by Ctrl-C, as a shell has it."""


class ProcwireError(Exception):
    """One clear line for the user. `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(ProcwireError):
    """An unknown option, setting or name."""

    exit_code = 2


class InputDamaged(ProcwireError):
    """An input that is not what it claims to be, or is cut short. Everything before `offset` was
    delivered.

    path: the input as the user named it; offset: byte offset of the damage in it; problem: what was
    found and what was expected there.
    """

    exit_code = 3

    def __init__(self, path: str, offset: int, problem: str) -> None:
        super().__init__(f"{path}: offset {offset}: {problem}")
        self.path, self.offset, self.problem = path, offset, problem


class RecordsDamaged(InputDamaged):
    """Records of an input were left out because they are not what they should be; all others were
    delivered.

    path: the input as the user named it; count: how many; first: place and problem of the first.
    """

    def __init__(self, path: str, count: int, first: tuple[str, ...]) -> None:
        more = f"; {count - len(first)} more were left out" if count > len(first) else ""
        ProcwireError.__init__(self, f"{path}: {'; '.join(first)}{more}")
        self.path, self.count, self.first = path, count, first


class Unavailable(ProcwireError):
    """A privilege, kernel feature or package is missing. `remedy` is the command or setting that
    mends it."""

    exit_code = 4

    def __init__(self, missing: str, remedy: str) -> None:
        super().__init__(f"{missing}; {remedy}")
        self.missing, self.remedy = missing, remedy
