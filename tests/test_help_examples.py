"""Every example of every help text, and of the pages for users, runs as it is printed: only where
files of other programs lie is another place."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from commands import ENDS
from procwire import examples
from procwire.cli.main import procwire
from procwire.context.store import FILE_NAME, Store
from procwire.owners.history_writer import HistoryWriter
from procwire.rules import packet_rules
from test_baseline import AFTER, HOUR, Run, asks

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(sys.executable).parent
# A command, as far as there are no two spaces: what follows these says what it does.
COMMAND = re.compile(
    r"(?:^ *|: |sudo |bin/)(procwire (?:\S+ ?)+(?:\n {9,}(?:\S+ ?)+)*)", re.MULTILINE
)
# They change the machine, watch it, go on until Ctrl-C or need a Suricata: tested where these are.
ELSEWHERE = ("watch", "suricata install", "suricata uninstall", "suricata feed", "--follow")
# What only a shell understands; all else runs in this process.
SHELL = re.compile(r"[|<>;&$*]")
PAGES = ("README.md", "docs/usage.md", "docs/context.md", "docs/suricata.md", "docs/telemetry.md")

CONNECTION = (
    '{"ts":1700000000.0,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2",'
    '"id.resp_p":22,"proto":"tcp","conn_state":"SF"}'
)


def helps(command: click.Command, name: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each command's name and what its help says behind "Example"."""
    text = re.sub(r"\s+$", "", command.help or "", flags=re.MULTILINE)
    yield " ".join(name), text.partition("Example")[2]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for one in command.list_commands(context):
            found = command.get_command(context, one)
            assert found is not None
            yield from helps(found, (*name, one))


def blocks() -> Iterator[tuple[str, str]]:
    """The shell blocks of the pages."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            yield page, re.sub(r" +#.*", "", block)


def commands() -> dict[str, None]:
    """Those that can be run here, each once."""
    found = dict.fromkeys(
        re.sub(r"\s*\\?\n +", " ", command).strip()
        for _, text in (*helps(procwire), *blocks())
        for command in COMMAND.findall(text)
    )
    return {one: None for one in found if not any(word in one for word in ELSEWHERE)}


@pytest.fixture
def here(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name."""
    (tmp_path / "capture.pcap").write_bytes(examples.capture(examples.frames(packet_rules())))
    run("read", tmp_path / "capture.pcap", "-o", tmp_path / "eve.json")
    (tmp_path / "conn.log").write_text(CONNECTION + "\n")
    (tmp_path / "procwire.toml").write_text("[fanout]\nhosts = 40\n")
    (tmp_path / "zones.csv").write_text("name,networks,kind\nplant,10.20.0.0/16,ics\n")
    (tmp_path / "assets.csv").write_text(
        "name,address,role,criticality\nplc-7,10.20.1.7,plc,critical\n"
    )
    (tmp_path / "site.toml").write_text('[zones.plant]\nnetworks = ["10.20.0.0/16"]\n')
    HistoryWriter(tmp_path / "history.jsonl", lambda key: None, 0).close()
    entry = ("--port", "22", "--reason", "test", "--expires", "1d")
    for _ in range(3):
        run("allow", "add", *entry, "--context", tmp_path / FILE_NAME)
    with Store(tmp_path / FILE_NAME) as store:
        site = Run(store)
        site.sees(asks(1, 22))
        site.passes(0, HOUR)
        site.sees(*(asks(3, 400 + number, AFTER) for number in range(13)))
        site.site.save()
    return tmp_path


def test_there_is_an_example_of_every_command() -> None:
    assert [name for name, text in helps(procwire) if not COMMAND.search(text)] == []
    assert len(commands()) > 25


@pytest.mark.parametrize("command", commands())
def test_it_runs(here: Path, command: str, run, monkeypatch: pytest.MonkeyPatch) -> None:
    told = (here / "eve.json").read_text()
    episode = re.search(r"F-\w+", told)
    assert episode is not None
    line = command.replace("F-9HB8WP", episode.group())
    line = re.sub(r"/var/log/\w+/|/tmp/", f"{here}/", line).replace("Security.evtx ", "")
    if line.endswith("rules build"):
        line += f" --root {ROOT}"
    monkeypatch.chdir(here)
    monkeypatch.setenv("STATE_DIRECTORY", str(here))
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
    code, talk = in_a_shell(line) if SHELL.search(line) else in_this_process(run, line)
    assert code in (ENDS["nothing"], ENDS["findings"]), talk
    assert (code == ENDS["findings"]) == (" capture.pcap" in line)


def in_a_shell(line: str) -> tuple[int, str]:
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stderr


def in_this_process(run, line: str) -> tuple[int, str]:
    ran = run(*shlex.split(line)[1:])
    return ran.code, ran.talk
