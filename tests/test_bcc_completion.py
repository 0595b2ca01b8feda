"""What events of the programs for bcc lack of a process, from others and from files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray
from procwire.event import (
    ARGV_SIZE,
    FLAG_ARGV_TRUNCATED,
    FLAG_EXE_TRUNCATED,
    PROCESS_EVENT,
    PROCESS_HEADER,
    EventKind,
    cut_process_event,
)
from procwire.sensor.bcc_completion import Completion
from procwire.sensor.running import NO_LOGIN_UID, Running

# More than Linux gives out: /proc has nothing of them.
PARENT, CHILD, OTHER = 1 << 30, (1 << 30) + 1, (1 << 30) + 2
LOGIN = 1000


@pytest.fixture
def completion() -> Completion:
    return Completion(
        [
            Running(
                PARENT,
                started=0,
                comm=b"sh",
                ppid=1,
                uid=0,
                gid=0,
                threads=1,
                session=1,
                job=(1, 1),
                login_uid=LOGIN,
                network=0xF0000000,
                numbers=(PARENT,),
                children_apart=False,
            )
        ]
    )


def event(kind: EventKind, pid: int, *arguments: bytes, exe: bytes = b"") -> NDArray[np.void]:
    argv = b"".join(one + b"\0" for one in arguments)
    row = np.zeros(1, cut_process_event(PROCESS_HEADER + len(argv)))
    row["kind"], row["process"]["pid"], row["parent"]["pid"] = kind, pid, PARENT
    row["exe"], row["argv"], row["argv_size"] = exe, argv, len(argv)
    return row


def test_a_script_whose_arguments_no_longer_fit_says_so(completion, file):
    script = file("script", b"#!/bin/sh\n")
    rows = completion.complete(event(EventKind.EXEC, CHILD, b"x", b"7" * ARGV_SIZE, exe=script))
    assert rows["argv_size"] == ARGV_SIZE
    assert rows["flags"] == FLAG_ARGV_TRUNCATED


def test_what_lies_at_a_path_that_was_cut_is_not_asked(completion, file):
    row = event(EventKind.EXEC, CHILD, b"x", exe=file("script", b"#!/bin/sh\n"))
    row["flags"] = FLAG_EXE_TRUNCATED
    assert completion.complete(row)["argv"] == b"x"


def executed(completion: Completion, *arguments: bytes, exe: bytes) -> tuple[bytes, list[bytes]]:
    (row,) = completion.complete(event(EventKind.EXEC, CHILD, *arguments, exe=exe))
    argv = row["argv"].ljust(int(row["argv_size"]), b"\0")
    return row["exe"], argv.removesuffix(b"\0").split(b"\0")


def test_the_login_user_is_the_parent_s_from_fork_to_exit(completion: Completion):
    for kind in (EventKind.FORK, EventKind.EXEC, EventKind.EXIT):
        (row,) = completion.complete(event(kind, CHILD))
        assert row["login_uid"] == LOGIN
    # Whoever has that number next is told by its own fork.
    (row,) = completion.complete(event(EventKind.EXEC, CHILD))
    assert row["login_uid"] == NO_LOGIN_UID


def test_a_number_told_as_a_process_ends_was_its_number_before(completion: Completion):
    kinds = ((EventKind.FORK, CHILD), (EventKind.FORK, OTHER), (EventKind.EXIT, CHILD))
    rows = np.concatenate([event(kind, pid) for kind, pid in kinds]).astype(PROCESS_EVENT)
    rows["namespace_pid"][2] = 17
    assert completion.complete(rows)["namespace_pid"].tolist() == [17, 0, 17]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, bytes], bytes]:
    """Writes a file; its name."""

    def write(name: str, text: bytes) -> bytes:
        path = tmp_path / name
        path.write_bytes(text)
        return bytes(path)

    return write


def test_a_script_is_executed_by_what_its_first_line_names(completion, file):
    script = file("script", b"#! /bin/sh -e -x \nexit 0\n")
    assert executed(completion, b"name", b"one", b"", exe=script) == (
        b"/bin/sh",
        [b"/bin/sh", b"-e -x", script, b"one", b""],
    )


def test_an_interpreter_may_be_a_script(completion, file):
    inner = file("inner", b"#!/bin/sh")
    outer = file("outer", b"#!" + inner + b"\t-q\n")
    assert executed(completion, b"x", exe=outer)[1] == [b"/bin/sh", inner, b"-q", outer]


def test_a_script_that_executes_itself_is_followed_no_further_than_the_kernel_does(
    completion, file, tmp_path
):
    name = bytes(tmp_path / "loop")
    file("loop", b"#!" + name + b"\n")
    assert executed(completion, b"x", exe=name)[1] == [name] * 5


@pytest.mark.parametrize("text", [b"\x7fELF", b"", b"#!", b"#! \n", b"#\n!/bin/sh"])
def test_whatever_else_is_executed_is_left(completion, file, text: bytes):
    name = file("program", text)
    assert executed(completion, b"x", b"y", exe=name) == (name, [b"x", b"y"])


def test_a_name_from_a_folder_that_nobody_knows_is_left(completion, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file("script", b"#!/bin/sh\n")
    assert executed(completion, b"x", exe=b"./script") == (b"./script", [b"x"])


def test_a_pipe_in_the_place_of_a_script_that_ran_holds_nothing_up(completion, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    name, told = bytes(tmp_path / "pipe"), []
    thread = Thread(target=lambda: told.append(executed(completion, b"x", exe=name)), daemon=True)
    thread.start()
    thread.join(20)
    assert told == [(name, [b"x"])]
