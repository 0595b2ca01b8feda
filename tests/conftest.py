"""Fixtures that several tests share, and what is begun before the first of them."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Ran
from hypothesis import settings
from procwire.cli.main import main
from procwire.compiled.memory import keep_little

DIGEST = Path(__file__).with_name("digest.py")
CORPUS = Path(__file__).parent.parent.parent / "shared" / "corpus"

# How long an example takes says more about the machine than about the code.
settings.register_profile("procwire", settings(), deadline=None)
settings.load_profile("procwire")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kernels",
        default="5.10",
        metavar="NAMES",
        help="stock kernels that tests/vm boots, of those packaging/kernel.py knows",
    )
    parser.addoption(
        "--recordings",
        default="few",
        choices=["few", "all"],
        help="recordings that tests/suricata and test_metamorphic.py take, one at a time",
    )
    parser.addoption(
        "--scenarios",
        default="few",
        choices=["few", "all"],
        help="attacks, and what only looks like one, that tests/scenarios plays",
    )


def pytest_sessionstart() -> None:
    # Tables of thousands of tests come and go, and what glibc kept of them were gigabytes.
    keep_little()


@pytest.fixture(scope="module", autouse=True)
def garbage_of_a_file() -> Iterator[None]:
    """Analyses are in cycles of few objects and many megabytes, for which nobody would look."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of recordings beside the checkout, which is not part of it."""
    if not CORPUS.is_dir():
        pytest.skip(f"no recordings at {CORPUS}")
    return CORPUS


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]):
    """Runs a command in this process: words in, Ran out."""

    def command(*words: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["procwire", *map(str, words)])
        # It freezes all that is there, garbage, too.
        gc.collect()
        with pytest.raises(SystemExit) as end:
            main()
        out, talk = capfdbinary.readouterr()
        return Ran(end.value.code, out.decode(), talk.decode())

    return command


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A capture of packets that break each rule of packets."""
    # Compiled code, which few tests need.
    from procwire import examples
    from procwire.rules import packet_rules

    path = tmp_path / "broken.pcap"
    path.write_bytes(examples.capture(examples.frames(packet_rules())))
    return path


@pytest.fixture(scope="session", autouse=True)
def context_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is known of this machine is no business of the tests, nor the other way round."""
    os.environ["STATE_DIRECTORY"] = str(tmp_path_factory.mktemp("state"))


class Bounds:
    """The digest as kernels with checked indices make it. They take minutes to compile, so that
    begins beside the other tests, at the lowest priority, and each is kept as long as none of its
    sources changes."""

    process: subprocess.Popen[str] | None = None

    def begin(self, kept: Path) -> None:
        """kept: a folder for the kernels. In the usual cache they were compiled without checks."""
        # numba, which few tests need.
        from procwire.compiled.kernel_cache import digests

        noted, before, sources = kept / "sources.json", dict[str, str](), digests()
        # There may be none yet, or one that was cut short.
        with contextlib.suppress(OSError, ValueError):
            before = json.loads(noted.read_text())
        # numba finds out what is too old, and leaves it where it is.
        for module in (name for name, digest in sources.items() if before.get(name) != digest):
            for compiled in kept.glob(f"*/{module.rpartition('.')[2]}.*.nb[ic]"):
                compiled.unlink()
        noted.write_text(json.dumps(sources))
        self.process = subprocess.Popen(
            ["nice", "-n", "19", sys.executable, "-W", "ignore", str(DIGEST)],
            env={**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(kept)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


BOUNDS = Bounds()


def pytest_collection_finish(session: pytest.Session) -> None:
    # What is collected lasts until the end.
    gc.freeze()
    wanted = any("checked_bounds" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        assert session.config.cache is not None
        BOUNDS.begin(session.config.cache.mkdir("checked_kernels"))


def pytest_sessionfinish() -> None:
    # A run that ends before the test leaves nobody who would wait for it.
    if BOUNDS.process is not None and BOUNDS.process.poll() is None:
        BOUNDS.process.kill()
        BOUNDS.process.communicate()


@pytest.fixture(scope="session")
def checked_bounds() -> Iterator[subprocess.Popen[str]]:
    assert BOUNDS.process is not None
    yield BOUNDS.process
    BOUNDS.process.kill()
    BOUNDS.process.communicate()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes a capture's bytes to a file of the test."""

    def write_file(content: bytes) -> Path:
        path = tmp_path / "capture"
        path.write_bytes(content)
        return path

    return write_file
