"""Settings as a user changes them: a TOML file, and name=value pairs that win over it.

An unknown name or a wrong value stops the program, naming what was meant and what is accepted.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from procwire.errors import UsageError
from procwire.settings import Settings
from procwire.settings.section import Section

# ATT&CK's names for what its analytics leave to the site (AN1057, AN1058).
ALIASES = {
    "TimeWindow": "fanout.windows_s",
    "ScanRateThreshold": "fanout.hosts",
    "PortScanThreshold": "fanout.host_ports",
    "KnownScannerExeList": "sweep.known_scanners",
}

LARGEST = 1 << 20
"""A limit on what is read, bytes: settings are written by people."""

# Beside its own error (a ValueError) tomllib raises those of numbers and tables without end.
_NO_TOML = (ValueError, RecursionError)


def names() -> dict[str, str]:
    """Every setting's full name and what it means."""
    return {
        f"{section}.{name}": field.description or ""
        for section, model in _sections().items()
        for name, field in model.model_fields.items()
    }


def load(path: Path | None = None, overrides: Iterable[str] = ()) -> Settings:
    """The settings of a TOML file, if any, changed by `overrides` ("fanout.hosts=40").

    Raises UsageError for an unreadable file, and with all that is wrong for unknown names (with the
    nearest known one each) and values of the wrong type or range.
    """
    asked: list[tuple[str, Any, str]] = []
    if path is not None:
        asked = [(name, value, str(path)) for name, value in _flat(_read(path))]
    for text in overrides:
        name, equals, written = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: give name=value, such as fanout.hosts=40")
        asked.append((name.strip(), _literal(written.strip()), f"--set {text}"))
    chosen: dict[str, tuple[Any, str]] = {}
    faults: list[str] = []
    known = names()
    for name, value, where in asked:
        meant = ALIASES.get(name, name)
        if meant in known:
            chosen[meant] = value, where
        else:
            (near,) = difflib.get_close_matches(name, [*known, *ALIASES], n=1, cutoff=0)
            faults.append(f"{where}: no setting is called {name}; the nearest is {near}")
    tree: dict[str, dict[str, Any]] = {}
    for name, (value, _) in chosen.items():
        section, _, key = name.partition(".")
        tree.setdefault(section, {})[key] = value
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as wrong:
        # Of a list each value has an error of its own.
        faults += dict.fromkeys(_explain(error, chosen) for error in wrong.errors())
    if faults:
        raise UsageError("; ".join(faults))
    return settings


def _sections() -> dict[str, type[Section]]:
    return {name: type(getattr(Settings(), name)) for name in Settings.model_fields}


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UsageError(f"{path}: more than {LARGEST >> 20} MB, which is no file of settings")
        # Editors of Windows begin their files with a byte order mark.
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}; name a readable TOML file") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: byte {problem.start} is not UTF-8, which TOML is") from None
    except _NO_TOML as problem:
        raise UsageError(f"{path}: {problem}; the file must be TOML") from None


def _flat(tree: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Full names and values; a section is a table, an alias stands outside of them."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


def _literal(written: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except _NO_TOML:
        return written


def _explain(error: Any, chosen: Mapping[str, tuple[Any, str]]) -> str:
    name = ".".join(str(part) for part in error["loc"][:2])
    value, where = chosen[name]
    problem = error["msg"].removeprefix("Value error, ")
    return f"{where}: {name} = {value!r}: {problem}; {name} is {names()[name]}"
