"""Scripts are programs of their own: which command lines say what runs beyond doubt, and which only
look so; entries and habits that name a script cover no other."""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from msgspec.structs import replace
from procwire.alert import Alert, scan_alert
from procwire.context.allowlist import Allowlist, Entry, Wish, add
from procwire.context.store import MEMORY, Store
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.record import CUT, Process, interpreter
from test_alert import SCANNER_PROCESS, row

PYTHON, POLLER = "/usr/bin/python3.11", "/opt/poller.py"


def process(exe: str, *argv: str, **named: object) -> Process:
    return changed(SCANNER_PROCESS, exe=exe, argv=argv, **named)


POLLS = process(PYTHON, "python3", POLLER, "--all")


@pytest.mark.parametrize(
    ("exe", "kind"),
    [
        (PYTHON, "python"),
        ("/usr/bin/dash", "shell"),
        ("/bin/bash", "shell"),
        ("/usr/bin/perl5.36.0", "perl"),
        ("/usr/bin/nodejs", "node"),
        ("C:\\Python\\python.exe", "python"),
        ("/usr/bin/pythonic", None),
        ("/usr/bin/python3-config", None),
        ("/usr/bin/nmap", None),
        ("", None),
    ],
)
def test_interpreters_are_known_by_their_names(exe: str, kind: str | None) -> None:
    assert interpreter(exe) == kind


@pytest.mark.parametrize(
    ("exe", "argv"),
    [
        (PYTHON, ("python3", POLLER)),
        (PYTHON, ("/usr/bin/python3", POLLER, "-c", "x")),
        ("/usr/bin/dash", ("/bin/sh", POLLER)),
        ("/usr/bin/perl", ("perl", POLLER)),
    ],
)
def test_a_script_by_its_whole_path_is_a_program_of_its_own(
    exe: str, argv: tuple[str, ...]
) -> None:
    one = process(exe, *argv)
    assert (one.script, one.identity) == (POLLER, POLLER)


@pytest.mark.parametrize(
    ("exe", "argv"),
    [
        ("/tmp/x9", ("python3", POLLER)),
        # Whatever has an interpreter's name, where anybody may put it.
        ("/tmp/python3", ("python3", POLLER)),
        ("/home/ann/bin/sh", ("sh", POLLER)),
        (PYTHON, ("python3",)),
        (PYTHON, ()),
        # Something else is what runs, or may be.
        (PYTHON, ("python3", "-c", "print()", POLLER)),
        (PYTHON, ("python3", "-X", POLLER, "/tmp/evil.py")),
        (PYTHON, ("python3", "-m", "http.server")),
        (PYTHON, ("/tmp/evil.py", POLLER)),
        (PYTHON, ("perl", POLLER)),
        # So it begins; what stands where it was cut, whoever started it chose.
        (PYTHON, ("python3", POLLER + CUT)),
        # The directory is not known for sure.
        (PYTHON, ("python3", "opt/poller.py")),
        (PYTHON, ("python3", "/tmp/link/../../opt/poller.py")),
        (PYTHON, ("python3", "/opt/./poller.py")),
        (PYTHON, ("python3", "/opt//poller.py")),
        (PYTHON, ("python3", "/opt/poller.py/")),
        # What is read there is whatever somebody opened.
        (PYTHON, ("python3", "/dev/stdin")),
        ("/bin/bash", ("bash", "/dev/fd/63")),
        (PYTHON, ("python3", "/proc/self/fd/0")),
    ],
)
def test_what_does_not_say_it_beyond_doubt_is_the_interpreter(
    exe: str, argv: tuple[str, ...]
) -> None:
    one = process(exe, *argv)
    assert (one.script, one.identity) == (None, exe)


def alert_of(one: Process) -> Alert:
    (scan,) = FanoutDetectors().update(row())
    return scan_alert(scan, (one, ()), ())


def entry(**named: str) -> Entry:
    with Store(MEMORY) as store:
        return add(store, Wish(**{"owner": "ann", "reason": "x", "expires": "30d"} | named), ())


def matches(one: Process, **named: str) -> bool:
    alert = replace(alert_of(one), time=1)
    return Allowlist([entry(**named)], lambda process: None).match(alert) is not None


def test_an_entry_for_a_script_covers_no_other() -> None:
    other = process(PYTHON, "python3", "/tmp/evil.py")
    hidden = process(PYTHON, "python3", "-c", "import evil", POLLER)
    # By its first line: the kernel may name the script in place of the interpreter.
    by_name = process(POLLER, "/usr/bin/python3", POLLER)
    assert matches(POLLS, exe=POLLER)
    assert matches(by_name, exe=POLLER)
    assert not matches(other, exe=POLLER)
    assert not matches(hidden, exe=POLLER)
    assert not matches(process("/tmp/python", "/tmp/evil.py", POLLER), exe=POLLER)


def test_an_entry_for_an_interpreter_covers_none_of_its_scripts() -> None:
    assert matches(process(PYTHON, "python3", "-m", "http.server"), exe=PYTHON)
    assert not matches(POLLS, exe=PYTHON)
