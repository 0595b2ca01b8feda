"""What commands write to and read from: files, pipes, what is full, closed or interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from commands import ENDS
from procwire.errors import INTERRUPTED
from procwire.rules import packet_rules

PAGE = os.sysconf("SC_PAGESIZE")


def test_results_in_a_file_are_the_owners_alone(run, broken: Path, tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    ran = run("read", "-o", path, broken)
    assert ran.out == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().splitlines()) > len(packet_rules())


def test_a_file_that_was_there_becomes_the_owners_alone(run, broken: Path, tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_text("old")
    path.chmod(0o644)
    run("read", "-o", path, broken)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_results_never_take_the_place_of_an_input(run, broken: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.pcap"
    link.symlink_to(broken)
    before = broken.read_bytes()
    history = tmp_path / "history.jsonl"
    history.touch()
    for words in (
        ["read", broken],
        ["read", link],
        ["enrich", broken, "--history", history],
        ["enrich", history, "--history", broken],
    ):
        ran = run(*words, "-o", broken)
        assert (ran.code, "is the input" in ran.talk) == (ENDS["usage"], True)
    assert broken.read_bytes() == before


def test_results_that_find_no_place_end_the_run(run, broken: Path, tmp_path: Path) -> None:
    nowhere = run("read", "-o", tmp_path / "none" / "eve.json", broken)
    assert nowhere.code == ENDS["usage"]
    assert "name a file that can be written" in nowhere.talk
    full = run("read", "-o", "/dev/full", broken)
    assert full.code == ENDS["missing"]
    assert full.talk == (
        "procwire: /dev/full: No space left on device; free space, or name another file with -o\n"
    )


@pytest.mark.parametrize("words", [("rules", "list"), ("rules", "show", "ipv4.land"), ("--help",)])
def test_a_full_standard_output_is_said(words: tuple[str, ...]) -> None:
    command = [Path(sys.executable).with_name("procwire"), *words]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (
        ENDS["missing"],
        "procwire: results cannot be written: No space left on device; "
        "free space, or write them elsewhere\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        "rules list --json > {}",
        "enrich - --history {0}.none > {0}",
        "enrich - --history {0}.none -o {0}",
    ],
)
def test_so_is_a_file_that_may_not_grow(words: str, tmp_path: Path) -> None:
    procwire, kept = Path(sys.executable).with_name("procwire"), tmp_path / "kept.json"
    (tmp_path / "kept.json.none").touch()
    command = f"ulimit -f 1; exec {procwire} {words.format(kept)}"
    ran = subprocess.run(
        ["bash", "-c", command], input=b"{}\n" * 9999, stderr=subprocess.PIPE, check=False
    )
    assert ran.returncode == ENDS["missing"], ran.stderr
    assert ran.stderr.startswith(b"procwire: results cannot be written: File too large; free space")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_nobody_s(closed: str, broken: Path, tmp_path: Path) -> None:
    procwire, kept = Path(sys.executable).with_name("procwire"), tmp_path / "kept.json"
    runs = {}
    for words, code in (
        (["read", "-"], ENDS["damage"]),
        (["read", "-o", str(kept), str(broken)], ENDS["findings"]),
    ):
        command = ["sh", "-c", f"exec {shlex.join([str(procwire), *words])} {closed}"]
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        runs[code] = subprocess.Popen(command, stdin=subprocess.DEVNULL, **pipes)
    for code, ran in runs.items():
        _, talk = ran.communicate()
        assert (ran.returncode, b"Traceback" in talk) == (code, False)
    assert all(json.loads(line) for line in kept.read_text().splitlines())


@pytest.mark.parametrize("words", ["read --format eve {}", "rules list --json"])
def test_a_closed_pipe_is_no_error(broken: Path, words: str) -> None:
    command = f"{Path(sys.executable).with_name('procwire')} {words.format(broken)} | head -c 999"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout) == 999


@pytest.mark.parametrize("words", ["--help", "read --help", "config show", "rules show ipv4.land"])
@pytest.mark.parametrize("streams", ["", "2>&1"])
def test_nor_is_one_that_is_closed_before_all_is_written(words: str, streams: str) -> None:
    """What waits in a buffer is written at the very end."""
    command = f"{Path(sys.executable).with_name('procwire')} {words} {streams} | true"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False)
    assert ended.returncode == 0


def test_a_signal_during_a_write_loses_nothing() -> None:
    """The kernel gives pipes of a page or two where a user holds many."""
    told = subprocess.Popen(
        [Path(sys.executable).with_name("procwire"), "rules", "list", "--json"],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        pipesize=PAGE,
    )
    held, deadline = bytearray(4), time.monotonic() + 60
    while int.from_bytes(held, sys.byteorder) < PAGE and time.monotonic() < deadline:
        time.sleep(0.1)
        fcntl.ioctl(told.stdout, termios.FIONREAD, held)
    # The wait of a process that is stopped and goes on is interrupted, in the midst of its write.
    told.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    told.send_signal(signal.SIGCONT)
    out, _ = told.communicate(timeout=60)
    assert json.loads(out)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_waits_for_a_pipe_can_be_interrupted(broken: Path, workers: str) -> None:
    program = Path(sys.executable).with_name("procwire")
    # What runs the tests may ignore the signal itself, as nohup does, and would hand that on.
    command = ["env", "--default-signal=INT", program, "read", "--workers", workers, "-"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as ran:
        ran.stdin.write(broken.read_bytes())
        ran.stdin.flush()
        assert json.loads(ran.stdout.readline())
        ran.send_signal(signal.SIGINT)
        assert (ran.wait(60), ran.stderr.read().strip()) == (INTERRUPTED, b"")


def test_a_pipe_that_does_not_wait_is_read_to_its_end(run, broken: Path) -> None:
    content, told = broken.read_bytes(), run("read", broken).out
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    command = [Path(sys.executable).with_name("procwire"), "read", "-"]
    with subprocess.Popen(command, stdin=reads, stdout=subprocess.PIPE) as ran:
        os.close(reads)
        os.write(writes, content[: len(content) // 2])
        first = ran.stdout.readline()
        os.write(writes, content[len(content) // 2 :])
        os.close(writes)
        piped = (first + ran.stdout.read()).decode()
    assert piped.replace('"pcap_filename":"-"', f'"pcap_filename":"{broken}"') == told


@pytest.mark.parametrize("form", ["eve", "text"])
def test_results_come_whole_where_nobody_can_be_told_of_them(broken: Path, form: str) -> None:
    command = [Path(sys.executable).with_name("procwire"), "read", "--format", form, broken]
    with Path("/dev/full").open("wb") as full:
        ended = [
            subprocess.run(command, stdout=subprocess.PIPE, stderr=talk, check=False)
            for talk in (subprocess.DEVNULL, full)
        ]
    assert [one.returncode for one in ended] == [ENDS["findings"]] * 2
    assert ended[0].stdout == ended[1].stdout
