"""Which kernels are booted: --kernels, an option of tests/conftest.py."""

from __future__ import annotations

import sys
from pathlib import Path

import machine
import pytest
from booting import KERNELS, Guests

# Scenarios are shared with the tests of this machine's own kernel.
sys.path.insert(0, str(Path(__file__).parent.parent / "live"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", metafunc.config.getoption("--kernels").split(","))


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = [item.callspec.params.get("kernel") for item in session.items if is_of_kernels(item)]
    there = [kernel for kernel in dict.fromkeys(wanted) if (KERNELS / kernel / "release").exists()]
    guests = Guests([] if machine.unavailable() else there)
    session.config.pluginmanager.register(guests, "guests")


def is_of_kernels(item: pytest.Item) -> bool:
    return "kernel" in getattr(item, "fixturenames", ())


@pytest.fixture
def guests(request: pytest.FixtureRequest) -> Guests:
    found = request.config.pluginmanager.get_plugin("guests")
    assert isinstance(found, Guests)
    return found
