"""Inventories as people keep them: CSV from a spreadsheet, TOML from an editor.

Strategy: both become records with their line, which one table of fields checks; every fault of
every file is told, with file and line, and nothing is loaded as long as there is one.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procwire.context.inventory import CRITICALITIES, Asset, Inventory, ZoneEntry
from procwire.detect.zones import KINDS, UNKNOWN
from procwire.networks import network_of

LARGEST = 16 * 1024 * 1024
MOST_ZONES = 1000
"""Limits on what is read, in bytes and zones: an inventory is written by people."""

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_LONGEST_HEADER = 300
_HEADER = re.compile(r"\s*\[\[?\s*([\w-]+)(?:\s*\.\s*(.+?))?\s*\]\]?\s*(?:#.*)?")


@dataclass(frozen=True)
class Fault:
    """What is wrong where. line: 0 for the file as a whole."""

    path: Path
    line: int
    problem: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.problem}"


@dataclass(frozen=True)
class _Record:
    """One line of a table. what: zone or asset."""

    path: Path
    line: int
    what: str
    values: dict[str, Any]


def read_inventory(paths: Sequence[Path]) -> tuple[Inventory, list[Fault]]:
    """The inventory that files describe together, and every fault of them; where there is one, the
    inventory is empty."""
    faults: list[Fault] = []
    zones: dict[str, ZoneEntry] = {}
    assets: dict[str, Asset] = {}
    known: dict[tuple[str, str], _Record] = {}
    for record in (one for path in paths for one in _records(path, faults)):
        problems = _problems(record)
        if not problems:
            problems = [
                f"{thing} {name} was given before, in {known[thing, name].path.name} "
                f"line {known[thing, name].line}"
                for thing, name in _identities(record)
                if known.setdefault((thing, name), record) is not record
            ]
        faults += [Fault(record.path, record.line, problem) for problem in problems]
        if problems:
            continue
        values = record.values
        if record.what == "zone":
            networks = tuple(str(network_of(text)) for text in values["networks"])
            zones[values["name"]] = ZoneEntry(values["name"], values.get("kind", "it"), networks)
        else:
            asset = Asset(
                values["name"],
                str(network_of(values["address"])),
                values.get("role", ""),
                values.get("criticality", "medium"),
            )
            assets[asset.name] = asset
    if len(zones) > MOST_ZONES:
        faults.append(Fault(paths[-1], 0, f"{len(zones)} zones; {MOST_ZONES} are the most"))
    if faults:
        return Inventory(), faults
    return Inventory(tuple(zones.values()), tuple(assets.values())), []


def _records(path: Path, faults: list[Fault]) -> Iterator[_Record]:
    """The records of a file, by what its name ends in."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        faults.append(Fault(path, 0, "name a file that ends in .csv or .toml"))
        return
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            faults.append(Fault(path, 0, f"more than {LARGEST >> 20} MB, which is no inventory"))
            return
        # Spreadsheets begin their files with a byte order mark.
        text = content.decode("utf-8-sig")
    except OSError as problem:
        faults.append(Fault(path, 0, f"{problem.strerror}; name a readable file"))
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        faults.append(Fault(path, line, f"byte {problem.start} is not UTF-8"))
    else:
        yield from reader(path, text, faults)


