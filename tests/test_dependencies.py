"""Dependencies point one way: a part knows nothing of what comes after it on a packet's way. And
nothing lies in the package that nobody needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import procwire
from procwire.cli.main import COMMANDS

PACKAGE = Path(procwire.__file__).parent
WAY = (("event",), ("sensor", "capture"), ("decode",), ("rules", "detect"), ("alert",), ("output",))
RANKS = {part: rank for rank, parts in enumerate(WAY) for part in parts}
# What only turns values into text.
ANYBODYS = {f"output.{name}" for name in ("address", "amount", "printable", "timestamp")}


def imports() -> Iterator[tuple[str, str]]:
    """(module that imports, what it does), below procwire, wherever in the module it does so."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            yield from (
                (module, name.removeprefix("procwire."))
                for name in names
                if name.startswith("procwire.")
            )


def is_backwards(module: str, imported: str) -> bool:
    part, of = module.split(".")[0], imported.split(".")[0]
    if (part, of) == ("rules", "compiler") or (of == "cli") > (part == "cli"):
        return True
    if any(imported == one or imported.startswith(f"{one}.") for one in ANYBODYS):
        return False
    return part in RANKS and RANKS.get(of, -1) > RANKS[part]


def test_nobody_knows_what_comes_later() -> None:
    found = list(imports())
    assert ("cli.read", "capture.source.STANDARD_INPUT") in found
    assert [one for one in found if is_backwards(*one)] == []


def test_what_anybody_may_use_knows_nobody() -> None:
    assert [one for one in imports() if one[0] in ANYBODYS] == []


# Python and the mark that it is typed; what the set-up builds, and what is compiled where it runs.
KINDS = {".py", ".typed", ".so", ".o", ".c", ".h", ".lua"}
# The program's own entry, and what the distribution's Python runs.
ENTERED = {"cli.main", "sensor.bcc_child"}


def test_every_file_is_of_a_known_kind() -> None:
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    strays = [path for path in files if path.suffix not in KINDS]
    assert [path for path in strays if path.parent.name != "__pycache__"] == []


def test_every_module_is_imported_or_entered() -> None:
    found = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    # Of `from procwire.a import b`, b may be what a module holds.
    used = {imported.rpartition(".")[0] for _, imported in imports()}
    used |= {imported for _, imported in imports()}
    # The package of rules imports all that it has.
    used |= {name for name in found if name.startswith("rules.")}
    commands = {place.partition(":")[0].removeprefix("procwire.") for place in COMMANDS.values()}
    assert found - used == commands | ENTERED
