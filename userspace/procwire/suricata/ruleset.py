"""What Suricata loads of procwire: the rules file and its scripts, made from the rules of this very
program, as a folder and as a tarball that suricata-update takes."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from procwire.compiler import to_suricata
from procwire.rules import all_rules

TARBALL = Path("procwire.tar.gz")
# suricata-update reads the rules of this folder of a tarball.
_TARBALL_FOLDER = Path("rules")
_PACKAGED = Path(__file__).parent.parent / "lua"
_CHECKOUT = Path(__file__).parent.parent.parent.parent / "lua"


def ruleset(drop: bool = False) -> dict[Path, str]:
    """Path below Suricata's rule directory -> text of every file.

    drop: rules of tier A drop the packets that break them, for an inline Suricata.
    """
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    sources = {name: (folder / f"{name}.lua").read_text() for name in to_suricata.SOURCES}
    return to_suricata.artefacts(all_rules(), sources, drop)


def write(directory: Path, files: dict[Path, str]) -> list[Path]:
    """Write the files below `directory`; returns their paths. Raises OSError."""
    written = []
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        written.append(target)
    return written


def tarball(files: dict[Path, str]) -> bytes:
    """The files as suricata-update takes them; the same files give the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for path, text in sorted(files.items()):
            content = text.encode()
            entry = tarfile.TarInfo(str(_TARBALL_FOLDER / path))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