def _csv_records(path: Path, text: str, faults: list[Fault]) -> Iterator[_Record]:
    """Zones or assets, as the header says. Several networks are separated by blanks."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        what = "zone" if "networks" in header else "asset"
        unknown = [name for name in header if name not in _FIELDS[what]]
        missing = [name for name in _REQUIRED[what] if name not in header]
        if unknown or missing or len(set(header)) != len(header):
            expected = " or ".join(",".join(fields) for fields in _FIELDS.values())
            faults.append(Fault(path, 1, f"the first line has to name columns: {expected}"))
            return
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                problem = f"{len(cells)} columns where the first line names {len(header)}"
                faults.append(Fault(path, rows.line_num, problem))
                continue
            values: dict[str, Any] = {
                name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()
            }
            if "networks" in values:
                values["networks"] = values["networks"].split()
            yield _Record(path, rows.line_num, what, values)
    except csv.Error as problem:
        faults.append(Fault(path, rows.line_num, f"{problem}; the file must be CSV"))


def _toml_records(path: Path, text: str, faults: list[Fault]) -> Iterator[_Record]:
    """[zones.NAME] and [[assets]]."""
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        place = re.search(r"at line (\d+)", str(problem))
        what = str(problem) or "nested too deeply"
        faults.append(Fault(path, int(place[1]) if place else 0, f"{what}; the file must be TOML"))
        return
    lines = _toml_lines(text)
    for name in sorted(tree.keys() - {"zones", "assets"}):
        expected = f"{name}: give [zones.NAME] and [[assets]]"
        faults.append(Fault(path, lines.get((name, ""), 0), expected))
    zones, assets = tree.get("zones", {}), tree.get("assets", [])
    if not isinstance(zones, dict) or not isinstance(assets, list):
        faults.append(Fault(path, 0, "give zones as [zones.NAME] and assets as [[assets]]"))
        return
    for name, values in zones.items():
        yield _toml_record(path, lines.get(("zones", name), 0), "zone", values, {"name": name})
    for number, values in enumerate(assets):
        yield _toml_record(path, lines.get(("assets", str(number)), 0), "asset", values, {})


def _toml_record(path: Path, line: int, what: str, values: Any, named: dict[str, Any]) -> _Record:
    return _Record(path, line, what, named | (values if isinstance(values, dict) else {"": values}))


def _toml_lines(text: str) -> dict[tuple[str, str], int]:
    """Where tables begin: (zones, NAME), (assets, how many before), and the first of a section,
    (SECTION, ""). tomllib does not tell; a table that is written in another way has no line."""
    lines: dict[tuple[str, str], int] = {}
    assets = 0
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.fullmatch(line) if len(line) <= _LONGEST_HEADER else None
        if header is None:
            continue
        section, name = header[1], (header[2] or "").strip("\"'")
        if section == "assets":
            name, assets = str(assets), assets + 1
        lines.setdefault((section, ""), number)
        lines.setdefault((section, name), number)
    return lines


_READERS: dict[str, Callable[[Path, str, list[Fault]], Iterator[_Record]]] = {
    ".csv": _csv_records,
    ".toml": _toml_records,
}


def _is_name(value: Any) -> str | None:
    if isinstance(value, str) and _NAME.fullmatch(value) and value != UNKNOWN:
        return None
    return "give a name of at most 100 characters, and not 'unknown'"


def _is_network(value: Any) -> str | None:
    try:
        # Packets do not say by which link they came (fe80::1%eth0).
        network_of(value if isinstance(value, str) and "%" not in value else "")
    except ValueError:
        return "give an address or a network such as 10.1.0.0/16, without bits behind its prefix"
    return None


def _are_networks(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return "give networks such as 10.1.0.0/16"
    return next((problem for one in value if (problem := _is_network(one))), None)


def _one_of(choices: Sequence[str]) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if value in choices else f"give {', '.join(choices)}"

    return check


_FIELDS: dict[str, dict[str, Callable[[Any], str | None]]] = {
    "zone": {"name": _is_name, "networks": _are_networks, "kind": _one_of(KINDS)},
    "asset": {
        "name": _is_name,
        "address": _is_network,
        "role": _is_name,
        "criticality": _one_of(CRITICALITIES),
    },
}
_NOUNS = {"zone": "a zone", "asset": "an asset"}
_REQUIRED = {"zone": ("name", "networks"), "asset": ("name", "address")}


def _problems(record: _Record) -> list[str]:
    """What is wrong with a record by itself."""
    fields, values = _FIELDS[record.what], record.values
    noun = _NOUNS[record.what]
    unknown = [f"{name!r} is no field of {noun}" for name in values if name not in fields]
    missing = [f"{name} is missing" for name in _REQUIRED[record.what] if name not in values]
    checked = ((name, fields[name](value)) for name, value in values.items() if name in fields)
    wrong = [f"{name} {values[name]!r}: {problem}" for name, problem in checked if problem]
    return unknown + missing + wrong


def _identities(record: _Record) -> Iterator[tuple[str, str]]:
    """What no two records may share."""
    yield record.what, record.values["name"]
    if record.what == "asset":
        yield "address", str(network_of(record.values["address"]))
    else:
        for network in dict.fromkeys(str(network_of(text)) for text in record.values["networks"]):
            yield "network", network
