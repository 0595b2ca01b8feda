"""What was compiled where the project is installed serves a user who may not write there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = """
from procwire.jit import kernel

@kernel
def doubled(number):
    return 2 * number
"""
# Prints where the kernel is kept, and whether it had to be compiled.
USE = """
import sys
sys.path.insert(0, sys.argv[1])
from module import doubled
assert doubled(21) == 42
print(doubled.stats.cache_path)
print(sum(doubled.stats.cache_hits.values()), sum(doubled.stats.cache_misses.values()))
"""
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that all may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def use(folder: Path, user: int, cache: Path | None = None) -> list[str]:
    """What USE prints for the user."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = str(cache)
    command = [sys.executable, "-c", USE, str(folder)]
    done = subprocess.run(command, user=user, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_another_user_takes_over_what_is_compiled_and_compiled_anew(folder: Path) -> None:
    cache = folder / "cache"
    cache.mkdir()
    os.chown(cache, NOBODY, NOBODY)
    for text in (MODULE, MODULE.replace("number):", "number):\n    number += 0")):
        (folder / "module.py").write_text(text)
        assert use(folder, os.geteuid()) == [str(folder / "__pycache__"), "0 1"]
        where, hits_and_misses = use(folder, NOBODY, cache)
        assert Path(where).parent == cache
        assert hits_and_misses == "1 0"
