"""Which kernels are booted: --kernels, an option of tests/conftest.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Scenarios are shared with the tests of this machine's own kernel.
sys.path.insert(0, str(Path(__file__).parent.parent / "live"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", metafunc.config.getoption("--kernels").split(","))
