"""The procwire command: options in, calls out. Every error a user can cause ends in one line."""

from __future__ import annotations

import contextlib
import difflib
import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from procwire import __version__
from procwire.errors import INTERRUPTED, ProcwireError, Unavailable, UsageError
from procwire.output.lines import NO_ROOM
from procwire.output.printable import printable

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Imported only when called: numba alone takes half a second to import.
COMMANDS = {
    "allow": "procwire.cli.allow:allow",
    "baseline": "procwire.cli.baseline:baseline",
    "config": "procwire.cli.config:config",
    "coverage": "procwire.cli.coverage:coverage",
    "doctor": "procwire.cli.doctor:doctor",
    "enrich": "procwire.cli.enrich:enrich",
    "explain": "procwire.cli.explain:explain",
    "inventory": "procwire.cli.inventory:inventory",
    "read": "procwire.cli.read:read",
    "rules": "procwire.cli.rules:rules",
    "suricata": "procwire.cli.suricata:suricata",
    "tune": "procwire.cli.tune:tune",
    "watch": "procwire.cli.watch:watch",
}

_ALGEBRA_THREADS = "OPENBLAS_NUM_THREADS"


@contextlib.contextmanager
def _no_threads_of_numpy() -> Iterator[None]:
    """NumPy, if it is imported meanwhile, starts no threads for linear algebra, of which nothing
    here has any: while they look for work they take a tenth of a start."""
    before = os.environ.get(_ALGEBRA_THREADS)
    os.environ[_ALGEBRA_THREADS] = "1"
    try:
        yield
    finally:
        # What is run from here is not to be told.
        if before is None:
            del os.environ[_ALGEBRA_THREADS]
        else:
            os.environ[_ALGEBRA_THREADS] = before


class Commands(click.Group):
    """A group that imports its commands on demand and names the nearest one for an unknown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, or None."""
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name].partition(":")
        # What modules make lasts as long as the process. Collections that visit it again and again
        # would cost a tenth of the time that a capture takes.
        gc.disable()
        with _no_threads_of_numpy():
            command: click.Command = getattr(importlib.import_module(module), function)
        gc.freeze()
        gc.enable()
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """As invoke(), of --help and --version."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, but that a reader of our output who has seen enough, such as head, makes
        no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            ctx.exit(0)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest known name in the refusal."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0)[0]
            ctx.fail(f"no command is called {args[0]!r}; the nearest is {near!r}")
        return super().resolve_command(ctx, args)


@click.command(cls=Commands)
@click.version_option(__version__, prog_name="procwire")
def procwire() -> None:
    """Find out which process scans, and which packets break the protocol standards.

    \b
    Examples:
      sudo procwire watch              connections and scans of this host, by process
      procwire read capture.pcap       scans and protocol violations in a capture
      procwire rules list              what is checked
      procwire doctor                  what this machine lets procwire see
      procwire coverage eve.json       what a run did not see
    """


def open_streams() -> None:
    """What whoever started us has closed reads and writes nothing. Otherwise the next file that is
    opened would take its number, and what is meant for people would go there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            opened = Path(os.devnull).open(mode)  # noqa: SIM115
            setattr(sys, name, opened)
            # What is written through another object lasts as long as this one.
            setattr(sys, f"__{name}__", opened)


def whole_writes(stream: TextIO) -> TextIO:
    """The same stream; what is written to it is written whole.

    With PYTHONUNBUFFERED a signal during a write to a full pipe would lose the rest of a line: an
    unbuffered file writes as much as it can, and nobody asks how much that was."""
    below = getattr(stream, "buffer", None)
    if not isinstance(below, io.RawIOBase):
        return stream
    return _by_lines(io.FileIO(below.fileno(), "w", closefd=False), stream)


class _Talk(io.FileIO):
    """What is meant for people. On a disk without room for it nobody hears it, and the run goes
    on."""

    def write(self, said: Buffer) -> int:
        try:
            return super().write(said)
        except OSError as problem:
            if problem.errno not in NO_ROOM:
                raise
            return memoryview(said).nbytes


def talk(stream: TextIO) -> TextIO:
    """The same stream for what is meant for people; it is written whole, too."""
    return _by_lines(_Talk(stream.fileno(), "w", closefd=False), stream)


def _by_lines(raw: io.FileIO, stream: TextIO) -> TextIO:
    """Text for `raw`, in the encoding of `stream`; each line is written as it ends."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )


def main() -> None:
    """Run the command line. Exit codes: 0 nothing found, 1 findings, 2 usage, 3 input damaged, 4
    privilege, kernel feature or package missing, 130 interrupted."""
    open_streams()
    sys.stdout, sys.stderr = whole_writes(sys.stdout), talk(sys.stderr)
    try:
        code = procwire(standalone_mode=False) or 0
        sys.stdout.flush()
        sys.exit(code)
    except click.ClickException as refusal:
        context, said = getattr(refusal, "ctx", None), refusal.format_message()
        if context is not None and said == context.get_help():
            # Without a command click has none to refuse, and shows what there are.
            click.echo(said, err=True)
        else:
            # Words of the command line may be names of files that somebody else has chosen.
            click.UsageError(printable(said), context).show()
        sys.exit(2)
    except ProcwireError as problem:
        click.echo(f"procwire: {printable(str(problem))}", err=True)
        sys.exit(problem.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # What is left of it is tried again at the very end, and would end us with another code.
        sys.stderr.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as problem:
        if problem.errno in (*NO_ROOM, errno.EIO):
            said = f"results cannot be written: {problem.strerror}"
            click.echo(f"procwire: {said}; free space, or write them elsewhere", err=True)
            sys.stdout = io.StringIO()
            sys.exit(Unavailable.exit_code)
        if not isinstance(problem.filename, str):
            raise
        # A folder on the way there is closed to the user, or no file can have such a name.
        click.echo(f"procwire: {printable(problem.filename)}: {problem.strerror}", err=True)
        sys.exit(UsageError.exit_code)
