"""What was compiled serves whoever may read it, for as long as its sources stay the same."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from nobody import needs_open_folders
from procwire.compiled import kernel_cache

MODULE = """
from procwire.compiled.jit import kernel

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
# A kernel from the cache that another one, compiled anew, calls.
CALLER = """
import sys
sys.path.insert(0, sys.argv[1])
import numba
from module import doubled
assert doubled(21) == 42

@numba.njit
def fourfold(number):
    return doubled(doubled(number))

assert fourfold(21) == 84
print(sum(doubled.stats.cache_hits.values()), sum(doubled.stats.cache_misses.values()))
"""
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that all may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def use(folder: Path, user: int, cache: Path | None = None, script: str = USE) -> list[str]:
    """What the script prints for the user."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    # Nobody's home is not root's.
    environment["HOME"] = "/nonexistent" if user == NOBODY else environment.get("HOME", "/")
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = str(cache)
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, user=user, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_open_folders
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


def test_a_kernel_from_the_cache_is_part_of_one_that_is_compiled(folder: Path) -> None:
    (folder / "module.py").write_text(MODULE)
    user = os.geteuid()
    assert use(folder, user, script=CALLER) == ["0 1"]
    assert use(folder, user, script=CALLER) == ["1 0"]


def test_what_was_compiled_goes_with_any_source_that_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "procwire"
    package.mkdir()
    monkeypatch.setattr(kernel_cache, "_PACKAGE", package)
    monkeypatch.setattr(kernel_cache, "digests", cache(kernel_cache.digests.__wrapped__))
    modules = {
        "called": "TWO = 2\n",
        "caller": "from procwire.called import TWO\n",
        "farther": "from procwire.caller import (\n    TWO,\n)\n",
        "alone": "TWO = 2\n",
    }
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    compiled = {name: package / "__pycache__" / f"{name}.kernel-3.py311.nbi" for name in modules}

    def look() -> None:
        kernel_cache.digests.cache_clear()
        kernel_cache.digests()

    def kept() -> set[str]:
        look()
        return {name for name, file in compiled.items() if file.exists()}

    look()
    for file in compiled.values():
        file.write_bytes(b"")
    assert kept() == set(modules)
    # The same text, written again.
    (package / "called.py").write_text(modules["called"])
    assert kept() == set(modules)
    (package / "called.py").write_text("TWO = 3\n")
    assert kept() == {"alone"}
    (package / "__pycache__" / "kernels.json").write_text("{")
    assert kept() == set()


PACKAGE = {
    "called.py": "TWO = 2\n",
    "caller.py": """
from procwire.called import TWO
from procwire.compiled.jit import kernel

@kernel
def doubled(number):
    return TWO * number
""",
}
# Joins two modules to the package that is installed, as if all lay in the folder.
IN_THE_PACKAGE = """
import sys
from pathlib import Path
from procwire.compiled import kernel_cache
import procwire
folder = Path(sys.argv[1])
procwire.__path__.append(str(folder / "procwire"))
kernel_cache._PACKAGE = folder / "procwire"
kernel_cache.digests.cache_clear()
from procwire.caller import doubled
print(doubled(21), sum(doubled.stats.cache_hits.values()))
"""


def write_package(folder: Path, **changed: str) -> Path:
    (folder / "procwire").mkdir(exist_ok=True)
    for name, text in (PACKAGE | {f"{name}.py": text for name, text in changed.items()}).items():
        (folder / "procwire" / name).write_text(text)
    return folder


@pytest.mark.parametrize("beside", [True, False], ids=["beside the sources", "elsewhere"])
def test_a_kernel_is_never_older_than_what_it_calls(folder: Path, beside: bool) -> None:
    elsewhere = None if beside else folder / "cache"
    user = os.geteuid()
    write_package(folder)
    assert use(folder, user, elsewhere, IN_THE_PACKAGE) == ["42 0"]
    assert use(folder, user, elsewhere, IN_THE_PACKAGE) == ["42 1"]
    write_package(folder, called="TWO = 3\n")
    assert use(folder, user, elsewhere, IN_THE_PACKAGE) == ["63 0"]


@needs_open_folders
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_who_may_write_nowhere_uses_what_is_there(folder: Path) -> None:
    write_package(folder)
    nowhere = folder / "cache"
    nowhere.mkdir()
    assert use(folder, os.geteuid(), None, IN_THE_PACKAGE) == ["42 0"]
    assert use(folder, NOBODY, nowhere, IN_THE_PACKAGE) == ["42 1"]
    # A change that only its owner could compile is compiled for each run.
    write_package(folder, called="TWO = 3\n")
    assert use(folder, NOBODY, nowhere, IN_THE_PACKAGE) == ["63 0"]
    assert use(folder, NOBODY, nowhere, IN_THE_PACKAGE) == ["63 0"]
