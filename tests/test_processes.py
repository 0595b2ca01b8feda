"""The process table from made-up events: bounds, inheritance, lineage. Pids beyond pid_max, so that
/proc knows none of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from procwire.event import (
    ARGV_SIZE,
    EXE_SIZE,
    FLAG_ARGV_TRUNCATED,
    FLAG_ARGV_UNREADABLE,
    FLAG_EXE_TRUNCATED,
    PROCESS_EVENT,
    EventKind,
)
from procwire.record import CUT
from procwire.sensor import cgroups
from procwire.sensor.cgroups import CgroupPaths
from procwire.sensor.machine import cgroup2_mount, mount_cgroup2
from procwire.sensor.proc import kept_once, read_facts, split_argv, started_ns
from procwire.sensor.processes import ProcessTable
from procwire.sensor.snapshot import processes_before

BASE = 5_000_000


def key(pid, execs=0):
    return (pid * 10_000_000, BASE + pid, execs)


def event(kind, pid, execs=0, parent=(1, 0), argv=b"", exe=b"", uid=0, flags=0):
    row = np.zeros(1, PROCESS_EVENT)
    row["flags"] = flags
    row["kind"], row["process"], row["parent"] = kind, key(pid, execs), key(*parent)
    row["argv"], row["argv_size"], row["exe"], row["uid"] = argv, len(argv), exe, uid
    return row


def table_of(*events, **limits):
    table = ProcessTable(**limits)
    table.apply(np.concatenate(events))
    return table


def test_fork_inherits_exec_replaces_exit_retires():
    table = table_of(
        event(EventKind.EXEC, 1, 1, argv=b"sh\0-c\0", exe=b"/bin/sh"),
        event(EventKind.FORK, 2, 1, parent=(1, 1)),
    )
    assert table.get(key(2, 1)).argv == ("sh", "-c")
    table.apply(event(EventKind.EXEC, 2, 2, parent=(1, 1), argv=b"nmap\0\0", exe=b"/usr/bin/nmap"))
    assert table.get(key(2, 2)).argv == ("nmap", "")
    assert table.get(key(2, 1)).exe == "/bin/sh"
    assert len(table) == 2
    table.apply(event(EventKind.EXIT, 2, 2, parent=(1, 1)))
    assert len(table) == 1
    assert table.get(key(2, 2)).exe == "/usr/bin/nmap"
    assert [process.exe for process in table.ancestry(key(2, 2))] == ["/bin/sh"]


@pytest.mark.parametrize(
    ("argv", "flag", "arguments"),
    [
        (b"nmap\0-p\0" + b"7" * (ARGV_SIZE - 8), FLAG_ARGV_TRUNCATED, ["nmap", "-p"]),
        (b"nmap\0-p\0", FLAG_ARGV_UNREADABLE, ["nmap"]),
        (b"", FLAG_ARGV_UNREADABLE, []),
    ],
)
def test_a_command_line_says_that_it_is_not_whole(argv, flag, arguments):
    table = table_of(
        event(EventKind.EXEC, 1, 1, argv=argv, flags=flag),
        event(EventKind.FORK, 2, 1, parent=(1, 1)),
    )
    for pid in (1, 2):
        *first, last = table.get(key(pid, 1)).argv
        assert first == arguments
        assert last.endswith(CUT)


def test_a_path_that_was_cut_is_no_other_s():
    cut = b"/" + b"e" * (EXE_SIZE - 2)
    table = table_of(event(EventKind.EXEC, 1, 1, exe=cut, flags=FLAG_EXE_TRUNCATED))
    assert table.get(key(1, 1)).exe == cut.decode() + CUT


def test_ended_processes_are_bounded_and_evictions_counted():
    events = [event(EventKind.FORK, pid) for pid in range(2, 12)]
    events += [event(EventKind.EXIT, pid) for pid in range(2, 12)]
    table = table_of(*events, ended_limit=4)
    assert table.evicted == 6
    assert table.get(key(7)) is None
    assert table.get(key(8)) is not None


def test_equal_texts_are_kept_once_and_not_for_ever():
    known = table_of(
        *(event(EventKind.EXEC, pid, 1, argv=b"ls\0--all\0", exe=b"/bin/ls") for pid in (7, 8))
    )
    one, other = known.get(key(7, 1)), known.get(key(8, 1))
    assert one.exe is other.exe
    assert [part is same for part, same in zip(one.argv, other.argv, strict=True)] == [True, True]
    for number in range(3 * kept_once.cache_info().maxsize):
        kept_once(f"{number}")
    assert kept_once.cache_info().currsize == kept_once.cache_info().maxsize


def test_what_is_asked_for_is_kept_longest():
    events = [event(EventKind.FORK, pid) for pid in range(2, 7)]
    table = table_of(*events, *[event(EventKind.EXIT, pid) for pid in (2, 3)], ended_limit=2)
    assert table.get(key(2)) is not None
    table.apply(event(EventKind.EXIT, 4))
    assert table.get(key(2)) is not None
    assert table.get(key(3)) is None


def test_who_asks_beside_the_run_leaves_no_trace():
    events = [event(EventKind.FORK, pid, parent=(pid - 1, 0)) for pid in range(2, 7)]
    events += [event(EventKind.EXIT, pid) for pid in range(2, 6)]
    for keep, forgotten in ((False, 2), (True, 5)):
        table = table_of(*events, ended_limit=4)
        table.get(key(2), keep=keep)
        assert len(table.ancestry(key(4), keep=keep)) == 2
        table.apply(event(EventKind.EXIT, 6))
        ended = range(2, 7)
        assert [pid for pid in ended if table.get(key(pid), keep=False) is None] == [forgotten]


def test_lost_exits_cannot_fill_the_table():
    table = table_of(
        *[event(EventKind.FORK, pid) for pid in range(2, 50)], running_limit=8, ended_limit=8
    )
    assert len(table) == 8
    assert table.evicted == 32


def test_a_parent_whose_earlier_record_is_gone_is_what_it_runs_now():
    table = table_of(
        event(EventKind.EXEC, 1, 5, exe=b"/bin/bash"),
        event(EventKind.FORK, 2, 4, parent=(1, 4)),
    )
    assert [process.exe for process in table.ancestry(key(2, 4))] == ["/bin/bash"]


def test_a_process_that_is_its_own_parent_ends_the_lineage():
    table = table_of(event(EventKind.FORK, 1, parent=(1, 0)))
    assert table.ancestry(key(1)) == []
    assert table.ancestry(key(99)) == []


def test_an_exit_alone_still_tells_who_it_was():
    table = table_of(event(EventKind.EXIT, 3, uid=987_654))
    assert (len(table), table.get(key(3)).user) == (0, "987654")


def test_a_cgroup_is_known_by_the_inode_of_its_directory(tmp_path, monkeypatch):
    paths = CgroupPaths(tmp_path)
    inner = tmp_path / "machine.slice" / ("libpod-" + "ef" * 32 + ".scope")
    inner.mkdir(parents=True)
    number = inner.stat().st_ino
    assert paths.path_of(tmp_path.stat().st_ino) == "/"
    assert paths.path_of(number) == f"/machine.slice/libpod-{'ef' * 32}.scope"
    assert paths.path_of(number + 10**12) is None
    inner.rmdir()
    assert paths.path_of(number) is not None
    # When there is no room everything is forgotten, and what still exists found again.
    monkeypatch.setattr(cgroups, "REMEMBERED", 1)
    assert paths.path_of(number + 10**13) is None
    assert paths.path_of(number) is None
    assert CgroupPaths(tmp_path / "missing").path_of(1) is None


def test_the_cgroup_of_an_event_is_believed_before_the_parents(tmp_path, monkeypatch):
    groups = [tmp_path / f"docker-{digit * 64}.scope" for digit in "ab"]
    for group in groups:
        group.mkdir()
    monkeypatch.setattr(cgroups, "cgroup2_mount", lambda: tmp_path)
    started = [event(EventKind.FORK, 2), event(EventKind.FORK, 3, parent=(2, 0))]
    unknown = event(EventKind.EXEC, 3, 1, parent=(2, 0))
    for row, group in zip(started, groups, strict=True):
        row["cgroup"] = group.stat().st_ino
    table = table_of(*started, unknown)
    assert [table.get(key(pid)).container for pid in (2, 3)] == ["a" * 64, "b" * 64]
    # An exec without a cgroup's id is where the process was.
    assert table.get(key(3, 1)).cgroup == f"/docker-{'b' * 64}.scope"


def write_process(root, pid, cmdline=b"a\0", start=7):
    folder = root / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a) b) c) S " + " ".join(["0"] * 18) + f" {start} 0 0")
    (folder / "cmdline").write_bytes(cmdline)
    (folder / "cgroup").write_text(
        "4:memory:/docker/" + "ab" * 32 + "\n0::/system.slice/docker-" + "cd" * 32 + ".scope\n"
    )
    (folder / "exe").symlink_to("/opt/tool")


def test_proc_is_believed_only_for_the_same_start(tmp_path):
    write_process(tmp_path, 12)
    assert started_ns(12, tmp_path) == 70_000_000
    facts = read_facts(70_000_000, 12, tmp_path)
    assert (facts.exe, facts.cwd) == ("/opt/tool", None)
    assert facts.container == "ab" * 32
    assert facts.cgroup == "/system.slice/docker-" + "cd" * 32 + ".scope"
    assert read_facts(80_000_000, 12, tmp_path) is None
    assert read_facts(70_000_000, 13, tmp_path) is None


@pytest.mark.parametrize("stat", [b"", b"12 (a", b"12 (a) S 1", b"12 (a) S " + b"x " * 30])
def test_a_damaged_stat_is_no_process(tmp_path, stat):
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "stat").write_bytes(stat)
    assert started_ns(12, tmp_path) is None


@pytest.mark.parametrize(
    ("raw", "argv"),
    [(b"", ()), (b"a\0", ("a",)), (b"a\0\0", ("a", "")), (b"\xff\0b", ("\ufffd", "b"))],
)
def test_argv_is_split_as_the_kernel_holds_it(raw, argv):
    assert split_argv(raw) == argv


def test_a_parent_that_the_walk_leaves_out_is_known_by_its_child():
    rows = np.zeros(2, PROCESS_EVENT)
    parent = (started_ns(os.getppid()), os.getppid(), 3)
    rows["process"] = [(started_ns(os.getpid()), os.getpid(), 4), (0, 2, 0)]
    # A process that has ended, and what has no number.
    rows["parent"] = [parent, (7, 2**30, 0)]
    table = ProcessTable()
    table.insert(processes_before(rows))
    assert len(table) == 3
    found = table.get(parent)
    assert found is not None
    assert found.comm == Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    assert found.attribution == "snapshot"
    assert table.ancestry((started_ns(os.getpid()), os.getpid(), 4)) == [found]


def test_where_cgroup2_is_mounted_is_a_folder_that_is_there(tmp_path):
    """Behind `ip netns exec` it is empty, and takes no folders; elsewhere others lie in it."""
    assert mount_cgroup2(tmp_path) == f"mount -t cgroup2 none {tmp_path}"
    (tmp_path / "memory").mkdir()
    unified = tmp_path / "unified"
    assert mount_cgroup2(tmp_path) == f"mkdir -p {unified} && mount -t cgroup2 none {unified}"


def test_cgroup2_is_found_among_others(tmp_path):
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "31 1 0:27 /inner /mnt/part rw - cgroup2 cgroup2 rw\n"
        "32 1 0:27 / /mnt/a\\040b rw shared:4 - cgroup2 cgroup2 rw\n"
    )
    assert str(cgroup2_mount(mountinfo)) == "/mnt/a b"
