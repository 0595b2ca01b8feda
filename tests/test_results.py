"""Results that cannot be written: whole lines or none, and a run that lasts counts what it lost."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from procwire.cli.results import Results
from procwire.errors import Unavailable
from procwire.output.eve import Source
from procwire.output.lines import Lines
from told_alerts import HIT, SCAN

LINE = b"x" * 63 + b"\n"


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """Files may grow to so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_file_without_room_holds_whole_lines(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "results"
    path.write_bytes(LINE if mode == "ab" else b"")
    with path.open(mode) as file:
        lines = Lines(file)
        with room(200):
            lines.append(LINE)
            with pytest.raises(OSError, match="File too large"):
                lines.append(LINE * 3)
        lines.append(LINE)
    assert path.read_bytes() == LINE * (2 + (mode == "ab"))


@pytest.mark.parametrize("form", ["eve", "text"])
def test_a_run_that_lasts_counts_what_it_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    path = tmp_path / "results"
    with Results(path, form, "info", lasting=True) as results:
        with room(1):
            results.write([SCAN, HIT], Source())
            results.write([HIT], Source())
            results.stats(0, {}, Source())
        results.write([SCAN], Source())
    assert results.counters() == {"output.lost": 3}
    assert results.found
    assert capsys.readouterr().err.count("File too large; alerts are lost") == 1
    assert SCAN.check.id in path.read_text()
    assert HIT.check.id not in path.read_text()


def test_a_file_that_is_emptied_meanwhile_goes_on_at_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "results"
    with Results(path, "eve", "info") as results:
        results.write([SCAN], Source())
        whole = path.read_bytes()
        path.write_bytes(b"")
        results.write([SCAN], Source())
    assert path.read_bytes() == whole


def test_any_other_run_ends(tmp_path: Path) -> None:
    with Results(tmp_path / "results", "eve", "info") as results, room(1):
        with pytest.raises(Unavailable, match="results: File too large; free space"):
            results.write([SCAN], Source())
        assert results.counters() == {}


def test_more_alerts_than_are_written_at_a_time_are_all_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for many in (1000, 2):
        monkeypatch.setattr("procwire.cli.results._AT_A_TIME", many)
        with Results(tmp_path / str(many), "eve", "info") as results:
            results.write([SCAN, HIT, SCAN, HIT, HIT], Source())
        written.append((tmp_path / str(many)).read_bytes())
    assert written[0] == written[1] and written[0].count(b"\n") == 5
