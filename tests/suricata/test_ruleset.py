"""What `procwire suricata build` writes."""

from __future__ import annotations

import tarfile
from pathlib import Path

from click.testing import CliRunner
from procwire.cli.main import procwire
from procwire.rule import Rule
from procwire.rules import all_rules
from procwire.suricata.ruleset import TARBALL

GENERATED = Path(__file__).parent.parent.parent / "lua" / "generated"


def build(directory: Path, *options: str) -> str:
    ran = CliRunner().invoke(procwire, ["suricata", "build", str(directory), *options])
    assert ran.exception is None, ran.output
    return (directory / "procwire.rules").read_text()


def test_writes_what_is_committed_and_packs_it(tmp_path: Path) -> None:
    build(tmp_path)
    committed = {
        str(path.relative_to(GENERATED)): path.read_bytes()
        for path in GENERATED.rglob("*")
        if path.is_file()
    }
    for name, content in committed.items():
        assert (tmp_path / name).read_bytes() == content, name
    with tarfile.open(tmp_path / TARBALL) as archive:
        packed = {entry.name: archive.extractfile(entry) for entry in archive}
        contents = {name: stream.read() for name, stream in packed.items() if stream is not None}
    assert contents == {f"rules/{name}": content for name, content in committed.items()}


def test_drops_what_no_lawful_packet_breaks(tmp_path: Path) -> None:
    lines = build(tmp_path, "--drop").splitlines()
    tiers = {check.sid: check.tier for check in all_rules() if isinstance(check, Rule)}
    seen = set()
    for line in lines:
        sid = int(line.partition(" sid:")[2].partition(";")[0] or 0)
        if sid in tiers:
            seen.add(tiers[sid])
            assert line.startswith("drop " if tiers[sid] == "A" else "alert "), line
    assert seen == {"A", "B"}


def test_says_what_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    ran = CliRunner().invoke(procwire, ["suricata", "build", str(tmp_path / "taken" / "below")])
    assert "taken" in str(ran.exception)
    assert ran.exception is not None and getattr(ran.exception, "exit_code", None) == 2
