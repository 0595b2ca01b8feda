"""Puts rules and scripts where a Suricata loads them, and takes them away again.

Nothing else is touched, unless its configuration shall be edited: then only lines that bear a mark
(config_file.py), and only if Suricata reads the result as it was meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from procwire.compiler import HEADLINE
from procwire.compiler.to_suricata import GATE_SID, RULES_FILE, SCRIPTS
from procwire.errors import Unavailable, UsageError
from procwire.suricata import config_file, ruleset
from procwire.suricata.needs import LUA, Need, as_lines, edited, unmet
from procwire.suricata.program import Suricata, find


class Installed(NamedTuple):
    """paths: the files written; merged: the rules file that had the rules already, if any, as
    suricata-update leaves it, so that only scripts were written; lines: settings that the
    configuration lacks."""

    paths: list[Path]
    merged: Path | None
    lines: list[str]


def install(suricata: Suricata, drop: bool, write: bool) -> Installed:
    """Place the rules and test them.

    drop: rules of tier A drop; write: edit the configuration, too. Raises Unavailable where Lua is
    not there or not allowed, where files cannot be written, and where Suricata refuses the rules;
    then nothing stays behind.
    """
    needs = unmet(suricata, drop)
    _expect_lua(suricata, write)
    files = ruleset.ruleset(drop)
    merged = _merged(suricata)
    directory = suricata.rule_directory
    # suricata-update takes rules out of a tarball and leaves the scripts behind.
    if merged is not None:
        del files[Path(RULES_FILE)]
    names_rules = merged is None and not suricata.loads(directory / RULES_FILE)
    try:
        paths = ruleset.write(directory, files)
    except OSError as problem:
        _remove(directory)
        raise Unavailable(
            f"cannot write {problem.filename}: {problem.strerror}", "run as its owner, with sudo"
        ) from None
    refusal = suricata.test(merged or directory / RULES_FILE)
    if refusal:
        _remove(directory)
        raise Unavailable(
            f"{suricata.program} refuses the rules: {refusal}", "nothing was installed"
        )
    if write and (needs or names_rules):
        try:
            _edit(suricata, needs, names_rules)
        except UsageError:
            _remove(directory)
            raise
        return Installed(paths, merged, [])
    return Installed(paths, merged, as_lines(needs, names_rules))


def uninstall(suricata: Suricata) -> list[Path]:
    """Remove what install() placed and undo its edits; returns what was removed or changed."""
    changed = _remove(suricata.rule_directory)
    text = _text(suricata.config)
    before = config_file.undone(text)
    if before != text:
        _save(suricata.config, before)
        changed.append(suricata.config)
    return changed


def _expect_lua(suricata: Suricata, write: bool) -> None:
    if not suricata.has_lua:
        raise Unavailable(f"{suricata.program} was built without Lua", "install Debian's suricata")
    if not LUA.met(suricata) and not write:
        raise Unavailable(
            f"{suricata.config} does not allow Lua in rules",
            "set `security: {lua: {allow-rules: true}}` in it, or give --write to have that done",
        )


def _merged(suricata: Suricata) -> Path | None:
    own = suricata.rule_directory / RULES_FILE
    for path in suricata.rule_files:
        if path != own and f"sid:{GATE_SID};" in path.read_text(errors="replace"):
            return path
    return None


def _remove(directory: Path) -> list[Path]:
    """Delete what procwire generated below `directory`, and folders that are empty then."""
    folder = directory / SCRIPTS
    removed = []
    for path in (directory / RULES_FILE, *sorted(folder.glob("*.lua"))):
        if path.is_file() and HEADLINE in path.read_text(errors="replace")[: 2 * len(HEADLINE)]:
            path.unlink()
            removed.append(path)
    for emptied in (folder, folder.parent):
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()
    return removed


def _edit(suricata: Suricata, needs: list[Need], names_rules: bool) -> None:
    """Edit the configuration; left as it was where Suricata does not read what was meant, or no
    longer passes its own test."""
    before = _text(suricata.config)
    by_hand = f"add these lines by hand:\n{chr(10).join(as_lines(needs, names_rules))}"
    try:
        after = edited(before, needs, names_rules)
    except UsageError as problem:
        raise UsageError(f"{suricata.config}: {problem}; {by_hand}") from None
    _save(suricata.config, after)
    refusal = _refusal(suricata, needs, names_rules)
    if refusal:
        _save(suricata.config, before)
        # Rules of others may have been broken before.
        if refusal != suricata.test():
            raise UsageError(f"{suricata.config}: Suricata refuses the edit: {refusal}; {by_hand}")
        _save(suricata.config, after)


def _refusal(suricata: Suricata, needs: list[Need], names_rules: bool) -> str:
    try:
        read = find(str(suricata.program), suricata.config)
    except UsageError as problem:
        return str(problem)
    unread = [".".join(need.path) for need in needs if not need.met(read)]
    if names_rules and not read.loads(read.rule_directory / RULES_FILE):
        unread.append("rule-files")
    return f"it reads {', '.join(unread)} elsewhere, too" if unread else read.test()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path}: {problem}") from None


def _save(path: Path, text: str) -> None:
    # In place: its owner and permissions stay.
    try:
        path.write_text(text)
    except OSError as problem:
        raise Unavailable(f"cannot write {path}: {problem.strerror}", "run with sudo") from None
