"""Writes everything that is generated from the rules. The same rules give the same bytes."""

from __future__ import annotations

from pathlib import Path

from procwire.compiler import to_docs, to_numba, to_suricata
from procwire.rule import Observed, Rule


def artefacts(checks: tuple[Rule | Observed, ...], root: Path) -> dict[Path, str]:
    """Path below the project's `root` -> text of every generated file."""
    compiled, scripts = Path("userspace/procwire/generated"), Path("lua/generated")
    lua = root / "lua"
    sources = {name: (lua / f"{name}.lua").read_text() for name in to_suricata.SOURCES}
    rules = tuple(check for check in checks if isinstance(check, Rule))
    suricata = to_suricata.artefacts(checks, sources)
    files = {compiled / name: text for name, text in to_numba.modules(rules).items()}
    files |= {scripts / path: text for path, text in suricata.items()}
    files[Path("docs/rules.md")] = to_docs.reference(checks)
    return files


def build(checks: tuple[Rule | Observed, ...], root: Path) -> list[Path]:
    """Write the artefacts below `root`; returns the paths of those that changed."""
    changed = []
    for path, text in artefacts(checks, root).items():
        target = root / path
        if target.exists() and target.read_text() == text:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        changed.append(path)
    return changed
