"""The stage, which scenarios are played, and the table that is printed at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import kernel_window
import pytest
from procwire.context.store import Store
from rows import ATTACKS, BENIGN
from stage import Stage, network
from table import LINES
from telling import SECOND, site_in, week_passes

# What the stage and several scenarios run, and the package that has it.
NEEDS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "dropbear": "dropbear-bin",
    "ssh": "openssh-client",
    "wget": "wget",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    few = metafunc.config.getoption("--scenarios") == "few"
    for name, rows in (("attack", ATTACKS), ("benign", BENIGN)):
        if name in metafunc.fixturenames:
            chosen = [row for row in rows if row.few or not few]
            metafunc.parametrize(name, chosen, ids=[row.name for row in chosen])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in LINES:
        terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The network with what answers in it, and a host in it that is watched."""
    for program, package in NEEDS.items():
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install {package})")
    folder = tmp_path_factory.mktemp("stage")
    with ExitStack() as cleanup:
        cleanup.enter_context(network(folder))
        yield Stage(folder, kernel_window.compiled(folder), cleanup)


@pytest.fixture(scope="module")
def watched_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The context of a site that was observed for a week, in which no program was seen."""
    path = tmp_path_factory.mktemp("site") / "context.db"
    with Store(path) as store:
        site = site_in(store)
        week_passes(site, 1_700_000_000 * SECOND)
        site.save()
    return path
